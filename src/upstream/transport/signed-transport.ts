import { skewOf } from '../../auth/clock-skew.ts';
import type { CredentialProvider } from '../../auth/credentials/caching-provider.ts';
import type { Credentials } from '../../auth/credentials/credentials.ts';
import { signer } from '../../auth/signer.ts';
import type { SignedHeaders, SigningScope, SigningTarget } from '../../auth/signing.ts';
import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { type ReadLimit, readLimit } from '../../core/errors/too-long.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { isRefusal, judgeRefusal, type RefusalKind } from '../../endpoint/aws-errors.ts';
import { connectAdvice, plainCause } from '../http/connect-cause.ts';
import { MAX_RESPONSE_HEADER_BYTES, TransportFailure } from '../http/connection.ts';
import type { ConnectionPool, Lease } from '../http/connection-pool.ts';
import type { Share } from '../http/fair-queue.ts';
import { ERROR_BODY, headerOf, type Incoming } from '../http/incoming.ts';
import { Affinity, type AffinityOptions } from './affinity.ts';
import { type AnswerContext, decodeBody } from './answer.ts';
import { correctionAfter } from './clock-correction.ts';
import { type HedgedAttempt, type HedgeResult, hedge } from './hedge.ts';
import { readLostSession } from './lost-session.ts';

/**
 * Which connections carry a message: streams and control messages never wait behind requests, so
 * that an answer cannot deadlock.
 */
export type Lane = 'request' | 'control' | 'stream';

export interface SignedTransportOptions {
  readonly profile: string;
  readonly host: string;
  readonly target: SigningTarget;
  /** Undefined: never sign. */
  readonly signing:
    | {
        readonly scope: SigningScope;
        readonly credentials: Pick<CredentialProvider, 'current' | 'refresh'>;
        readonly optional: boolean;
      }
    | undefined;
  readonly lanes: Readonly<Record<Lane, ConnectionPool>>;
  readonly affinity: AffinityOptions;
  /** Sent, not signed, with every request. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** Of --max-line, 0 = no limit. */
  readonly maxLineBytes: number;
  readonly clock: Clock;
  readonly events: Events;
}

export interface TransportRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /**
   * `own`: what the proxy asks for itself, and calls wait for. It takes a connection of requests
   * that is free, and waits for none. `deletion`: the end of a session. It takes an idle connection
   * of requests, or one of its own, and nothing waits for it.
   */
  readonly lane: Lane | 'own' | 'deletion';
  /** The request's own headers: accept, session, version. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  /** False where a second delivery could run something twice. */
  readonly idempotent: boolean;
  /** Of a repeatable request; absent: HEDGE_AFTER_MS. */
  readonly hedgeAfterMs?: number | undefined;
  readonly signal: AbortSignal;
  /** Whose turn it takes where requests wait for a connection. */
  readonly share?: Share | undefined;
  /** It opens a session: a second delivery would open another one, which nobody would delete. */
  readonly opensSession?: boolean | undefined;
  /**
   * Asked before anything is sent: false where what the request belongs to is another principal's.
   * Absent: whoever signs may send it.
   */
  readonly admits?: ((principal: string | undefined) => boolean) | undefined;
  /**
   * What the client or its session carries to reach its backend, and what learns from the answer.
   */
  readonly affinity?: Affinity | undefined;
  /** Told of each place taken for an attempt, before its first byte leaves. */
  readonly onAttempt: (lease: Lease) => void;
  /** Receives what the request waits for before its first byte leaves, as a clause for a person. */
  readonly onWait?: ((waitReason: string) => void) | undefined;
  /** Runs when an attempt's first byte is about to leave on an open connection. */
  readonly onStart?: (() => void) | undefined;
}

export interface OpenedExchange {
  readonly response: Incoming;
  readonly lease: Lease;
  /** False where it went out unsigned because there were no credentials. */
  readonly signed: boolean;
  readonly principal: string | undefined;
  /** Where the credentials came from. */
  readonly providerName: string | undefined;
  /** How far the server's clock is ahead, where its answer showed one that matters. */
  readonly skewMs: number | undefined;
  /** The id of the session that it was sent in. */
  readonly sessionId: string | undefined;
}

/** What one attempt is made with. */
interface AttemptContext {
  readonly credentials: Credentials | undefined;
  readonly offsetMs: number;
  /** Headers that the affinity adds. */
  readonly added: Readonly<Record<string, string>> | undefined;
}

