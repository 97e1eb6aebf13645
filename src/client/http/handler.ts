import { hash } from 'node:crypto';
import { type ErrorReason, ProxyError } from '../../core/errors/errors.ts';
import { acceptedForms } from '../../core/http/accept.ts';
import { headerMismatch } from '../../core/http/header-agreement.ts';
import {
  cancellationOf,
  describeMessage,
  errorResponse,
  idText,
  isId,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
  type Response,
  statedVersion,
} from '../../core/jsonrpc/message.ts';
import { type InvalidMessage, readLine } from '../../core/jsonrpc/parse.ts';
import { Abandoned } from '../../core/pipeline/abandoned.ts';
import {
  type Call,
  type Client,
  type Handler,
  NO_DEADLINE,
  type Reply,
  type RequestHeaders,
} from '../../core/pipeline/call.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { type Share, shareOf } from '../../core/pipeline/fair-queue.ts';
import { type BareRequest, deriveHttpContext, type HttpExchange } from '../../core/pipeline/http-context.ts';
import type { PeerFact, Peers } from '../../core/pipeline/peers.ts';
import {
  endRecord,
  endRecordWith,
  type ObservedCall,
  observeCall,
  UNOBSERVED,
} from '../../core/pipeline/record-call.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { listKeyOf } from '../../core/tools/list-pages.ts';
import { startHeartbeat } from '../heartbeat.ts';
import { rescue } from '../rescue.ts';
import { type TimeLimits, timeLimitFor, timeoutError } from '../time-limit.ts';
import { sampleAnswer } from './answer-sample.ts';
import { batchRefusal } from './batch.ts';
import { Capacity, shortageText } from './capacity.ts';
import { answerForwarded, hideUnauthorized, OK, type Settled } from './forwarded-answer.ts';
import { type HttpCall, HttpCalls, SESSION_CLIENT } from './in-flight.ts';
import { refusedAtEnd, waitedUntilEnd } from './leaving.ts';
import { HttpResponse } from './response.ts';
import { endWithToken } from './stream-expiry.ts';

/** Time for the server to receive the cancellation before its exchange is closed. */
const CANCEL_GRACE_MS = 1_000;
/** Time at shutdown for complete responses to be distinguished from incomplete ones. */
const SETTLE_MS = 1_000;

/** 100 kB of ids; sessions with longer ids are rare. */
const MAX_CLIENT_IDS = 500;
const MAX_KEPT_SESSION_ID = 128;

export interface HttpHandlerDeps {
  readonly handler: Handler;
  readonly forward: (request: BareRequest) => Promise<Reply>;
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly limits: TimeLimits;
  /** GET streams and subscriptions that may be open at once. */
  readonly maxStreams: number;
  /** The open streams of all handlers of a listener; by default, this handler is alone. */
  readonly streams?: Capacity | undefined;
  /**
   * True while all clients present the same token, or none: they need not leave room for others.
   */
  readonly soleCaller: () => boolean;
  /** Milliseconds of silence on an event stream after which a comment is sent; 0 = never. */
  readonly keepaliveMs: number;
  /** Milliseconds of silence of a call after which the proxy notifies progress; 0 = never. */
  readonly heartbeatMs: number;
  /**
   * True where a layer edits or caches tool lists, which are then read as messages. All other
   * responses are passed through.
   */
  readonly readsLists: boolean;
  /** True where the proxy reads all pages and returns one list. */
  readonly mergesPages?: boolean;
  /** Selects the client's headers that are forwarded. */
  readonly toUpstreamHeaders: (headers: RequestHeaders) => RequestHeaders;
  /** Returns a tool's known definition, which lists the arguments that are repeated in headers. */
  readonly findTool: (name: string) => JsonObject | undefined;
  /** The other workers that serve the same clients. */
  readonly peers?: Peers | undefined;
  /** Receives every notification of a GET stream, which no layer sees. */
  readonly onNotification: (notification: Notification) => void;
}

/** A message with its client and the response to write. */
interface PendingMessage {
  readonly message: Message;
  readonly client: string;
  readonly headers: RequestHeaders;
  readonly answer: HttpResponse;
  readonly record: CallRecord | undefined;
}

interface HandlingOptions {
  /** True where the answer may pass unread. */
  readonly passes: boolean;
  readonly observed?: ObservedCall;
}

/**
 * Handles the requests of all HTTP clients. Each request has its own signal, deadline and response;
 * ids may repeat between clients, and sessions belong to client and server.
 */
