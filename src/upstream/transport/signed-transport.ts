import type { Authorizer, Credential } from '../../auth/authorizer.ts';
import { skewOf } from '../../auth/clock-skew.ts';
import type { SignedHeaders, SigningScope, SigningTarget } from '../../auth/signing.ts';
import { causeText, type ProxyError, toError } from '../../core/errors/errors.ts';
import { type ReadLimit, readLimit } from '../../core/jsonrpc/read-limit.ts';
import { addWait, type CallRecord } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Share } from '../../core/pipeline/fair-queue.ts';
import type { ConnectionState } from '../../core/pipeline/proxy-state.ts';
import type { Span } from '../../core/pipeline/span.ts';
import { endWith } from '../../core/pipeline/span-outcome.ts';
import type { Clock } from '../../core/time/clock.ts';
import { isRefusal, judgeRefusal } from '../../endpoint/aws-errors.ts';
import { plainCause } from '../http/connect-cause.ts';
import { TransportFailure } from '../http/connection.ts';
import type { ConnectionPlace, ConnectionPool, Wanted } from '../http/connection-pool.ts';
import { ERROR_BODY, headerOf, type Incoming } from '../http/incoming.ts';
import type { Lease } from '../http/lease.ts';
import { Affinity, type AffinityOptions } from './affinity.ts';
import { type AnswerContext, decodeBody } from './answer.ts';
import { correctionAfter } from './clock-correction.ts';
import { ExchangeReports } from './exchange-reports.ts';
import { type HedgedAttempt, hedge, maxIdleMsOf } from './hedge.ts';
import { beginHttpSpan } from './http-span.ts';
import { readLostSession } from './lost-session.ts';
import { foreignSession, toTransportError } from './transport-errors.ts';

/**
 * The connection pool of a message. Streams and control messages never wait behind requests, so
 * that a response cannot deadlock.
 */
export type Lane = 'request' | 'control' | 'stream';

export interface SignedTransportOptions {
  readonly profile: string;
  readonly host: string;
  readonly target: SigningTarget;
  /** Authenticates every request. */
  readonly authorizer: Authorizer;
  readonly lanes: Readonly<Record<Lane, ConnectionPool>>;
  readonly affinity: AffinityOptions;
  /** Sent, not signed, with every request. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Bytes of --max-line; 0 = no limit. */
  readonly maxLineBytes: number;
  readonly clock: Clock;
  readonly events: Events;
}

export interface TransportRequest {
  readonly method: string;
  /** Another path of the same origin; absent: that of the endpoint. */
  readonly target?: SigningTarget | undefined;
  /** Absent: JSON, where there is a body. */
  readonly contentType?: string | undefined;
  /**
   * `own`: a request of the proxy that calls wait for; it takes a free connection and never queues.
   * `deletion`: the end of a session; it takes an idle connection or a new one, and yields to
   * requests.
   */
  readonly lane: Lane | 'own' | 'deletion';
  /** The request's own headers: accept, session, version. */
  readonly headers: Readonly<Record<string, string>>;
  /** Text becomes bytes when it is sent: a request may wait long for a connection. */
  readonly body?: string | Uint8Array | undefined;
  /** False where a second delivery could run something twice. */
  readonly idempotent: boolean;
  /** Wait before an idempotent request is hedged; absent: HEDGE_AFTER_MS. */
  readonly hedgeAfterMs?: number | undefined;
  readonly signal: AbortSignal;
  /** The group whose turn it takes in the queue for connections. */
  readonly share?: Share | undefined;
  /** True for `initialize`: a second delivery would open an orphaned session. */
  readonly opensSession?: boolean | undefined;
  /**
   * Checked before sending: false where the request belongs to another principal. Absent: any
   * principal may send it.
   */
  readonly admits?: ((principal: string | undefined) => boolean) | undefined;
  /** Routes the request to its backend, and learns from the response. */
  readonly affinity?: Affinity | undefined;
  /** The record of the call that it belongs to, which gets the waits. */
  readonly record?: CallRecord | undefined;
  /** For a request of the proxy: the span that it is a part of. */
  readonly span?: Span | undefined;
  readonly observer: AttemptObserver;
  /** Called when an attempt's first byte is about to be sent. */
  readonly onStart?: (() => void) | undefined;
}