/**
 * How long a refused time makes the profile count as unready: then a request may find a clock that
 * was corrected.
 */
const TIME_REFUSED_MS = 30_000;

/** Characters of a server's id in an event: it may be of any length. */
const MAX_SHOWN_ID = 100;

/** What a refused attempt may be mended with; each remedy is tried once per request. */
interface AvailableRemedies {
  fresh: boolean;
  clock: boolean;
  connection: boolean;
}

/**
 * One profile's road to the endpoint: takes a connection, signs over the exact bytes, sends, and
 * sends again where that is provably safe and mends something: newer credentials, a corrected
 * clock, a kept connection that the server had closed.
 */
export class SignedTransport {
  readonly #options: SignedTransportOptions;
  /**
   * Added to this machine's clock for signatures; learned from the server when it complains, never
   * guessed, and within bounds.
   */
  #clockOffsetMs = 0;
  readonly #awaitingCredentials: string;
  /** How much of one message of the server is read. */
  readonly readLimit: ReadLimit;
  /**
   * When a refusal of a signature's time could not be mended; undefined since a signature was
   * accepted.
   */
  #timeRefusedAt: number | undefined;
  readonly #watchers = new Set<(principal: string | undefined) => void>();
  #otherIdReported = false;

  constructor(options: SignedTransportOptions) {
    this.#options = options;
    this.readLimit = readLimit(options.maxLineBytes);
    const { profile } = options;
    const named = profile === '' ? '' : ` --profile ${profile}`;
    this.#awaitingCredentials = `the credentials of ${profile === '' ? 'the default chain' : `profile '${profile}'`} were not there by then; aws sts get-caller-identity${named} shows in a terminal what holds them up`;
  }

  get profile(): string {
    return this.#options.profile;
  }

  get host(): string {
    return this.#options.host;
  }

  get scope(): SigningScope {
    return this.#options.signing?.scope ?? { service: '', region: '' };
  }

  /**
   * True for a while after the server has refused the time of a signature, and no correction has
   * helped.
   */
  get timeRefused(): boolean {
    const at = this.#timeRefusedAt;
    return at !== undefined && this.#options.clock.monotonic() - at < TIME_REFUSED_MS;
  }

  /** What an error about an answer has to say of the way that it came. */
  answerContext(
    opened: Pick<OpenedExchange, 'signed' | 'providerName' | 'skewMs'> | undefined,
  ): AnswerContext {
    const { host, profile, scope } = this;
    const skewMs = opened?.skewMs;
    const signed = opened?.signed ?? false;
    const providerName = opened?.providerName;
    const { path } = this.#options.target;
    return { host, path, profile, scope, signed, providerName, ...(skewMs === undefined ? {} : { skewMs }) };
  }