export class HttpHandler {
  readonly #deps: HttpHandlerDeps;
  readonly #calls: HttpCalls;
  /** Undefined where no other worker serves the same clients. */
  readonly #unsubscribe: (() => void) | undefined;
  /** The open streams. */
  readonly #streams: Capacity;
  /** By session id: the hash would be a hundredth of the work for each request. */
  readonly #clientIds = new Map<string, string>();
  #requests = 0;
  #leaving = false;

  constructor(deps: HttpHandlerDeps) {
    this.#deps = deps;
    this.#calls = new HttpCalls(deps.clock, deps.peers);
    this.#unsubscribe = deps.peers?.subscribe((fact) => this.#learn(fact));
    this.#streams = deps.streams ?? new Capacity(deps.maxStreams);
  }

  /** Open GET streams and subscriptions. */
  get streams(): number {
    return this.#streams.taken;
  }

  /** Handles the body of a POST. Never throws; resolves when the response is complete. */
  post(text: string, exchange: HttpExchange): Promise<void> {
    const answer = this.#createResponse(exchange);
    const line = readLine(text);
    const client = this.#clientId(exchange.headers);
    if (line.kind === 'message') return this.#handleMessage(line.message, exchange, client, answer);
    if (line.kind === 'batch') return this.#handleBatch(line.elements, exchange, client, answer);
    this.#rejectInvalid(line, text.length, answer);
    return DONE;
  }

