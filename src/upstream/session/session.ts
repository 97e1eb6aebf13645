import { causeText, ProxyError } from '../../core/errors/errors.ts';
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
import type { Call, Emit, Origin, Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { isIdempotentCall } from '../../core/pipeline/idempotent.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import { CallController } from '../../core/time/call-signal.ts';
import { type Clock, settleWithin, sleep } from '../../core/time/clock.ts';
import { declaresChangesOf } from '../../core/tools/list-changes.ts';
import { ACCEPT, Exchange } from '../exchange/exchange.ts';
import { postNotification } from '../exchange/post-notification.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';
import { StandaloneStream } from '../stream/standalone-stream.ts';
import type { Affinity } from '../transport/affinity.ts';
import { hedgeAfterMsOf } from '../transport/hedge.ts';
import type { SignedTransport } from '../transport/signed-transport.ts';
import { type IsDuplicate, isChangeNotification } from './dedupe-notifications.ts';
import { SessionCalls } from './in-flight.ts';

/**
 * Longest wait for the standalone stream's request to leave, and for its headers: a server may
 * never send any.
 */
const STREAM_WAIT_MS = 1_000;
/**
 * During these a server may send requests to the client, and SDK servers drop them while the
 * standalone stream is not open.
 */
const MAY_ASK_CLIENT: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'completion/complete']);
/** A client that declares none of these receives no such requests. */
const CLIENT_ANSWERS = ['elicitation', 'sampling', 'roots'] as const;
/**
 * How long the process may wait for the server to take the DELETE when it ends. Clients kill it
 * after 2 s.
 */
const DELETE_WAIT_MS = 1_000;
/** Without `initialized`, many servers refuse all that follows: worth more than one try. */
const MAX_INITIALIZED_ATTEMPTS = 3;
const INITIALIZED_BASE_MS = 250;
const SENDABLE = /^[\x21-\x7e]+$/;

/** A fault that may be over in a moment: the same notification twice does no harm. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof ProxyError)) return false;
  const status = Number(error.details.httpStatus ?? 0);
  return (
    error.reason === 'connection-lost' || error.reason === 'connect-failed' || status >= 500 || status === 429
  );
}

export interface SessionDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  readonly readTimeoutMs: number;
  /** Undefined where this is the only session. */
  readonly isDuplicate?: IsDuplicate | undefined;
  /**
   * The standalone stream has opened, and its server has said that it tells of changed tools;
   * returns what to call at its end.
   */
  readonly onToolStream?: () => (() => void) | undefined;
}

/**
 * One MCP session with the server: its id, its negotiated revision, its standalone stream, the
 * exchanges under way.
 */
export class Session implements Origin {
  readonly profile: string;
  readonly gone: Promise<void>;
  /**
   * The server has lost this session, and nobody's call showed it: its standalone stream did, or a
   * message that has no answer.
   */
  onLost: () => void = () => undefined;
  #resolveGone: () => void = () => undefined;
  readonly #deps: SessionDeps;
  /**
   * That of the initialize call: it lives as long as the session and carries the standalone stream.
   */
  readonly #emit: Emit;
  readonly #calls: SessionCalls;
  readonly #ended = new CallController();
  readonly #affinity: Affinity;
  #id: string | undefined;
  #version: string | undefined;
  #initializeResult: JsonObject = {};
  /** The client that opened it answers requests of the server. */
  #clientAnswersServer = false;
  /** Pending until the standalone stream has its headers. */
  #streamOpening: Promise<void> | undefined;
  /** Who has opened it. */
  #owner: { readonly principal: string | undefined } | undefined;
  #foreign = false;
  #lost = false;

  constructor(deps: SessionDeps, emit: Emit) {
    this.#deps = deps;
    this.#emit = emit;
    this.#calls = new SessionCalls(deps.clock);
    this.profile = deps.transport.profile;
    this.#affinity = deps.transport.newAffinity();
    this.gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
  }