  /** For the requests of one client, or of one of its sessions. */
  newAffinity(): Affinity {
    return new Affinity(this.#options.affinity);
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

  /**
   * @returns what to call when it is enough. `watcher` hears who signs, before each request is
   * sent.
   */
  onSigner(watcher: (principal: string | undefined) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /**
   * Sends a request and resolves when the headers of the answer to keep have come.
   * @throws ProxyError no-credentials, connect-failed or connection-lost; session-lost, where the
   * request does not admit who would sign it; the signal's reason.
   */
  async open(request: TransportRequest): Promise<OpenedExchange> {
    const remedies: AvailableRemedies = { fresh: true, clock: true, connection: true };
    const { lanes } = this.#options;
    const { affinity } = request;
    const lane = lanes[POOL_OF_LANE[request.lane]];
    let refreshed: Credentials | undefined;
    for (let attempt = 1; ; attempt++) {
      const wanted = { fresh: !remedies.connection };
      request.signal.throwIfAborted();
      const spare = this.#findSpare(request, wanted);
      let lease = spare ?? lane.tryLease(wanted) ?? (await this.#waitForConnection(lane, request, wanted));
      let credentials: Credentials | undefined;
      let response: Incoming;
      // Kept for this attempt: another call may learn a new one while this is on its way.
      let offsetMs = 0;
      let added: Readonly<Record<string, string>> | undefined;
      try {
        const resolving = refreshed ?? this.#credentials(request.signal);
        if (resolving instanceof Promise) {
          request.onWait?.(this.#awaitingCredentials);
          if (!lease.open) dialDuring(resolving, lease);
        }
        credentials = await resolving;
        for (const watcher of this.#watchers) watcher(credentials?.principal);
        if (request.admits?.(credentials?.principal) === false) throw foreignSession(this.profile);
        offsetMs = this.#clockOffsetMs;
        added = affinity?.headersFor(credentials?.principal, this.#options.headers(), request.headers);
        const context: AttemptContext = { credentials, offsetMs, added };
        if (isHedged(request, lease)) {
          const won = await this.#hedged(request, lease, context, attempt);
          lease = won.lease;
          response = won.response;
        } else response = await this.#send(request, lease, context, attempt);
        const learning = affinity?.learn(credentials?.principal, response, request.headers, added);
        // What follows this answer has to carry its cookies.
        if (learning) await learning.catch(() => undefined);
      } catch (error) {
        lease.cancel(error instanceof Error ? error : new Error(String(error)));
        if (request.signal.aborted) throw request.signal.reason;
        if (!(error instanceof TransportFailure)) throw error;
        const stale = error.reused && !error.headersTooLong && (error.sent === 'no' || request.idempotent);
        if (!stale || !remedies.connection) throw this.#transportError(error);
        remedies.connection = false;
        continue;
      }
      const opened: OpenedExchange = {
        response,
        lease,
        signed: credentials !== undefined,
        principal: credentials?.principal,
        providerName: credentials?.providerName,
        skewMs: this.#skewOf(response),
        sessionId: request.headers['mcp-session-id'] ?? added?.['mcp-session-id'],
      };
      if (credentials && response.status < 400) this.#timeRefusedAt = undefined;
      if (!credentials || !couldBeRefusal(response.status)) return opened;
      const next = await this.#remedy(opened, { credentials, offsetMs }, remedies, request.signal);
      if (!next) return opened;
      refreshed = next.credentials;
    }
  }

  /**
   * Sends on a connection that may have died in silence, and on a new one too where no answer
   * begins in time.
   */
  async #hedged(
    request: TransportRequest,
    lease: Lease,
    context: AttemptContext,
    attempt: number,
  ): Promise<HedgeResult> {
    const { clock, events, profile, lanes } = this.#options;
    const sentAt = clock.monotonic();
    const first: HedgedAttempt = { lease, answer: this.#send(request, lease, context, attempt) };
    const won = await hedge(first, {
      clock,
      signal: request.signal,
      afterMs: request.hedgeAfterMs,
      send: (other) => this.#send(request, other, context, attempt + 1),
    });
    if (won.lease !== lease) {
      // Others that have rested as long may have died with it.
      for (const each of Object.values(lanes)) each.closeIdle(sentAt);
      events.emit({ type: 'connection.silent', profile, lane: request.lane });
    } else if (won.contested) request.onAttempt(lease);
    return won;
  }

  #waitForConnection(
    lane: ConnectionPool,
    request: TransportRequest,
    wanted: { readonly fresh: boolean },
  ): Promise<Lease> {
    request.onWait?.(lane.busyText);
    return lane.lease(request.signal, { fresh: wanted.fresh, share: request.share });
  }

  /**
   * Opens the connections that follow an `initialize`, while its answer is on the way: the
   * standalone stream's, and the one that carries the client's responses and cancellations. Each
   * would otherwise cost the first call a handshake.
   */
  dialAhead(): void {
    const { control, stream } = this.#options.lanes;
    stream.dial();
    control.dial();
  }

  #findSpare({ lane }: TransportRequest, wanted: { readonly fresh: boolean }): Lease | undefined {
    if (lane === 'own') return this.#findOpenConnection(wanted);
    // An idle connection of requests, which a request that needs its place gets at once.
    return lane === 'deletion' && !wanted.fresh ? this.#options.lanes.request.tryYieldingLease() : undefined;
  }

  /**
   * A connection that is open costs no handshake, whichever lane it is of; a new one is a
   * request's.
   */
  #findOpenConnection(wanted: { readonly fresh: boolean }): Lease | undefined {
    const { request, control } = this.#options.lanes;
    return (
      (wanted.fresh ? undefined : (request.tryOpenLease() ?? control.tryOpenLease())) ??
      request.tryLease(wanted)
    );
  }

  #credentials(signal: AbortSignal): Promise<Credentials | undefined> | undefined {
    const { signing } = this.#options;
    if (!signing) return undefined;
    return signing.optional
      ? this.#optionalCredentials(signing.credentials, signal)
      : signing.credentials.current(signal);
  }

  async #optionalCredentials(
    provider: Pick<CredentialProvider, 'current'>,
    signal: AbortSignal,
  ): Promise<Credentials | undefined> {
    try {
      return await provider.current(signal);
    } catch (error) {
      const none = error instanceof ProxyError && error.details.kind === 'none';
      if (!none) throw error;
      const { events, profile } = this.#options;
      events.emit({ type: 'credentials.missing', profile, message: 'sent unsigned (--skip-auth)' });
      return undefined;
    }
  }

  #send(
    request: TransportRequest,
    lease: Lease,
    context: AttemptContext,
    attempt: number,
  ): Promise<Incoming> {
    const now = (): Promise<Incoming> => this.#sendSigned(request, lease, context, attempt);
    // A server that closes a connection says so by a FIN: one that has arrived is to be seen before
    // a request that must not be sent twice goes into a dead socket. undici gives the loop a turn
    // on a kept connection, which is enough for one that has rested; behind an answer of this very
    // turn, the system has to be asked once more.
    return lease.justAnswered && !request.idempotent ? nextTurn().then(now) : now();
  }

  #sendSigned(
    request: TransportRequest,
    lease: Lease,
    context: AttemptContext,
    attempt: number,
  ): Promise<Incoming> {
    const signed = this.#sign(request, context);
    return signed instanceof Promise
      ? signed.then((headers) => this.#dispatch(request, lease, context, headers, attempt))
      : this.#dispatch(request, lease, context, signed, attempt);
  }

  #dispatch(
    request: TransportRequest,
    lease: Lease,
    { added }: AttemptContext,
    signed: SignedHeaders,
    attempt: number,
  ): Promise<Incoming> {
    const { target, clock, events, profile } = this.#options;
    // Not spread: three objects in one literal cost 20 times as much.
    const headers = Object.assign({}, this.#options.headers(), request.headers, added, signed);
    if (request.signal.aborted) throw request.signal.reason;
    request.onAttempt(lease);
    const { method, body, onStart } = request;
    const outgoing = { method, path: target.path, headers, body, onStart };
    if (!events.detailed) return lease.send(outgoing);
    const bytes = body?.length ?? 0;
    events.emit({ type: 'http.request', profile, method, lane: request.lane, bytes, attempt });
    const started = clock.monotonic();
    return lease.send(outgoing).then((response) => {
      events.emit({
        type: 'http.response',
        profile,
        status: response.status,
        ms: clock.monotonic() - started,
        contentType: headerOf(response.headers, 'content-type'),
        date: headerOf(response.headers, 'date'),
      });
      return response;
    });
  }

  #sign(
    { method, body }: TransportRequest,
    { credentials, offsetMs }: AttemptContext,
  ): SignedHeaders | Promise<SignedHeaders> {
    const { target, signing, clock } = this.#options;
    const contentType = body ? 'application/json' : undefined;
    if (!credentials || !signing)
      return { host: target.host, ...(contentType ? { 'content-type': contentType } : {}) };
    const date = new Date(clock.now() + offsetMs);
    return signer({ method, target, contentType, body }, credentials, signing.scope, date);
  }