/** Observes the attempts of one request. An object, because closures would live as long as it. */
export interface AttemptObserver {
  /** Called with the lease of each attempt, before its first byte is sent. */
  onAttempt(lease: Lease): void;
  /** Receives what the request waits for before its first byte, as a clause. */
  onWait?(waitReason: string): void;
  /** Receives the final response. */
  onOpened?(opened: OpenedExchange): void;
}

export interface OpenedExchange {
  readonly response: Incoming;
  readonly lease: Lease;
  /** False where it was sent unsigned, without credentials. */
  readonly signed: boolean;
  readonly principal: string | undefined;
  /** Where the credentials came from. */
  readonly providerName: string | undefined;
  /** How far the server's clock is ahead, where its answer showed one that matters. */
  readonly skewMs: number | undefined;
  /** The session id of the request. */
  readonly sessionId: string | undefined;
}

/** One attempt: its connection, and the inputs of its signature. */
class Attempt {
  /** 1 for the first. */
  readonly number: number;
  /** The connection of the response: that of the hedge, where it answers first. */
  lease: Lease;
  credentials: Credential | undefined = undefined;
  offsetMs = 0;
  /** Headers that the affinity adds. */
  added: Readonly<Record<string, string>> | undefined = undefined;

  constructor(number: number, lease: Lease) {
    this.number = number;
    this.lease = lease;
  }
}

/**
 * How long a refused signature time makes the profile unready; then a request may find a corrected
 * clock.
 */
const TIME_REFUSED_MS = 30_000;

/** Characters of a server's id in an event: it may be of any length. */
const MAX_SHOWN_ID = 100;

/** Remedies for a refused attempt; each is tried once per request. */
interface AvailableRemedies {
  readonly fresh: boolean;
  readonly clock: boolean;
  readonly connection: boolean;
}

/** Shared, because nearly all requests keep all. */
const ALL_REMEDIES: AvailableRemedies = { fresh: true, clock: true, connection: true };

/**
 * The signed HTTP transport of one profile. Takes a connection, signs the exact bytes and sends
 * them. Re-sends where that is provably safe and a cause was removed: new credentials, a corrected
 * clock, a connection that the server had closed.
 */
export class SignedTransport {
  readonly #options: SignedTransportOptions;
  /** One for all: each request of a listener's client without a session has an affinity. */
  readonly #affinityOptions: AffinityOptions;
  readonly #reports: ExchangeReports;
  /** Offset for signature times, learned from the server's refusals, within bounds. */
  #clockOffsetMs = 0;
  /** How much of one message of the server is read. */
  readonly readLimit: ReadLimit;
  /** When a time refusal could not be resolved; undefined since an accepted signature. */
  #timeRefusedAt: number | undefined;
  readonly #watchers = new Set<(principal: string | undefined) => void>();
  #otherIdReported = false;

  constructor(options: SignedTransportOptions) {
    this.#options = options;
    this.#affinityOptions = { ...options.affinity, onSecret: (value) => this.hide(value) };
    this.#reports = new ExchangeReports(options);
    this.readLimit = readLimit(options.maxLineBytes);
  }

  get profile(): string {
    return this.#options.profile;
  }

  get host(): string {
    return this.#options.host;
  }

  get scope(): SigningScope {
    return this.#options.authorizer.scope ?? UNSIGNED_SCOPE;
  }

  /** True for a while after an unresolved time refusal. */
  get timeRefused(): boolean {
    const at = this.#timeRefusedAt;
    return at !== undefined && this.#options.clock.monotonic() - at < TIME_REFUSED_MS;
  }

