import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import { ACCEPT } from '../../core/http/accept.ts';
import {
  cancellationOf,
  type Id,
  isObject,
  type JsonObject,
  type Message,
  paramsOf,
  type Request,
  type Response,
} from '../../core/jsonrpc/message.ts';
import type {
  Call,
  Client,
  Emit,
  KnownSession,
  Origin,
  Reply,
  RequestHeaders,
  SendOptions,
} from '../../core/pipeline/call.ts';
import type { Events, SessionCloseReason, SessionOpenReason } from '../../core/pipeline/events.ts';
import { isIdempotentCall } from '../../core/pipeline/idempotent.ts';
import { sessionLabel } from '../../core/pipeline/session-label.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin, sleep } from '../../core/time/waits.ts';
import { declaresChangesOf } from '../../core/tools/list-changes.ts';
import { Exchange, type ExchangeClient, type ExchangeDeps } from '../exchange/exchange.ts';
import { postNotification } from '../exchange/post-notification.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';
import { resumeHeaders } from '../stream/resumption.ts';
import { StandaloneStream } from '../stream/standalone-stream.ts';
import type { Affinity } from '../transport/affinity.ts';
import { hedgeAfterMsOf } from '../transport/hedge.ts';
import type { AttemptRequest } from '../transport/http-attempt.ts';
import { SessionOwner } from '../transport/session-owner.ts';
import type { SignedTransport } from '../transport/signed-transport.ts';
import { BatchClient, CallClient, type CallEmitter } from './call-client.ts';
import { isChangeNotification } from './dedupe-notifications.ts';
import { SessionCalls } from './in-flight.ts';

/** Longest wait for the standalone stream's request, and for its headers, which may never come. */
const STREAM_WAIT_MS = 1_000;
/** During these a server may send requests, which SDK servers drop without a standalone stream. */
const MAY_ASK_CLIENT: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'completion/complete']);
/** Client capabilities that let a server send requests. */
const CLIENT_ANSWERS = ['elicitation', 'sampling', 'roots'] as const;
/** Longest wait for the DELETE at shutdown. Clients kill the process after 2 s. */
const DELETE_WAIT_MS = 1_000;
/** Without `initialized` many servers refuse everything, so it is retried. */
const MAX_INITIALIZED_ATTEMPTS = 3;
const INITIALIZED_BASE_MS = 250;
const DONE = Promise.resolve();
const SENDABLE = /^[\x21-\x7e]+$/;

/** 405: the server does not let clients end sessions, and ends them itself. */
const endsSession = (status: number): boolean => (status >= 200 && status < 300) || status === 405;

/** A temporary fault; the notification may safely be sent twice. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof ProxyError)) return false;
  return error.fault === 'network' || isTemporary(Number(error.details.httpStatus ?? 0));
}

/** Members of a batch that are no requests do not count. */
const isNoCall = ({ message }: Call): boolean => message.kind !== 'request' || message.method === 'ping';

const mayAskClient = ({ message }: Call): boolean =>
  message.kind === 'request' && MAY_ASK_CLIENT.has(message.method);

export interface SessionDeps {
  /** Its headers are sent with every request of the session. */
  readonly client?: Client | undefined;
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  readonly readTimeoutMs: number;
  /** Called when a stream that announces changed tools opens; returns what to call at its end. */
  readonly onToolStream?: () => (() => void) | undefined;
}

/** Numbers sessions of servers that give them no id. */
let unnamed = 0;