  /** True while a request is under way here, or may still be cancelled here. */
  carries(id: Id): boolean {
    return this.#calls.findExchange(id) !== undefined;
  }

  /** The server does not know it any more. */
  get lost(): boolean {
    return this.#lost;
  }

  /**
   * Whoever signs now is not the one who has opened it: what is under way here runs to its end, and
   * nothing new may begin.
   */
  get foreign(): boolean {
    return this.#foreign;
  }

  get idle(): boolean {
    return this.#calls.idle;
  }

  /** Resolves when no request is under way here. */
  whenIdle(): Promise<void> {
    return this.#calls.whenIdle();
  }

  get version(): string | undefined {
    return this.#version;
  }

  /** The result of its initialize: what the server can do, and how it wants to be used. */
  get initializeResult(): JsonObject {
    return this.#initializeResult;
  }

  /**
   * Posts a request, or the members of a batch as one array, and gives each call its answer.
   * @param own - it is the proxy's own, which calls of the client wait for: it does not stand
   * behind those that hold every connection.
   */
  request(calls: readonly Call[], text: string, { priority = false } = {}): Promise<Reply>[] {
    const requests = calls.flatMap((call) => (call.message.kind === 'request' ? [call.message] : []));
    const [first] = calls;
    if (!first) return [];
    // The first of a batch may be cancelled, and what comes down for the others must not be held
    // back with it.
    const emit: Emit = (message, origin) =>
      (calls.find(({ signal }) => !signal.aborted) ?? first).emit(message, origin);
    const exchange = this.#createExchange(emit);
    const expected = calls.map((call) => this.#calls.expect(exchange, call));
    // Only now: one that is cancelled already must not end an exchange that does not know of the
    // others yet.
    for (const { watch } of expected) watch();
    const lane = requests.every(({ method }) => method === 'ping') ? 'control' : priority ? 'own' : 'request';
    const send = (): void =>
      void exchange.run({
        method: 'POST',
        lane,
        headers: this.#headers(),
        admits: this.#admits,
        body: Buffer.from(text),
        idempotent: calls.every(isIdempotentCall),
        hedgeAfterMs: hedgeAfterMsOf(requests),
      });
    const opening = this.#streamOpening;
    if (opening && requests.some(({ method }) => MAY_ASK_CLIENT.has(method))) void opening.then(send);
    else send();
    return expected.map(({ reply }) => reply);
  }

  #createExchange(emit: Emit, onResponse?: (response: Incoming) => void): Exchange {
    const { transport, clock, readTimeoutMs } = this.#deps;
    const filteredEmit: Emit = async (message, origin) => {
      // Its answer could not be delivered, and the client would ask a person for nothing.
      if (this.#lost && message.kind === 'request') this.#dropped('a request of a session that is gone');
      // Whoever's stream it comes on: a call that was cancelled would take it along.
      else if (isChangeNotification(message)) await this.#emitUnlessDuplicate(message);
      else await emit(message, origin);
    };
    return new Exchange(
      {
        transport,
        clock,
        origin: this,
        affinity: this.#affinity,
        onResponse,
        resumption: {
          headersAfter: this.#resumeHeaders(),
          onResumed: () => this.#deps.events.emit({ type: 'stream.resumed', profile: this.profile }),
        },
        readTimeoutMs,
        deliverElsewhere: (response) => this.#deliverElsewhere(response),
        onDropped: (reason) => this.#dropped(reason),
        onReadTimeout: (request) => void this.#cancelSilentRequest(request),
      },
      filteredEmit,
    );
  }

  /**
   * Opens the session: the one request that carries no session id, and whose answer brings one.
   * @param own - as for `request`.
   */
  async initialize(call: Call, request: Request, { priority = false } = {}): Promise<Reply> {
    const { transport } = this.#deps;
    const { capabilities } = paramsOf(request);
    this.#clientAnswersServer = isObject(capabilities) && CLIENT_ANSWERS.some((name) => name in capabilities);
    // The server may ask the client on this very stream, and needs the id with the response.
    const exchange = this.#createExchange(call.emit, (response) => this.#readId(response));
    const leave = (): void => {
      const { reason } = call.signal;
      exchange.cut(exchange.abortReason(reason));
    };
    call.signal.addEventListener('abort', leave, { once: true });
    const reply = exchange.expect(request);
    void exchange.run({
      method: 'POST',
      lane: priority ? 'own' : 'request',
      headers: { accept: ACCEPT },
      body: Buffer.from(request.text),
      idempotent: true,
      opensSession: true,
      // Not before its bytes have left: the handshakes would delay them.
      onStart: () => setImmediate(() => transport.dialAhead()),
    });
    const answer = await reply.finally(() => call.signal.removeEventListener('abort', leave));
    if (answer.kind === 'answer' && answer.message.outcome === 'result') this.#open(exchange, answer.message);
    else this.#id = undefined;
    return answer;
  }

  /**
   * Both ids and revisions go into headers: what is not printable ASCII is none that the protocol
   * knows.
   */
  #readId({ status, headers }: Incoming): void {
    const id = headerOf(headers, 'mcp-session-id');
    if (status >= 200 && status < 300 && SENDABLE.test(id)) this.#id = id;
  }