  /** Only failures are judged by it: reading a date for every answer would be work for nothing. */
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
   * Decides whether a refusal can be mended, and mends it. The refused request did not run, so
   * sending it again is safe.
   */
  async #remedy(
    { response, skewMs, sessionId }: OpenedExchange,
    used: { readonly credentials: Credentials; readonly offsetMs: number },
    remedies: AvailableRemedies,
    signal: AbortSignal,
  ): Promise<{ credentials: Credentials | undefined } | undefined> {
    const { events, profile, signing } = this.#options;
    const body = await response.readAll(ERROR_BODY).catch(() => undefined);
    if (!body || !signing) return undefined;
    // Some servers answer 401 to a session that they do not know, whoever asks.
    if (sessionId !== undefined && readLostSession(response, body, sessionId)) return undefined;
    const refusal = judgeRefusal({
      status: response.status,
      errorType: headerOf(response.headers, 'x-amzn-errortype'),
      contentType: headerOf(response.headers, 'content-type'),
      body: decodeBody(body) ?? '',
      challenge: headerOf(response.headers, 'www-authenticate'),
    });
    if (!isRefusal(response.status, refusal)) return undefined;
    const report = (again: boolean): void =>
      events.emit({ type: 'auth.rejected', profile, verdict: refusal.kind, message: refusal.message, again });
    const correction = correctionAfter({ kind: refusal.kind, skewMs, usedMs: used.offsetMs });
    if (correction) this.#correct(correction.offsetMs, used.offsetMs);
    if (correction?.retry && remedies.clock) {
      remedies.clock = false;
      report(true);
      return { credentials: undefined };
    }
    if (refusal.kind === 'clock') this.#timeRefusedAt = this.#options.clock.monotonic();
    if (RENEWABLE.has(refusal.kind) && remedies.fresh) {
      remedies.fresh = false;
      const newer = await signing.credentials.refresh(used.credentials, signal);
      if (newer) {
        report(true);
        return { credentials: newer };
      }
    }
    report(false);
    return undefined;
  }

  #transportError(failure: TransportFailure): ProxyError {
    const { events, profile, host } = this.#options;
    const cause = plainCause(causeText(failure.cause));
    events.emit({ type: 'http.failed', profile, message: cause });
    if (failure.headersTooLong) return headersTooLong(host, failure);
    if (failure.sent === 'no') {
      return new ProxyError('connect-failed', `Cannot connect to ${host}: ${cause}.${connectAdvice(cause)}`, {
        sent: 'no',
        cause: failure,
      });
    }
    return connectionLost(host, cause, failure);
  }

  close(): void {
    for (const lane of Object.values(this.#options.lanes)) lane.close();
  }
}

/**
 * A server may do in a session what the one who opened it may do, and with what it keeps of that
 * one.
 */
const foreignSession = (profile: string): ProxyError =>
  new ProxyError(
    'session-lost',
    `The MCP session belongs to the AWS identity that ${profile === '' ? 'the credentials' : `the profile '${profile}'`} spoke for until now, and this call was not sent in it. Open a new session.`,
    // As where a server refuses it: a new session may take it.
    { sent: 'refused' },
  );

/**
 * Deletions of sessions have idle connections, and each that finds none has one of its own: as many
 * as there are sessions that end, and each has had one for its standalone stream. So they are
 * parallel, and no control message waits behind them.
 */
const POOL_OF_LANE: Readonly<Record<TransportRequest['lane'], Lane>> = {
  request: 'request',
  control: 'control',
  stream: 'stream',
  own: 'control',
  deletion: 'stream',
};

/**
 * Only where a second delivery does no harm, and on a connection that has carried others: a new one
 * cannot have died yet.
 */
const isHedged = ({ idempotent, opensSession, lane }: TransportRequest, { warm }: Lease): boolean =>
  idempotent && warm && lane !== 'stream' && lane !== 'deletion' && opensSession !== true;

/** AWS answers 400 for some credential errors; what stands in it decides. */
const couldBeRefusal = (status: number): boolean => status === 401 || status === 403 || status === 400;

const RENEWABLE: ReadonlySet<RefusalKind> = new Set(['expired', 'invalid-token']);

/**
 * Opens the socket while credentials are resolved, where that takes longer than a turn: the two
 * waits then overlap.
 */
function dialDuring(resolving: Promise<unknown>, lease: Lease): void {
  const turn = setImmediate(() => lease.dial());
  const cancel = (): void => clearImmediate(turn);
  resolving.then(cancel, cancel);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function headersTooLong(host: string, cause: Error): ProxyError {
  const fact = `The answer of ${host} has headers of more than ${MAX_RESPONSE_HEADER_BYTES} bytes, which is the limit`;
  return new ProxyError(
    'unusable-answer',
    `${fact}. The call may have run. Make the server, or the proxy in front of it, send fewer or smaller headers.`,
    { sent: 'maybe', fact, details: { limit: MAX_RESPONSE_HEADER_BYTES }, cause },
  );
}

export function connectionLost(host: string, cause: string, error?: unknown): ProxyError {
  const fact = `The connection to ${host} broke before the answer was complete: ${cause}`;
  return new ProxyError('connection-lost', `${fact}. The call may have run; check before you repeat it.`, {
    sent: 'maybe',
    fact,
    ...(error === undefined ? {} : { cause: error }),
  });
}