/** One MCP session: its id, protocol version, standalone stream, and requests in flight. */
export class Session implements Origin, CallEmitter {
  readonly profile: string;
  readonly gone: Promise<void>;
  /** Called when the standalone stream or a notification shows that the session is lost. */
  onLost: () => void = () => undefined;
  readonly #deps: SessionDeps;
  /** The `emit` of `initialize`, which lives as long as the session. */
  readonly #emit: Emit;
  /** Why it is opened; set before `initialize`. */
  openReason: SessionOpenReason = 'client';
  #label = '';
  /** On the monotonic clock; undefined before it opens and after its end. */
  #openedAt: number | undefined;
  #initializingSince = 0;
  readonly #calls: SessionCalls;
  readonly #ended = new CallController();
  readonly affinity: Affinity;
  readonly #exchangeDeps: ExchangeDeps;
  #id: string | undefined;
  #version: string | undefined;
  #postHeaders: RequestHeaders | undefined;
  #initializeResult: JsonObject = {};
  /** True where the client can answer server requests. */
  #clientAnswersServer = false;
  /** Pending until the standalone stream has its headers. */
  #streamOpening: Promise<void> | undefined;
  readonly #owner = new SessionOwner();
  #lost = false;

  constructor(deps: SessionDeps, emit: Emit) {
    this.#deps = deps;
    this.#emit = emit;
    this.#calls = new SessionCalls(deps.clock);
    this.profile = deps.transport.profile;
    this.affinity = deps.transport.newAffinity();
    this.#exchangeDeps = {
      transport: deps.transport,
      clock: deps.clock,
      events: deps.events,
      origin: this,
      affinity: this.affinity,
      resumes: true,
      readTimeoutMs: deps.readTimeoutMs,
      deliverElsewhere: (response) => this.#deliverElsewhere(response),
      onReadTimeout: (request) => void this.#cancelSilentRequest(request),
    };
    this.gone = new Promise((resolve) => {
      this.#ended.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** True while a request is in flight here, or may still be cancelled. */
  carries(id: Id): boolean {
    return this.#calls.findExchange(id) !== undefined;
  }

  /** True once the server has lost the session. */
  get lost(): boolean {
    return this.#lost;
  }

  /** True once the session is lost or closed: its id is gone, even while the DELETE is pending. */
  get #isOver(): boolean {
    return this.#ended.signal.aborted;
  }

  /** True where another principal signs now: requests in flight go on, new ones may not start. */
  get foreign(): boolean {
    return this.#owner.isForeign;
  }

  whenIdle(): Promise<void> {
    return this.#calls.whenIdle();
  }

  get version(): string | undefined {
    return this.#version;
  }

  get initializeResult(): JsonObject {
    return this.#initializeResult;
  }

  /** Posts a message of the client. */
  send(call: Call): Promise<Reply> {
    const { message, signal } = call;
    return message.kind === 'request' ? this.request(call) : this.notify(message.text, signal);
  }

  /**
   * Posts a request.
   * @param priority - true for one of the proxy that calls wait for: it does not queue behind them.
   */
  request(call: Call, { priority = false } = {}): Promise<Reply> {
    const [reply] = this.#post(call, [call], call.message.text, priority);
    return reply ?? Promise.reject(new TypeError('a request without a reply'));
  }

  /** Posts a batch as one array, and returns a reply per call. */
  requestBatch(calls: readonly Call[], text: string): Promise<Reply>[] {
    const [first] = calls;
    return first ? this.#post(first, calls, text, false) : [];
  }

  #post(first: Call, calls: readonly Call[], text: string, priority: boolean): Promise<Reply>[] {
    const { sendOptions } = first;
    const token = sendOptions?.resumptionToken;
    const exchange = new Exchange(this.#exchangeDeps, this.#clientOf(first, calls));
    const replies = this.#calls.start(exchange, calls);
    const lane = calls.every(isNoCall) ? 'control' : priority ? 'own' : 'request';
    const request: AttemptRequest = {
      method: token === undefined ? 'POST' : 'GET',
      lane: token === undefined ? lane : 'stream',
      headers: this.#headersOf(sendOptions),
      admits: this.#owner.admits,
      body: token === undefined ? text : undefined,
      idempotent: calls.every(isIdempotentCall),
      hedgeAfterMs: hedgeAfterMsOf(calls),
      record: first.record,
      span: first.span,
    };
    const opening = this.#streamOpening;
    if (opening && calls.some(mayAskClient)) void opening.then(() => exchange.run(request));
    else void exchange.run(request);
    return replies;
  }

  /** The headers of one request, or of the GET that continues it. */
  #headersOf(options: SendOptions | undefined): RequestHeaders {
    if (!options) return this.#headers();
    const { headers, resumptionToken } = options;
    const own = this.#headers();
    return { ...headers, ...(resumptionToken === undefined ? own : resumeHeaders(resumptionToken, own)) };
  }