  #createResponse(exchange: HttpExchange): HttpResponse {
    const { clock, keepaliveMs } = this.#deps;
    const forms = acceptedForms(exchange.headers.accept);
    return new HttpResponse(exchange, { clock, keepaliveMs, forms, reads: true });
  }

  #rejectInvalid({ id, error }: InvalidMessage, bytes: number, answer: HttpResponse): void {
    this.#deps.events.emit({ type: 'client.line-invalid', reason: error.message, bytes });
    answer.fail(error, id?.text);
  }

  /** A session id identifies the client; without one, each request counts as a new client. */
  #clientId(headers: RequestHeaders): string {
    const session = headers['mcp-session-id'];
    // An empty id identifies no one, so such clients must not share an identity.
    if (!session) return `http-request-${++this.#requests}`;
    const known = this.#clientIds.get(session);
    if (known !== undefined) return known;
    const id = `${SESSION_CLIENT}${hash('sha256', session, 'base64url')}`;
    if (session.length > MAX_KEPT_SESSION_ID) return id;
    if (this.#clientIds.size >= MAX_CLIENT_IDS) this.#clientIds.clear();
    this.#clientIds.set(session, id);
    return id;
  }

  /** True where a layer needs the response as a message, so that it cannot be passed through. */
  #needsMessage(method: string): boolean {
    const { readsLists, mergesPages = false } = this.#deps;
    return (readsLists && method === 'tools/list') || (mergesPages && listKeyOf(method) !== undefined);
  }

  #handleMessage(
    message: Message,
    exchange: HttpExchange,
    client: string,
    answer: HttpResponse,
  ): Promise<void> {
    const observed = this.#observe(message, exchange, client);
    const { record } = observed;
    const refusal =
      this.#refusalFor([message], exchange, client) ?? this.#headerMismatch(message, exchange.headers);
    if (refusal) {
      this.#endRecord(record, { error: refusal });
      answer.fail(refusal, message.kind === 'request' ? idText(message) : undefined);
      return DONE;
    }
    if (isStream(message) && !answer.acceptsEvents) {
      const error = new ProxyError('invalid-request', NEEDS_EVENTS, { sent: 'no' });
      this.#endRecord(record, { error });
      answer.fail(error, message.kind === 'request' ? idText(message) : undefined, NOT_ACCEPTABLE);
      return DONE;
    }
    const cancelled = message.kind === 'notification' ? this.#findCancelled(message, client) : undefined;
    if (cancelled && !cancelled.sent) {
      // The server has not received the request and must not receive it later.
      cancelled.controller.abort(new Abandoned('cancelled by the client'));
      answer.send([], { status: 202, headers: {} });
      return DONE;
    }
    // Some servers answer a notification that names a request's method.
    const read = message.kind !== 'response' && this.#needsMessage(message.method);
    const done = this.#runLayers(message, exchange, client, answer, { passes: !read, observed });
    // A server may keep the stream of a cancelled request open, which would occupy its connection.
    if (cancelled) {
      void settleWithin(this.#deps.clock, CANCEL_GRACE_MS, done).then(() =>
        cancelled.controller.abort(new Abandoned('cancelled by the client')),
      );
    }
    return done.then((outcome) =>
      this.#finish({ message, answer, client, headers: exchange.headers, record }, outcome),
    );
  }

  #observe(message: Message, exchange: HttpExchange, id: string): ObservedCall {
    const { events, profile, clock } = this.#deps;
    if (!events.recordsCalls || message.kind !== 'request') return UNOBSERVED;
    const client = clientOf(exchange, id);
    const { headers } = exchange;
    const userAgent = headers['user-agent'];
    const options = { transport: 'http', request: message, client, userAgent, profile, clock } as const;
    return observeCall(events, options, headers);
  }

  #endRecord(record: CallRecord | undefined, outcome: Settled): void {
    if (!record) return;
    const { events, clock } = this.#deps;
    if ('error' in outcome) {
      endRecordWith(events, clock, record, outcome.error);
      return;
    }
    if (outcome.reply.kind === 'answer') record.answered(outcome.reply.message);
    endRecord(events, clock, record);
  }

  #firstHeaderMismatch(
    elements: readonly (Message | InvalidMessage)[],
    headers: RequestHeaders,
  ): ProxyError | undefined {
    for (const element of elements) {
      const found = element.kind === 'invalid' ? undefined : this.#headerMismatch(element, headers);
      if (found) return found;
    }
    return undefined;
  }

  #headerMismatch(message: Message, headers: RequestHeaders): ProxyError | undefined {
    const { name } = message.kind === 'request' ? paramsOf(message) : {};
    return headerMismatch(headers, message, typeof name === 'string' ? this.#deps.findTool(name) : undefined);
  }

  /**
   * While draining, responses and cancellations are still accepted: calls in flight depend on them.
   */
  #refusalFor(
    messages: readonly (Message | InvalidMessage)[],
    exchange: HttpExchange,
    client: string,
  ): ProxyError | undefined {
    if (this.#leaving && messages.some(({ kind }) => kind === 'request')) return refusedAtEnd;
    const [first] = messages;
    // Nearly all are one message that opens no stream.
    if (messages.length === 1 && first?.kind !== 'invalid' && first && !isStream(first)) return undefined;
    const wanted = messages.filter((each) => each.kind !== 'invalid' && isStream(each)).length;
    return wanted === 0 ? undefined : this.#streamRefusal(wanted, this.#shareOf(exchange, client));
  }

  #streamRefusal(wanted: number, share: Share): ProxyError | undefined {
    const { maxStreams: max, soleCaller } = this.#deps;
    const shortage = this.#streams.shortage(share, { wanted, soleGroup: soleCaller() });
    if (shortage === undefined) return undefined;
    const why = shortageText(shortage, { max, things: 'streams', option: '--max-streams' });
    return new ProxyError('listener-full', `${why} This one was not opened.`, { sent: 'no' });
  }

  #takeStream(exchange: HttpExchange, client: string): () => void {
    return endWithToken(exchange, this.#deps.clock, this.#streams.take(this.#shareOf(exchange, client)));
  }

  #shareOf(exchange: HttpExchange, client: string): Share {
    return shareOf(clientOf(exchange, client)) ?? NO_SHARE;
  }

  /**
   * Finds the request that a cancellation names, unless the end of its stream is the cancellation.
   */
  #findCancelled(notification: Notification, client: string): HttpCall | undefined {
    if (notification.method !== 'notifications/cancelled') return undefined;
    const { requestId } = paramsOf(notification);
    const entry = isId(requestId) ? this.#calls.find(client, requestId) : undefined;
    if (!entry && isId(requestId)) this.#calls.publish({ fact: 'cancelled', client, id: requestId });
    return entry?.message && isCancellable(entry.message) ? entry : undefined;
  }

  /** Obeys what another worker has observed of a session. */
  #learn(fact: PeerFact): void {
    if (fact.fact !== 'cancelled') {
      this.#calls.learn(fact);
      return;
    }
    const entry = this.#calls.find(fact.client, fact.id);
    if (!entry?.message || !isCancellable(entry.message)) return;
    const abort = (): void => entry.controller.abort(new Abandoned('cancelled by the client'));
    // The other worker sends the cancellation.
    if (entry.sent) this.#deps.clock.schedule(CANCEL_GRACE_MS, abort, { keepAlive: false });
    else abort();
  }

  /**
   * Runs one message through the layers. Never throws. Settles with the handler, or one turn after
   * an abort: until then the handler can report how far the request got.
   */
  #runLayers(
    message: Message,
    exchange: HttpExchange,
    client: string,
    answer: HttpResponse,
    { passes, observed = UNOBSERVED }: HandlingOptions,
  ): Promise<Settled> {
    const { record } = observed;
    const { events, limits, handler, clock, heartbeatMs: everyMs } = this.#deps;
    if (!passes) answer.expectMessages();
    if (events.detailed) events.emit({ type: 'message.received', ...describeMessage(message) });
    const ms = message.kind === 'request' ? timeLimitFor(message, limits).ms : limits.timeoutMs;
    const stream = isStream(message);
    const entry = this.#calls.add({ client, message, stream }, ms, () =>
      this.#expire(entry, exchange.headers),
    );
    const endStream = stream ? this.#takeStream(exchange, client) : undefined;
    if (everyMs > 0 && message.kind === 'request') {
      entry.heartbeat = startHeartbeat(message, {
        clock,
        everyMs,
        send: ({ text }) => answer.insertEvent(text),
      });
    }
    const { signal } = entry.controller;
    exchange.onGone(() => entry.controller.abort(new Abandoned('the client has gone')));
    // One promise: an async function that awaits another one costs a call four of them.
    return new Promise((resolve) => {
      const settle = (outcome: Settled): void => {
        if (entry.over) return;
        entry.over = true;
        signal.removeEventListener('abort', leave);
        this.#endRecord(record, outcome);
        entry.heartbeat?.stop();
        entry.tap?.close();
        endStream?.();
        this.#calls.remove(entry);
        resolve(outcome);
      };
      const leave = (): void => void setImmediate(() => settle({ error: signal.reason }));
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
      const fail = (error: unknown): void => settle({ error });
      try {
        handler(this.#createCall(message, entry, exchange, answer, { passes, observed })).then(
          (reply) => settle({ reply }),
          fail,
        );
      } catch (error) {
        fail(error);
      }
    });
  }

  #createCall(
    message: Message,
    entry: HttpCall,
    exchange: HttpExchange,
    answer: HttpResponse,
    { passes, observed = UNOBSERVED }: HandlingOptions,
  ): Call {
    const { record, span } = observed;
    const headers = this.#deps.toUpstreamHeaders(exchange.headers);
    const leaving = (): void => {
      entry.sent = true;
    };
    return {
      message,
      client: clientOf(exchange, entry.client),
      profile: this.#deps.profile,
      signal: entry.controller.signal,
      emit: async (below) => {
        if (below.kind === 'request' && !answer.acceptsEvents) {
          this.#sendToServer(refuseServerRequest(below), exchange.headers, entry.client);
          return;
        }
        entry.tap ??= this.#calls.tapCall(entry);
        entry.tap.onMessage(below);
        await answer.sendEvent(below.text);
      },
      deadline: message.kind === 'request' ? entry.deadline : NO_DEADLINE,
      record,
      span,
      httpContext: passes
        ? {
            headers,
            onSend: leaving,
            pass: record
              ? (head) => sampleAnswer(record, head, answer.pass(hideUnauthorized(head)))
              : (head) => answer.pass(hideUnauthorized(head)),
            onAnswer: () => entry.heartbeat?.stop(),
            onAnswered: () => answer.markAnswered(),
            onResumable: () => answer.markResumable(),
          }
        : { headers, onSend: leaving },
    };
  }

  #expire(entry: HttpCall, headers: RequestHeaders): void {
    const { message, sent } = entry;
    const { limits, events } = this.#deps;
    if (message?.kind !== 'request') {
      entry.controller.abort(
        new ProxyError('timeout', 'The server did not accept it in time (--timeout).', { sent: 'maybe' }),
      );
      return;
    }
    const limit = timeLimitFor(message, limits);
    const notifiesServer = sent && isCancellable(message);
    const how = `${notifiesServer ? 'A cancellation was sent to the server; the' : 'The'} request may have run.`;
    const error = timeoutError(message, limit, { how, sent: 'maybe' });
    const { method, id } = message;
    events.emit({ type: 'call.cancelled', method, id: String(id), by: 'deadline' });
    entry.controller.abort(sent ? error : error.unsent);
    if (notifiesServer)
      this.#sendToServer(
        cancellationOf(message, `timed out after ${limit.ms / 1000} s`),
        headers,
        entry.client,
      );
  }

  /** Sends a message of the proxy on the client's session. Failures are only logged. */
  #sendToServer(message: Notification | Response, headers: RequestHeaders, client: string): void {
    const discarding: HttpExchange = {
      headers: message.kind === 'response' ? headers : deriveHttpContext({ headers }, message.method).headers,
      onGone: () => undefined,
      begin: () => ({ write: async () => undefined }),
      end: () => undefined,
      breakOff: () => undefined,
    };
    const discarded = new HttpResponse(discarding, { clock: this.#deps.clock, keepaliveMs: 0 });
    void this.#runLayers(message, discarding, client, discarded, { passes: true }).then((outcome) => {
      if ('error' in outcome) rescue(this.#deps.events, message, outcome.error);
    });
  }

  #finish(pending: PendingMessage, outcome: Settled): void {
    const { message, answer } = pending;
    if ('error' in outcome) {
      this.#fail(pending, outcome.error);
      return;
    }
    const { reply } = outcome;
    switch (reply.kind) {
      case 'passed':
        if (answer.begun) answer.end();
        else this.#fail(pending, new TypeError('the answer was passed to another exchange'));
        break;
      case 'answer':
        answer.send([reply.message.text], hideUnauthorized(reply.http ?? OK));
        break;
      case 'accepted':
        if (message.kind === 'request') {
          this.#fail(pending, new TypeError('a request was accepted without an answer'));
        } else answer.send([], { status: 202, headers: {} });
    }
  }

  #fail({ message, answer, client, headers, record }: PendingMessage, error: unknown): void {
    if (error instanceof Abandoned) {
      answer.endWithoutAnswer();
      return;
    }
    const known = rescue(this.#deps.events, message, error, record);
    const id = message.kind === 'request' ? idText(message) : undefined;
    const closes = id !== undefined && !isStream(message) && LAST_EVENTS.has(known.reason);
    if (!closes || !answer.closeWith(known, id)) answer.fail(known, id);
    // Other time limits have notified the server already.
    if (message.kind !== 'request' || known.details.limit !== 'read-timeout' || !isCancellable(message))
      return;
    this.#sendToServer(
      cancellationOf(message, 'nothing was heard for longer than the read timeout'),
      headers,
      client,
    );
  }

  /**
   * Sends the members one by one, so that each passes the layers, and returns their responses as
   * one array.
   */
  async #handleBatch(
    elements: readonly (Message | InvalidMessage)[],
    exchange: HttpExchange,
    client: string,
    answer: HttpResponse,
  ): Promise<void> {
    const refusal =
      this.#refusalFor(elements, exchange, client) ??
      batchRefusal(elements, exchange.headers['mcp-protocol-version']) ??
      this.#firstHeaderMismatch(elements, exchange.headers);
    if (refusal) {
      answer.fail(refusal, undefined);
      return;
    }
    let failure: unknown;
    const texts = await Promise.all(
      elements.map(async (element) => {
        if (element.kind === 'invalid')
          return errorResponse(element.error.toJsonRpc(), element.id?.text).text;
        const observed = this.#observe(element, exchange, client);
        const options = { passes: false, observed };
        const outcome = await this.#runLayers(element, exchange, client, answer, options);
        if ('reply' in outcome)
          return outcome.reply.kind === 'answer' ? outcome.reply.message.text : undefined;
        failure ??= outcome.error;
        if (element.kind !== 'request' || outcome.error instanceof Abandoned) return undefined;
        return errorResponse(
          rescue(this.#deps.events, element, outcome.error, observed.record).toJsonRpc(),
          idText(element),
        ).text;
      }),
    );
    const answers = texts.filter((text) => text !== undefined);
    if (answers.length > 0) answer.send(answers, OK, `[${answers.join(',')}]`);
    else if (failure === undefined) answer.send([], { status: 202, headers: {} });
    else if (failure instanceof ProxyError) answer.fail(failure, undefined);
    else if (failure instanceof Abandoned) answer.endWithoutAnswer();
    else answer.breakOff();
  }

  /**
   * Forwards GET and DELETE, which carry no message and pass no layer. Never throws; resolves when
   * the response is complete.
   */
  forward(method: 'GET' | 'DELETE', exchange: HttpExchange): Promise<void> {
    const { events, profile, limits, clock, keepaliveMs } = this.#deps;
    const answer = new HttpResponse(exchange, { clock, keepaliveMs });
    const stream = method === 'GET';
    const client = this.#clientId(exchange.headers);
    const share = this.#shareOf(exchange, client);
    const refusal = stream ? (this.#leaving ? refusedAtEnd : this.#streamRefusal(1, share)) : undefined;
    if (refusal) {
      answer.fail(refusal, undefined);
      return DONE;
    }
    const ms = stream ? 0 : limits.timeoutMs;
    const entry = this.#calls.add({ client, message: undefined, stream }, ms, () =>
      this.#expire(entry, exchange.headers),
    );
    const endStream = stream ? this.#takeStream(exchange, client) : undefined;
    entry.sent = true;
    exchange.onGone(() => entry.controller.abort(new Abandoned('the client has gone')));
    const tap = this.#calls.tapSession(client);
    const settle = (outcome: Settled): void => {
      try {
        answerForwarded(events, method, answer, outcome);
      } catch (error) {
        answerForwarded(events, method, answer, { error });
      } finally {
        tap.close();
        endStream?.();
        this.#calls.remove(entry);
      }
    };
    let forwarded: Promise<Reply>;
    try {
      forwarded = this.#deps.forward({
        method,
        headers: this.#deps.toUpstreamHeaders(exchange.headers),
        profile,
        signal: entry.controller.signal,
        pass: (head) => answer.pass(hideUnauthorized(head)),
        emit: async (message) => {
          tap.onMessage(message);
          if (message.kind === 'notification') this.#deps.onNotification(message);
        },
      });
    } catch (error) {
      forwarded = Promise.reject(error);
    }
    // Not async: its variables would live as long as a stream.
    return forwarded.then(
      (reply) => settle({ reply }),
      (error: unknown) => settle({ error }),
    );
  }

  /**
   * Accepts no new requests. Streams are closed; other requests, also those that wait for a limit,
   * may finish within `ms` milliseconds and then fail. Resolves when none is left.
   */
  async drain(ms: number): Promise<void> {
    const { clock, events } = this.#deps;
    this.#leaving = true;
    const ending = new ProxyError('shutting-down', 'The proxy is ending; the request may have run.', {
      sent: 'maybe',
    });
    const reasonFor = ({ sent }: HttpCall): Error => (sent ? ending : waitedUntilEnd);
    this.#calls.abortMatching(({ stream }) => stream, reasonFor);
    const idle = this.#calls.idle();
    if (this.#calls.size > 0) events.emit({ type: 'proxy.draining', inFlight: this.#calls.size });
    await settleWithin(clock, ms, idle);
    this.#calls.abortMatching(() => true, reasonFor);
    await settleWithin(clock, SETTLE_MS, idle);
    this.#unsubscribe?.();
  }
}