  /** The context for errors about a response. */
  answerContext(
    opened: Pick<OpenedExchange, 'signed' | 'providerName' | 'skewMs'> | undefined,
  ): AnswerContext {
    const { host, profile, scope } = this;
    const skewMs = opened?.skewMs;
    const signed = opened?.signed ?? false;
    const providerName = opened?.providerName;
    const { target, authorizer } = this.#options;
    const { path } = target;
    const shown = { host, path, profile, scope, signed, providerName, authorizer };
    return skewMs === undefined ? shown : { ...shown, skewMs };
  }

  /** Creates the affinity of one client or session. */
  newAffinity(): Affinity {
    return new Affinity(this.#affinityOptions);
  }

  /** Keeps a session id or a cookie out of logs and errors. */
  hide(value: string): void {
    this.#options.events.emit({ type: 'secret.known', value, brief: true });
  }

  /**
   * Reports, once, that the server answers requests under other ids than theirs. @param id - as the
   * server wrote it.
   */
  reportOtherId(method: string, id: string): void {
    if (this.#otherIdReported) return;
    this.#otherIdReported = true;
    const { events, profile } = this.#options;
    events.emit({ type: 'upstream.other-id', profile, method, id: id.slice(0, MAX_SHOWN_ID) });
  }

  /** Calls `watcher` with the signing principal before each request. @returns stops that. */
  onSigner(watcher: (principal: string | undefined) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * Sends a request. Resolves with the headers of the final response.
   * @throws ProxyError no-credentials, connect-failed or connection-lost; session-lost, where the
   * request does not admit who would sign it; the signal's reason.
   */
  open(request: TransportRequest): Promise<OpenedExchange> {
    return this.#tryUntilDone(request, ALL_REMEDIES, undefined, 1);
  }

  /** Not async: each async function that waits for the response costs 500 bytes per request. */
  #tryUntilDone(
    request: TransportRequest,
    remedies: AvailableRemedies,
    refreshed: Credential | undefined,
    number: number,
  ): Promise<OpenedExchange> {
    const { signal } = request;
    if (signal.aborted) return Promise.reject(signal.reason);
    const wanted = placeOf(request, !remedies.connection);
    const lease = this.#tryLease(request, wanted);
    if (lease) return this.#tryOn(new Attempt(number, lease), request, remedies, refreshed);
    return this.#waitForConnection(request, wanted).then((granted) =>
      this.#tryOn(new Attempt(number, granted), request, remedies, refreshed),
    );
  }

  /** Makes one attempt, and others after it while a cause of its failure can be removed. */
  #tryOn(
    attempt: Attempt,
    request: TransportRequest,
    remedies: AvailableRemedies,
    refreshed: Credential | undefined,
  ): Promise<OpenedExchange> {
    request.record?.endConnectionWait(this.#options.clock);
    let sending: Promise<Incoming>;
    try {
      sending = this.#begin(request, attempt, refreshed);
    } catch (error) {
      sending = Promise.reject(error);
    }
    return sending.then(
      (response) => {
        const learning = this.#learn(request, attempt, response);
        const judge = (): OpenedExchange | Promise<OpenedExchange> =>
          this.#judge(this.#sentAttempt(request, attempt, response), request, remedies, attempt);
        // The next request must carry the cookies.
        return learning ? learning.then(judge, judge) : judge();
      },
      (error: unknown) => {
        const left = this.#judgeFailure(request, remedies, attempt.lease, error);
        return this.#tryUntilDone(request, left, refreshed, attempt.number + 1);
      },
    );
  }

  #begin(request: TransportRequest, attempt: Attempt, refreshed: Credential | undefined): Promise<Incoming> {
    const resolving = refreshed ?? this.#credentials(request);
    return resolving instanceof Promise
      ? this.#awaitCredentials(request, attempt.lease, resolving).then((credentials) =>
          this.#sendAs(credentials, request, attempt),
        )
      : this.#sendAs(resolving, request, attempt);
  }

  #sendAs(
    credentials: Credential | undefined,
    request: TransportRequest,
    attempt: Attempt,
  ): Promise<Incoming> {
    this.#setContext(attempt, request, credentials);
    return isHedged(request, attempt.lease)
      ? this.#hedged(request, attempt)
      : this.#send(request, attempt.lease, attempt, attempt.number);
  }

  /** Returns the response where it is final; else sends again where a remedy is there. */
  #judge(
    sent: OpenedExchange,
    request: TransportRequest,
    remedies: AvailableRemedies,
    { credentials, offsetMs, number }: Attempt,
  ): OpenedExchange | Promise<OpenedExchange> {
    const { status } = sent.response;
    if (credentials && status < 400) this.#timeRefusedAt = undefined;
    const { observer } = request;
    const isFinal = !couldBeRefusal(status);
    if (isFinal || (!credentials && !this.#options.authorizer.learnsFromRefusal))
      return reportOpened(observer, sent);
    return this.#remedy(sent, { credentials, offsetMs }, remedies, request.signal).then((next) =>
      next
        ? this.#tryUntilDone(request, next.remedies, next.credentials, number + 1)
        : reportOpened(observer, sent),
    );
  }

  #tryLease(request: TransportRequest, wanted: Wanted): Lease | undefined {
    return this.#findSpare(request, wanted) ?? this.#laneOf(request).tryLease(wanted);
  }

  #laneOf({ lane }: TransportRequest): ConnectionPool {
    return this.#options.lanes[POOL_OF_LANE[lane]];
  }

  /** @throws ProxyError session-lost, where the request does not admit who would sign it. */
  #setContext(
    attempt: Attempt,
    { admits, affinity, headers }: TransportRequest,
    credentials: Credential | undefined,
  ): void {
    const principal = credentials?.principal;
    for (const watcher of this.#watchers) watcher(principal);
    if (admits?.(principal) === false) throw foreignSession(this.profile);
    attempt.added = affinity?.headersFor(principal, this.#options.headers(), headers);
    attempt.credentials = credentials;
    // Captured for this attempt: another call may learn a new offset meanwhile.
    attempt.offsetMs = this.#clockOffsetMs;
  }

  #learn(
    { affinity, headers }: TransportRequest,
    { credentials, added }: Attempt,
    response: Incoming,
  ): Promise<void> | undefined {
    return affinity?.learn(credentials?.principal, response, headers, added);
  }

  #sentAttempt(
    request: TransportRequest,
    { credentials, added, lease }: Attempt,
    response: Incoming,
  ): OpenedExchange {
    return {
      response,
      lease,
      signed: credentials !== undefined,
      principal: credentials?.principal,
      providerName: credentials?.providerName,
      skewMs: this.#skewOf(response),
      sessionId: request.headers['mcp-session-id'] ?? added?.['mcp-session-id'],
    };
  }

  /**
   * Returns the remedies that are left for the request, which is sent again on a new connection.
   * @throws any other failure.
   */
  #judgeFailure(
    request: TransportRequest,
    remedies: AvailableRemedies,
    lease: Lease,
    error: unknown,
  ): AvailableRemedies {
    lease.cancel(toError(error));
    if (request.signal.aborted) throw request.signal.reason;
    if (!(error instanceof TransportFailure)) throw error;
    const stale = error.reused && !error.headersTooLong && (error.sent === 'no' || request.idempotent);
    if (!stale || !remedies.connection) throw this.#transportError(error);
    return { ...remedies, connection: false };
  }

  /**
   * Sends on a connection that may be dead, and also on a new one if no response begins in time.
   */
  async #hedged(request: TransportRequest, attempt: Attempt): Promise<Incoming> {
    const { clock, events, profile, lanes } = this.#options;
    const { lease, number } = attempt;
    const sentAt = clock.monotonic();
    const first: HedgedAttempt = { lease, answer: this.#send(request, lease, attempt, number) };
    const won = await hedge(first, {
      clock,
      signal: request.signal,
      afterMs: request.hedgeAfterMs,
      send: (other) => this.#send(request, other, attempt, number + 1),
    });
    if (won.lease !== lease) {
      attempt.lease = won.lease;
      // Connections that were idle as long may be dead too.
      for (const each of Object.values(lanes)) each.closeIdle(sentAt);
      events.emit({ type: 'connection.silent', profile, lane: request.lane });
    } else if (won.contested) request.observer.onAttempt(lease);
    return won.response;
  }

  #waitForConnection(request: TransportRequest, place: ConnectionPlace): Promise<Lease> {
    const lane = this.#laneOf(request);
    request.observer.onWait?.(lane.busyText);
    const leased = lane.lease(request.signal, place);
    const { events, clock } = this.#options;
    request.record?.beginConnectionWait(clock);
    return events.detailed ? this.#reportWait(request, leased) : leased;
  }

  async #reportWait({ record, lane }: TransportRequest, leased: Promise<Lease>): Promise<Lease> {
    const { clock, events, profile } = this.#options;
    const since = clock.monotonic();
    try {
      return await leased;
    } finally {
      const ms = clock.monotonic() - since;
      events.emit({ type: 'connection.waited', profile, call: record?.number, lane, ms });
    }
  }

  #awaitCredentials<T>(
    { record, observer }: TransportRequest,
    lease: Lease,
    resolving: Promise<T>,
  ): Promise<T> {
    observer.onWait?.(awaitedText(this.#options));
    if (!lease.open) dialDuring(resolving, lease);
    return record ? addWait(record, 'credentialsMs', this.#options.clock, resolving) : resolving;
  }

  /**
   * Opens the connections needed after `initialize` while it runs: for the standalone stream and
   * for control messages. Saves a handshake each.
   */
  dialAhead(): void {
    const { control, stream } = this.#options.lanes;
    stream.dial();
    control.dial();
  }

  #findSpare({ lane }: TransportRequest, wanted: Wanted): Lease | undefined {
    if (lane === 'own') return this.#findOpenConnection(wanted);
    // An idle request connection, which yields to any request.
    return lane === 'deletion' && !wanted.fresh ? this.#options.lanes.request.tryYieldingLease() : undefined;
  }

  /** An open connection of either lane saves the handshake; a new one is a request connection. */
  #findOpenConnection(wanted: Wanted): Lease | undefined {
    const { request, control } = this.#options.lanes;
    return (
      (wanted.fresh ? undefined : (request.tryOpenLease(wanted) ?? control.tryOpenLease(wanted))) ??
      request.tryLease(wanted)
    );
  }

  #credentials({
    signal,
    record,
    span: own,
  }: TransportRequest): Promise<Credential | undefined> | Credential | undefined {
    const { authorizer, profile } = this.#options;
    const parent = own ?? record?.span;
    if (!parent?.isRecorded) return authorizer.current(signal);
    let span: Span | undefined;
    const current = authorizer.current(signal, () => {
      span ??= parent.begin({ type: 'credentials', profile });
    });
    return current instanceof Promise ? endWith(span, current) : current;
  }

  #send(request: TransportRequest, lease: Lease, context: Attempt, attempt: number): Promise<Incoming> {
    const now = (): Promise<Incoming> => this.#sendSigned(request, lease, context, attempt);
    // A FIN that has arrived must be seen before a request that must not be sent twice. undici
    // yields one turn on an idle connection, which suffices; right after a response, one more turn
    // is needed.
    return lease.justAnswered && !request.idempotent ? nextTurn().then(now) : now();
  }

  #sendSigned(request: TransportRequest, lease: Lease, context: Attempt, attempt: number): Promise<Incoming> {
    const body = request.body === undefined ? undefined : Buffer.from(request.body);
    const signed = this.#sign(request, body, context);
    return signed instanceof Promise
      ? signed.then((headers) => this.#dispatch(request, lease, context, headers, body, attempt))
      : this.#dispatch(request, lease, context, signed, body, attempt);
  }

  #dispatch(
    request: TransportRequest,
    lease: Lease,
    { added }: Attempt,
    signed: SignedHeaders,
    body: Buffer | undefined,
    attempt: number,
  ): Promise<Incoming> {
    const { target: own } = this.#options;
    // Not spread: three objects in one literal cost 20 times as much.
    const headers = Object.assign({}, this.#options.headers(), request.headers, added, signed);
    if (request.signal.aborted) throw request.signal.reason;
    const span = beginHttpSpan(request);
    // The headers of an HTTP client carry the context of its own span.
    if (span) Object.assign(headers, span.carrier);
    request.observer.onAttempt(lease);
    const { method, onStart, target = own } = request;
    const observer = this.#reports.begin(
      request,
      body?.length ?? 0,
      'authorization' in signed,
      attempt,
      span,
    );
    return lease.send({ method, path: target.path, headers, body, onStart, observer });
  }

  #sign(
    { method, target = this.#options.target, contentType: type = 'application/json' }: TransportRequest,
    body: Buffer | undefined,
    { credentials, offsetMs }: Attempt,
  ): SignedHeaders | Promise<SignedHeaders> {
    const { authorizer, clock } = this.#options;
    const contentType = body ? type : undefined;
    if (!credentials) return { host: target.host, ...(contentType ? { 'content-type': contentType } : {}) };
    const signable = { method, target, contentType, body };
    return authorizer.authorize(signable, credentials, clock.now() + offsetMs);
  }

  /** Only failures need the date. */
  #skewOf(response: Incoming): number | undefined {
    if (response.status < 400) return undefined;
    return skewOf(headerOf(response.headers, 'date'), this.#options.clock.now());
  }

  /**
   * @param usedMs - the correction that has failed: one that another call has learned meanwhile
   * stays.
   */
  #correct(offsetMs: number, usedMs: number): void {
    if (offsetMs === 0 && this.#clockOffsetMs !== usedMs) return;
    this.#clockOffsetMs = offsetMs;
    this.#options.events.emit({ type: 'clock.corrected', offsetMs });
  }

  /**
   * Applies a remedy for a refusal, if any. The refused request did not run, so re-sending is safe.
   */
  async #remedy(
    { response, skewMs, sessionId }: OpenedExchange,
    used: { readonly credentials: Credential | undefined; readonly offsetMs: number },
    remedies: AvailableRemedies,
    signal: AbortSignal,
  ): Promise<{ credentials: Credential | undefined; remedies: AvailableRemedies } | undefined> {
    const { events, profile, authorizer } = this.#options;
    const body = await response.readAll(ERROR_BODY).catch(() => undefined);
    if (!body) return undefined;
    // Some servers answer 401 for an unknown session.
    if (sessionId !== undefined && readLostSession(response, body, sessionId)) return undefined;
    const { status } = response;
    const challenge = headerOf(response.headers, 'www-authenticate');
    const errorType = headerOf(response.headers, 'x-amzn-errortype');
    const refusal = judgeRefusal({
      status,
      errorType,
      contentType: headerOf(response.headers, 'content-type'),
      body: decodeBody(body) ?? '',
      challenge,
    });
    if (!isRefusal(status, refusal)) return undefined;
    const report = (again: boolean): void =>
      events.emit({ type: 'auth.rejected', profile, verdict: refusal.kind, message: refusal.message, again });
    if (authorizer.sendsTime) {
      const correction = correctionAfter({ kind: refusal.kind, skewMs, usedMs: used.offsetMs });
      if (correction) this.#correct(correction.offsetMs, used.offsetMs);
      if (correction?.retry && remedies.clock) {
        report(true);
        return { credentials: undefined, remedies: { ...remedies, clock: false } };
      }
      if (refusal.kind === 'clock') this.#timeRefusedAt = this.#options.clock.monotonic();
    }
    if (remedies.fresh) {
      const refused = { status, kind: refusal.kind, message: refusal.message, challenge, errorType };
      const newer = await authorizer.refresh(used.credentials, refused, signal);
      if (newer) {
        report(true);
        return { credentials: newer, remedies: { ...remedies, fresh: false } };
      }
    }
    report(false);
    return undefined;
  }

  #transportError(failure: TransportFailure): ProxyError {
    const { events, profile, host } = this.#options;
    events.emit({ type: 'http.failed', profile, message: plainCause(causeText(failure.cause)) });
    return toTransportError(host, failure);
  }

  /** The connections of each lane. */
  get connections(): readonly ConnectionState[] {
    return Object.entries(this.#options.lanes).map(([lane, { active, idle, waiting }]) => ({
      lane,
      used: active,
      idle,
      waiting,
    }));
  }

  close(): void {
    for (const lane of Object.values(this.#options.lanes)) lane.close();
  }
}

/** The reason for the wait of a call whose time ended before the credentials came, as a clause. */
function awaitedText({ profile, authorizer }: SignedTransportOptions): string {
  const { credentials, kind } = authorizer;
  if (!credentials) return `the credentials for --auth ${kind ?? 'auto'} were not there by then`;
  const named = profile === '' ? '' : ` --profile ${profile}`;
  return `the credentials of ${profile === '' ? 'the default chain' : `profile '${profile}'`} were not there by then; aws sts get-caller-identity${named} shows in a terminal what holds them up`;
}

/** The scope in messages about requests that are not signed. */
const UNSIGNED_SCOPE: SigningScope = { service: '', region: '' };

/**
 * DELETE requests use idle connections or new ones, at most one per ended session, so they run in
 * parallel and block no control message.
 */
const POOL_OF_LANE: Readonly<Record<TransportRequest['lane'], Lane>> = {
  request: 'request',
  control: 'control',
  stream: 'stream',
  own: 'control',
  deletion: 'stream',
};

function reportOpened(observer: AttemptObserver, opened: OpenedExchange): OpenedExchange {
  observer.onOpened?.(opened);
  return opened;
}

/** Hedged only if idempotent and on a reused connection: a new one cannot be dead yet. */
const isHedged = ({ idempotent, opensSession, lane }: TransportRequest, { warm }: Lease): boolean =>
  idempotent && warm && lane !== 'stream' && lane !== 'deletion' && opensSession !== true;

/** AWS answers 400 for some credential errors; the body decides. */
const couldBeRefusal = (status: number): boolean => status === 401 || status === 403 || status === 400;

/** Opens the socket while credentials are resolved, so that both waits overlap. */
function dialDuring(resolving: Promise<unknown>, lease: Lease): void {
  const turn = setImmediate(() => lease.dial());
  const cancel = (): void => clearImmediate(turn);
  resolving.then(cancel, cancel);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The place of a stdio client's request by its maximum idle time: shared, thousands may wait. */
const SHARELESS_PLACES = new Map<number | undefined, ConnectionPlace>();

/** The place of a request in the queue for connections. */
function placeOf(request: TransportRequest, fresh: boolean): ConnectionPlace {
  const maxIdleMs = maxIdleMsOf(request);
  const { share } = request;
  if (share || fresh) return { fresh, maxIdleMs, share };
  let place = SHARELESS_PLACES.get(maxIdleMs);
  if (!place) {
    place = { fresh, maxIdleMs, share };
    SHARELESS_PLACES.set(maxIdleMs, place);
  }
  return place;
}