  #clientOf(first: Call, calls: readonly Call[]): ExchangeClient {
    // A list would be kept for each call that waits.
    return calls.length === 1 ? new CallClient(this, first) : new BatchClient(this, first, calls);
  }

  /** Passes on a message that came with the answer to a call. */
  emitTo(receiver: Call, message: Message, origin: Origin): Promise<void> {
    // The answer could not be delivered.
    if (this.#isOver && message.kind === 'request') {
      this.#dropped('a request of a session that is gone');
      return DONE;
    }
    // Emitted through the session, because the call may be cancelled.
    return isChangeNotification(message) ? this.#emit(message, this) : receiver.emit(message, origin);
  }

  /** Sends `initialize`, the only request without a session id. @param priority - see `request`. */
  async initialize(call: Call, request: Request, { priority = false } = {}): Promise<Reply> {
    const { transport, clock } = this.#deps;
    this.#initializingSince = clock.monotonic();
    const { capabilities } = paramsOf(request);
    this.#clientAnswersServer = isObject(capabilities) && CLIENT_ANSWERS.some((name) => name in capabilities);
    const exchange = new Exchange(this.#exchangeDeps, {
      emit: (message, origin) => this.emitTo(call, message, origin),
      // Server requests may arrive on this stream, so the id is read with the head.
      onResponse: (response) => this.#readId(response),
    });
    const leave = (): void => {
      const { reason } = call.signal;
      exchange.cut(exchange.abortReason(reason));
    };
    call.signal.addEventListener('abort', leave, { once: true });
    const reply = exchange.expect(request);
    void exchange.run({
      method: 'POST',
      lane: priority ? 'own' : 'request',
      headers: { ...this.#deps.client?.headers, ...call.sendOptions?.headers, accept: ACCEPT },
      body: request.text,
      idempotent: true,
      opensSession: true,
      record: call.record,
      span: call.span,
      // Not before its bytes are sent: the handshakes would delay them.
      onStart: () => setImmediate(() => transport.dialAhead()),
    });
    const answer = await reply.finally(() => call.signal.removeEventListener('abort', leave));
    if (answer.kind === 'answer' && answer.message.outcome === 'result') this.#open(exchange, answer.message);
    else this.#setId(undefined);
    return answer;
  }

  /** Ids and versions become headers, so only printable ASCII is accepted. */
  #readId({ status, headers }: Incoming): void {
    const id = headerOf(headers, 'mcp-session-id');
    if (status < 200 || status >= 300 || !SENDABLE.test(id)) return;
    this.#setId(id);
    this.#deps.transport.hide(id);
  }

  #open(exchange: Exchange, { json }: Response): void {
    this.#owner.record(exchange.principal);
    this.#initializeResult = isObject(json.result) ? json.result : {};
    const version = this.#initializeResult.protocolVersion;
    if (typeof version === 'string' && SENDABLE.test(version)) this.#version = version;
    this.#postHeaders = undefined;
    const { clock, events } = this.#deps;
    this.#openedAt = clock.monotonic();
    this.#label = this.#id === undefined ? `#${++unnamed}` : sessionLabel(this.#id);
    events.emit({
      type: 'session.opened',
      profile: this.profile,
      session: this.#label,
      reason: this.openReason,
      protocolVersion: this.#version ?? 'none',
      hasId: this.#id !== undefined,
      ms: this.#openedAt - this.#initializingSince,
    });
  }

  /** Names the session in events: a hash of its id, which is a secret. Empty before it opens. */
  get label(): string {
    return this.#label;
  }

  /** Reports the end, once for each opening. */
  #reportEnd(reason: SessionCloseReason, how: string): void {
    const openedAt = this.#openedAt;
    if (openedAt === undefined) return;
    this.#openedAt = undefined;
    const { clock, events } = this.#deps;
    events.emit({
      type: 'session.closed',
      profile: this.profile,
      session: this.#label,
      reason,
      how,
      ageMs: clock.monotonic() - openedAt,
    });
  }

  /** Posts a notification, a response, or a batch of them, until the server has accepted it. */
  async notify(text: string, signal: AbortSignal, { priority = false } = {}): Promise<Reply> {
    // Without its session's id it would be attributed to no session, or another.
    if (this.#isOver) return { kind: 'accepted' };
    const id = this.#id;
    try {
      return await postNotification(this.#deps, {
        text,
        headers: this.#headers(),
        affinity: this.affinity,
        signal,
        priority,
      });
    } catch (error) {
      // Not re-sent: a response means nothing to another session.
      if (error instanceof ProxyError && error.reason === 'session-lost' && this.#id === id) this.onLost();
      throw error;
    }
  }

  /** Sends `initialized`, then opens the standalone stream, before any later request. */
  async initialized(text: string, signal: AbortSignal): Promise<Reply> {
    const { clock } = this.#deps;
    let refused: unknown;
    for (let attempt = 1; attempt <= MAX_INITIALIZED_ATTEMPTS; attempt++) {
      try {
        const reply = await this.notify(text, signal, { priority: true });
        await this.#startStream();
        return reply;
      } catch (error) {
        refused = error;
        if (signal.aborted || !isTransient(error)) break;
        await sleep(clock, fullJitter(clock, attempt, INITIALIZED_BASE_MS, INITIALIZED_BASE_MS * 4), signal);
      }
    }
    throw refused;
  }

  /** Forwards a cancellation if the request was sent, then ends its exchange. */
  async cancel(id: Id, text: string, signal: AbortSignal): Promise<Reply> {
    const exchange = this.#calls.findExchange(id);
    if (!exchange?.sent) return { kind: 'accepted' };
    if (this.#ended.signal.aborted) {
      // The lost session has nothing to cancel.
      exchange.endIfIdle(new Error('cancelled'));
      return { kind: 'accepted' };
    }
    try {
      return await this.notify(text, signal);
    } finally {
      exchange.endIfIdle(new Error('cancelled'));
    }
  }

  async #cancelSilentRequest(request: Request): Promise<void> {
    const { text } = cancellationOf(request, 'nothing was heard for longer than the read timeout');
    await this.notify(text, this.#ended.signal).catch(() => undefined);
  }

  #deliverElsewhere(response: Response): boolean {
    return response.id !== undefined && (this.#calls.findExchange(response.id)?.deliver(response) ?? false);
  }

  #dropped(reason: string): void {
    this.#deps.events.emit({ type: 'upstream.message-dropped', profile: this.profile, reason });
  }

  /** The headers of every POST. Those of the session are built when its id changes. */
  #headers(): RequestHeaders {
    this.#postHeaders ??= {
      accept: ACCEPT,
      ...(this.#id === undefined ? {} : { 'mcp-session-id': this.#id }),
      ...(this.#version === undefined ? {} : { 'mcp-protocol-version': this.#version }),
    };
    // A library user may change them between two calls.
    const own = this.#deps.client?.headers;
    return own ? { ...own, ...this.#postHeaders } : this.#postHeaders;
  }

  #setId(id: string | undefined): void {
    this.#id = id;
    this.#postHeaders = undefined;
  }

  /**
   * Resolves when the stream's request has been sent. Only calls during which the server may send
   * requests wait for its headers.
   */
  #startStream(): Promise<unknown> {
    const { transport, clock, events, onToolStream } = this.#deps;
    const stream = new StandaloneStream({
      transport,
      clock,
      events,
      headers: () => this.#headers(),
      affinity: this.affinity,
      deliver: (message) => this.#deliver(message),
      owner: this.#owner,
      onSessionGone: () => {
        if (this.#id !== undefined || this.foreign) this.onLost();
      },
      onOpened: declaresChangesOf('tools', this.#initializeResult) ? onToolStream : undefined,
      ended: this.#ended.signal,
    });
    void stream.keep();
    if (this.#clientAnswersServer) {
      const opening = settleWithin(clock, STREAM_WAIT_MS, stream.opened).then(() => {
        if (this.#streamOpening === opening) this.#streamOpening = undefined;
      });
      this.#streamOpening = opening;
    }
    return settleWithin(clock, STREAM_WAIT_MS, stream.sent);
  }

  async #deliver(message: Message): Promise<void> {
    if (message.kind !== 'response') await this.#emit(message, this);
    else if (!this.#deliverElsewhere(message)) this.#dropped('an answer to no request that is waiting');
  }

  /** Continues a session that an earlier run has opened, in place of `initialize`. */
  adopt({ id, version }: KnownSession): void {
    if (!SENDABLE.test(id)) throw new TypeError('a session id consists of visible ASCII characters');
    this.#version = version;
    this.#setId(id);
    this.#deps.transport.hide(id);
  }

  /** Keeps the session at the server when it is closed here. */
  leaveOpen(): void {
    this.#setId(undefined);
  }

  /** Id and version; undefined where the server gave it no id. */
  get known(): KnownSession | undefined {
    return this.#id === undefined ? undefined : { id: this.#id, version: this.#version };
  }

  /** Marks the session as lost: no new requests, and no DELETE. */
  markLost(): void {
    this.#lost = true;
    this.#reportEnd('lost', 'the server does not know it any more');
    this.#ended.abort(new Error('session lost'));
    this.#setId(undefined);
    this.affinity.drop();
  }

  /** Drops the affinity to a backend that is gone. @returns whether there was one. */
  dropAffinity(): boolean {
    const { holds } = this.affinity;
    this.affinity.drop();
    return holds;
  }

  /** Closes the standalone stream and deletes the session, with a bounded wait. Never throws. */
  async close(reason: SessionCloseReason = 'closed'): Promise<void> {
    const { transport, clock, events } = this.#deps;
    this.#ended.abort(new Error('session closed'));
    if (this.#id === undefined) {
      this.#reportEnd(reason, 'it has no id to DELETE');
      return;
    }
    const headers = this.#headers();
    this.#setId(undefined);
    const { profile, label: session } = this;
    const span = events.beginTrace({ type: 'session-close', profile, reason, session });
    const late = new AbortController();
    const deletion = transport
      .open({
        method: 'DELETE',
        lane: 'deletion',
        headers,
        idempotent: true,
        affinity: this.affinity,
        span,
        signal: late.signal,
        observer: { onAttempt: (lease) => lease.cancelOn(late.signal) },
      })
      .then(
        ({ response: { status } }) => ({ how: `HTTP ${status} to DELETE`, done: endsSession(status) }),
        (error: unknown) => ({ how: causeText(error), done: false }),
      );
    const outcome = await settleWithin(clock, DELETE_WAIT_MS, deletion);
    const { how, done } = outcome ?? { how: 'no answer to DELETE in time', done: false };
    late.abort(new Error('no answer to DELETE in time'));
    this.affinity.drop();
    span?.end(outcome ? {} : { errorType: 'timeout' });
    if (!done) this.#deps.client?.onNotDeleted?.(how);
    this.#reportEnd(reason, how);
  }
}