/**
 * A client that has the beginning of a stream gets these as its last event: of a stream that only
 * ends, or breaks off, most clients wait for the answer until their own time limit.
 */
const LAST_EVENTS: ReadonlySet<ErrorReason> = new Set(['timeout', 'shutting-down', 'connection-lost']);

const DONE = Promise.resolve();

const clientOf = ({ caller, headers }: HttpExchange, id: string): Client => ({
  id,
  address: caller?.address,
  token: caller?.token,
  inSession: Boolean(headers['mcp-session-id']),
});

/** The share of requests that the proxy makes for a client. */
const NO_SHARE: Share = { group: '', member: '' };

const NOT_ACCEPTABLE = 406;
const NEEDS_EVENTS =
  'Invalid request: subscriptions/listen is answered by an event stream: Accept must name text/event-stream. It was not sent.';

/**
 * The response to a server request that its client cannot receive, because it accepts no event
 * stream. Pure.
 */
function refuseServerRequest(request: Request): Response {
  if (request.method === 'ping') {
    const text = `{"jsonrpc":"2.0","id":${idText(request)},"result":{}}`;
    return { kind: 'response', text, json: JSON.parse(text), id: request.id, outcome: 'result' };
  }
  const why = `The client cannot take ${request.method}: its Accept header names no text/event-stream.`;
  return errorResponse(new ProxyError('invalid-request', why, { sent: 'no' }).toJsonRpc(), idText(request));
}

const isInitialize = (message: Message): boolean =>
  message.kind === 'request' && message.method === 'initialize';

/**
 * A stateless request is cancelled by closing its stream, and `initialize` must not be cancelled.
 */
const isCancellable = (message: Message): boolean =>
  statedVersion(message) === undefined && !isInitialize(message);

const isStream = (message: Message): boolean =>
  message.kind === 'request' && message.method === 'subscriptions/listen';