  #open(exchange: Exchange, { json }: Response): void {
    this.#owner = { principal: exchange.principal };
    this.#initializeResult = isObject(json.result) ? json.result : {};
    const version = this.#initializeResult.protocolVersion;
    if (typeof version === 'string' && SENDABLE.test(version)) this.#version = version;
    this.#deps.events.emit({
      type: 'session.opened',
      profile: this.profile,
      protocolVersion: this.#version ?? 'none',
      hasId: this.#id !== undefined,
    });
  }

  /**
   * Posts a notification, a response, or a batch of them; resolves when the server has accepted it.
   * @throws ProxyError as for a request.
   */
  async notify(text: string, signal: AbortSignal, { priority = false } = {}): Promise<Reply> {
    // Without the id of the session that it was meant for, it would be taken as said to none, or to
    // another.
    if (this.#lost) return { kind: 'accepted' };
    const id = this.#id;
    try {
      return await postNotification(this.#deps, {
        text,
        headers: this.#headers(),
        affinity: this.#affinity,
        signal,
        priority,
      });
    } catch (error) {
      // It is not said again by itself: an answer means nothing to another session. But who comes
      // next need not find out.
      if (error instanceof ProxyError && error.reason === 'session-lost' && this.#id === id) this.onLost();
      throw error;
    }
  }

  /**
   * `notifications/initialized`: accepted first, then the standalone stream's GET, before any later
   * request. Only a call during which the server may send a request to the client waits for the
   * stream's headers.
   */
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

  /** Passes a cancellation on if the server may know the request, then ends the exchange. */
  async cancel(id: Id, text: string, signal: AbortSignal): Promise<Reply> {
    const exchange = this.#calls.findExchange(id);
    if (!exchange?.sent) return { kind: 'accepted' };
    if (this.#ended.signal.aborted) {
      // The server has lost the session, and with it what it would cancel.
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

  readonly #admits = (principal: string | undefined): boolean => {
    this.#foreign = this.#owner !== undefined && this.#owner.principal !== principal;
    return !this.#foreign;
  };

  #deliverElsewhere(response: Response): boolean {
    return response.id !== undefined && (this.#calls.findExchange(response.id)?.deliver(response) ?? false);
  }

  #dropped(reason: string): void {
    this.#deps.events.emit({ type: 'upstream.message-dropped', profile: this.profile, reason });
  }

  #headers(accept = ACCEPT): Record<string, string> {
    return {
      accept,
      ...(this.#id === undefined ? {} : { 'mcp-session-id': this.#id }),
      ...(this.#version === undefined ? {} : { 'mcp-protocol-version': this.#version }),
    };
  }

  /**
   * Taken now: what a stream resumes with is the session that it belongs to, also after that was
   * lost.
   */
  #resumeHeaders(): (lastEventId: string) => Record<string, string> {
    const headers = this.#headers('text/event-stream');
    // Header values are bytes: an id beyond ASCII goes out as the UTF-8 that it came in.
    return (lastEventId) => ({ ...headers, 'last-event-id': Buffer.from(lastEventId).toString('latin1') });
  }

  /** Resolves when the stream's request has left. */
  #startStream(): Promise<unknown> {
    const { clock } = this.#deps;
    let opened: () => void = () => undefined;
    const headers = new Promise<void>((resolve) => {
      opened = resolve;
    });
    if (this.#clientAnswersServer) {
      const opening = settleWithin(clock, STREAM_WAIT_MS, headers).then(() => {
        if (this.#streamOpening === opening) this.#streamOpening = undefined;
      });
      this.#streamOpening = opening;
    }
    const left = new Promise<void>((sent) => void this.#keepStream({ sent, opened }));
    return settleWithin(clock, STREAM_WAIT_MS, left);
  }

  #keepStream(first: { readonly sent: () => void; readonly opened: () => void }): Promise<void> {
    const { transport, clock, events } = this.#deps;
    const resume = this.#resumeHeaders();
    const stream = new StandaloneStream({
      transport,
      clock,
      events,
      headersAfter: (lastEventId) =>
        lastEventId === undefined ? this.#headers('text/event-stream') : resume(lastEventId),
      affinity: this.#affinity,
      deliver: (message) => this.#deliver(message),
      onDropped: (reason) => this.#dropped(reason),
      admits: this.#admits,
      onSessionGone: () => {
        if (this.#id !== undefined || this.#foreign) this.onLost();
      },
      onOpened: () =>
        declaresChangesOf('tools', this.#initializeResult) ? this.#deps.onToolStream?.() : undefined,
      ended: this.#ended.signal,
    });
    return stream.keep(first);
  }

  async #emitUnlessDuplicate(message: Message): Promise<void> {
    if (!this.#deps.isDuplicate?.(message, this)) await this.#emit(message, this);
  }

  async #deliver(message: Message): Promise<void> {
    if (message.kind !== 'response') await this.#emitUnlessDuplicate(message);
    else if (!this.#deliverElsewhere(message)) this.#dropped('an answer to no request that is waiting');
  }

  /** The server has lost it: nothing new goes through it, and there is nothing left to delete. */
  markLost(): void {
    this.#lost = true;
    this.#ended.abort(new Error('session lost'));
    this.#id = undefined;
    this.#affinity.drop();
    this.#resolveGone();
  }

  /**
   * Where the server keeps no session but the platform routes: leaves the backend that is gone.
   * @returns whether there was one.
   */
  dropAffinity(): boolean {
    const { holds } = this.#affinity;
    this.#affinity.drop();
    return holds;
  }

  /**
   * Ends the standalone stream at once and deletes the session, waiting a bounded moment for the
   * server. Never throws.
   */
  async close(): Promise<void> {
    const { transport, clock, events } = this.#deps;
    this.#ended.abort(new Error('session closed'));
    this.#resolveGone();
    if (this.#id === undefined) return;
    const headers = this.#headers();
    this.#id = undefined;
    const late = new AbortController();
    const deletion = transport
      .open({
        method: 'DELETE',
        lane: 'deletion',
        headers,
        idempotent: true,
        affinity: this.#affinity,
        signal: late.signal,
        onAttempt: (lease) => lease.cancelOn(late.signal),
      })
      .then(({ response }) => `HTTP ${response.status} to DELETE`, causeText);
    const how = await settleWithin(clock, DELETE_WAIT_MS, deletion);
    late.abort(new Error('no answer to DELETE in time'));
    this.#affinity.drop();
    events.emit({ type: 'session.closed', profile: this.profile, how: how ?? 'no answer to DELETE in time' });
  }
}
