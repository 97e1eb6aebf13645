import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary, statusClassOf } from '../../core/errors/status-class.ts';
import {
  idText,
  type Message,
  type Request,
  type Response,
  statedVersion,
  valueTextAt,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import { truncatedSizeOf, type Unusable } from '../../core/jsonrpc/parse.ts';
import {
  type BodySink,
  type Emit,
  type Handler,
  type HttpContext,
  type HttpFacts,
  type Origin,
  PermanentOrigin,
  type Reply,
} from '../../core/pipeline/call.ts';
import { errorTypeOf, isColdStart, isRejectedUnread, meaningOf } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { shareOf } from '../../core/pipeline/fair-queue.ts';
import type { BareRequest } from '../../core/pipeline/http-context.ts';
import { isIdempotentCall } from '../../core/pipeline/idempotent.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { isRefusal, judgeRefusal } from '../../endpoint/aws-errors.ts';
import { isSameIdLoosely, MAX_STRAYS } from '../exchange/exchange.ts';
import { ERROR_BODY, headerOf, type Incoming, isEncoded, mediaTypeOf } from '../http/incoming.ts';
import type { Lease } from '../http/lease.ts';
import { Resumption } from '../stream/resumption.ts';
import { withSilenceLimit } from '../stream/silence.ts';
import { readEventMessages } from '../stream/stream.ts';
import type { Affinity } from '../transport/affinity.ts';
import {
  decodeBody,
  invalidAnswer,
  isThrottledBody,
  missingAnswer,
  parseBody,
  toStatusError,
  wantsOAuth,
  writtenError,
} from '../transport/answer.ts';
import { hedgeAfterMsOf } from '../transport/hedge.ts';
import { CANCEL_GRACE_MS, CONTROL_CONNECTION_MS } from '../transport/http-attempt.ts';
import { isSessionLost, judgeLostSession, readLostSession } from '../transport/lost-session.ts';
import { abortReasonAt } from '../transport/progress.ts';
import {
  connectionLost,
  type OpenedExchange,
  type SignedTransport,
  type TransportRequest,
} from '../transport/signed-transport.ts';
import {
  type CheckDeps,
  CheckedEvents,
  checkBody,
  type EditResponse,
  isPlainAnswer,
  MAX_CHECKED_BYTES,
} from './checked-answer.ts';
import { readEarlyLoss } from './early-loss.ts';
import { ListCopies } from './list-copies.ts';
import { SessionRecords } from './session-records.ts';
import { tapEvents } from './stream-tap.ts';

/** How long a stream may stay open after its answer. */
const STREAM_AFTER_ANSWER_MS = 1_000;

/**
 * How long the beginning of an event is held for its end: servers send an unusable event in one
 * piece.
 */
const EVENT_HELD_MS = 100;

export interface PassThroughDeps {
  readonly transportOf: (profile: string) => SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  /** Milliseconds of silence in the middle of an answer that end it; 0 = no limit. */
  readonly readTimeoutMs: number;
}

export interface PassThroughRequest extends BareRequest {
  /** Removes what the client may not see from the responses that a resumed stream repeats. */
  readonly edit?: EditResponse | undefined;
}

/** One forwarded exchange, with what is needed to return its response. */
interface ForwardedExchange {
  readonly transport: SignedTransport;
  /** The message that it answers; undefined for GET and DELETE. */
  readonly message: Message | undefined;
  readonly pass: ((head: HttpFacts) => BodySink | undefined) | undefined;
  readonly onAnswer: HttpContext['onAnswer'];
  readonly httpContext: HttpContext | undefined;
  readonly emit: Emit;
  readonly origin: Origin;
  /** The id of its session, if any. */
  readonly sessionId: string | undefined;
  readonly silenceMs: number;
  readonly onSend: HttpContext['onSend'];
  readonly edit?: EditResponse | undefined;
  /**
   * True where disconnecting is not the cancellation, so the server gets a moment to receive it.
   */
  readonly grace: boolean;
}

/** The callbacks for reading a response as messages. */
interface AnswerReader {
  readonly answerOf: (message: Message | Unusable) => Promise<Reply | undefined>;
  /** The only response of a complete answer, under another id. */
  readonly onlyStray: () => Reply | undefined;
  readonly onResume: () => void;
}

type ForwardedRequest = TransportRequest & { readonly affinity: Affinity };

/**
 * The innermost handler for HTTP clients, which keep session, revision and streams themselves.
 * Requests are signed and sent with the client's headers, and responses are returned unchanged. No
 * recovery, no resuming.
 */
export class PassThrough {
  readonly #deps: PassThroughDeps;
  readonly #lists = new ListCopies();
  readonly #sessions = new SessionRecords();

  constructor(deps: PassThroughDeps) {
    this.#deps = deps;
  }

  readonly handle: Handler = (call) => {
    const { message, httpContext, profile, emit, signal, client } = call;
    if (!httpContext) throw new TypeError('a call without its HTTP context');
    const request = message.kind === 'request' ? message : undefined;
    const lane = laneFor(message);
    const exchange: ForwardedExchange = {
      transport: this.#deps.transportOf(profile),
      message,
      pass: httpContext.pass,
      onAnswer: httpContext.onAnswer,
      httpContext,
      emit,
      origin: new PermanentOrigin(profile),
      // In the stateless era the header only routes.
      sessionId: statedVersion(message) === undefined ? httpContext.headers['mcp-session-id'] : undefined,
      silenceMs: request && lane !== 'stream' ? this.#deps.readTimeoutMs : 0,
      onSend: httpContext.onSend,
      grace: request !== undefined && statedVersion(request) === undefined,
    };
    return this.#forward(exchange, signal, {
      lane,
      method: 'POST',
      headers: httpContext.headers,
      body: message.text,
      idempotent: isIdempotentCall(call),
      hedgeAfterMs: request && hedgeAfterMsOf([request]),
      opensSession: request?.method === 'initialize',
      share: shareOf(client),
      record: call.record,
    });
  };

  /** Forwards a request without a message and returns its response unchanged. */
  forward({ method, headers, profile, signal, pass, emit, edit }: PassThroughRequest): Promise<Reply> {
    const exchange: ForwardedExchange = {
      transport: this.#deps.transportOf(profile),
      message: undefined,
      pass,
      onAnswer: undefined,
      httpContext: undefined,
      emit,
      origin: new PermanentOrigin(profile),
      sessionId: headers['mcp-session-id'],
      silenceMs: 0,
      onSend: undefined,
      edit: method === 'GET' ? edit : undefined,
      grace: false,
    };
    return this.#forward(exchange, signal, {
      lane: method === 'GET' ? 'stream' : method === 'DELETE' ? 'deletion' : 'control',
      method,
      headers: method === 'GET' ? { ...headers, accept: 'text/event-stream' } : headers,
      idempotent: true,
    });
  }

  #forward(
    exchange: ForwardedExchange,
    signal: AbortSignal,
    {
      method,
      lane,
      headers,
      body,
      idempotent,
      hedgeAfterMs,
      opensSession,
      share,
      record,
    }: Omit<TransportRequest, 'signal' | 'onAttempt'>,
  ): Promise<Reply> {
    const { clock } = this.#deps;
    if (signal.aborted) return Promise.reject(signal.reason);
    const cutter = new CallController();
    const timers: Timer[] = [];
    const after = (ms: number, act: () => void): void => {
      timers.push(clock.schedule(ms, act, { keepAlive: false }));
    };
    let lease: Lease | undefined;
    let waitReason: string | undefined;
    let responding = false;
    const cut = (reason: unknown): void => {
      cutter.abort(reason);
      lease?.cancel(reason instanceof Error ? reason : new Error(String(reason)));
    };
    const id = headers['mcp-session-id'];
    // Responses, cancellations and the end of a session are sent whichever principal signs them.
    const admits =
      lane === 'control' || lane === 'own' || lane === 'deletion'
        ? undefined
        : (principal: string | undefined): boolean => this.#sessions.admits(id, principal);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const { reason } = signal;
        // No one waits: the connection goes to the next caller now.
        if (exchange.grace && reason instanceof ProxyError && lease && !lease.over) {
          lease.detach();
          after(CANCEL_GRACE_MS, () => cut(reason));
        } else cut(reason);
        reject(abortReasonAt({ waitReason, lease, responding }, reason, exchange.transport.host));
      };
      signal.addEventListener('abort', leave, { once: true });
      const over = (): void => {
        signal.removeEventListener('abort', leave);
        for (const timer of timers) timer.cancel();
      };
      const done = (reply: Reply): void => {
        over();
        resolve(reply);
      };
      const failed = (error: unknown): void => {
        lease?.cancel(error instanceof Error ? error : new Error(String(error)));
        over();
        reject(error);
      };
      // Not spread, as in an exchange.
      const request: ForwardedRequest = {
        method,
        lane,
        headers,
        body,
        idempotent,
        hedgeAfterMs,
        opensSession,
        share,
        record,
        admits,
        affinity: this.#sessions.affinityOf(id) ?? exchange.transport.newAffinity(),
        signal: cutter.signal,
        // Most clients open the standalone stream next. Not before the bytes are sent: the
        // handshakes would delay them.
        onStart:
          exchange.message?.kind === 'request' && exchange.message.method === 'initialize'
            ? () => setImmediate(() => exchange.transport.dialAhead())
            : undefined,
        onWait: (what) => {
          waitReason = what;
        },
        onAttempt: (taken) => {
          lease = taken;
          exchange.onSend?.();
          if (lane === 'control' || lane === 'own') after(CONTROL_CONNECTION_MS, () => taken.detach());
        },
      };
      // The closure is kept small: there can be hundreds.
      exchange.transport.open(request).then((opened) => {
        responding = true;
        this.#handleResponse(exchange, request, opened).then(done, failed);
      }, failed);
    });
  }

  async #handleResponse(
    exchange: ForwardedExchange,
    request: ForwardedRequest,
    opened: OpenedExchange,
  ): Promise<Reply> {
    const id = request.headers['mcp-session-id'];
    const { response } = opened;
    if (request.method === 'DELETE') this.#sessions.dropAffinity(id ?? '');
    else this.#sessions.keepAffinity(id ?? headerOf(response.headers, 'mcp-session-id'), request.affinity);
    try {
      const success =
        response.status >= 200 &&
        response.status < 300 &&
        // AWS front ends name the error in a header, and not all of them set a status that fits.
        !isRejectedUnread(errorTypeOf(response.headers));
      if (success && request.admits) {
        this.#sessions.recordOwner(id ?? headerOf(response.headers, 'mcp-session-id'), opened.principal);
      }
      if (!success) return await this.#handleFailure(exchange, opened);
      // An answer to GET that is no event stream cannot be edited, and MCP has none.
      if (exchange.edit && mediaTypeOf(response.headers) !== 'text/event-stream') {
        throw invalidAnswer('no event stream', response.status, response.headers, '');
      }
      if (this.#isPlainAnswer(exchange, response)) {
        const http = toHttpFacts(response);
        const sink = exchange.pass?.(http);
        if (sink) {
          await sink.write(response.takeUnread());
          return { kind: 'passed', http };
        }
      } else if (exchange.pass) {
        const { message, sessionId } = exchange;
        if (sessionId !== undefined && message?.kind === 'request') {
          const early = readEarlyLoss(response, sessionId, this.#deps.clock);
          const lost = early && (await this.#withSilenceLimit(exchange, response, () => early));
          if (lost) throw lost;
        }
        // A short answer arrives whole with its head: no wait, and no promise.
        const checked = response.ended
          ? this.#checkWhole(exchange, opened)
          : await this.#withSilenceLimit(exchange, response, () => this.#checkedBody(exchange, opened));
        const http = checked === undefined ? toHttpFacts(response) : unencoded(toHttpFacts(response));
        const sink = exchange.pass(http);
        if (sink && checked !== undefined) return await this.#sendText(exchange, response, sink, checked);
        if (sink && this.#passesUnread(exchange, response))
          return await this.#passBody(exchange, opened, sink);
        if (sink) return await this.#streamBody(exchange, opened, sink);
      }
      return await this.#readAnswer(exchange, opened, request);
    } catch (error) {
      if (id !== undefined && isSessionLost(error)) this.#sessions.dropAffinity(id);
      if (request.signal.aborted) throw request.signal.reason;
      throw error instanceof ProxyError
        ? error
        : connectionLost(exchange.transport.host, causeText(error), error);
    }
  }

  /** Neither an event stream, which is observed, nor a tool list, which is copied. */
  #passesUnread({ message }: ForwardedExchange, { headers }: Incoming): boolean {
    const isList = message?.kind === 'request' && message.method === 'tools/list';
    return !isList && mediaTypeOf(headers) !== 'text/event-stream';
  }

  /** Apart from `#streamBody`, whose closures would be made for every call. */
  async #passBody(
    exchange: ForwardedExchange,
    { response, lease }: OpenedExchange,
    sink: BodySink,
  ): Promise<Reply> {
    sink.onSlow?.(() => lease.markSlow());
    const write = (chunk: Buffer): Promise<void> => sink.write(chunk);
    await this.#withSilenceLimit(exchange, response, () => response.pipeTo(write));
    return { kind: 'passed', http: toHttpFacts(response) };
  }

  /** Passes the response through unchanged; a slow client slows the server. */
  async #streamBody(
    exchange: ForwardedExchange,
    { response, lease }: OpenedExchange,
    sink: BodySink,
  ): Promise<Reply> {
    const { emit, origin, message, onAnswer, httpContext, transport } = exchange;
    const http = toHttpFacts(response);
    // A slow client would occupy the connection for as long as it likes.
    sink.onSlow?.(() => lease.markSlow());
    const { clock } = this.#deps;
    const tap = tapEvents(response, onAnswer);
    const request = message?.kind === 'request' ? message : undefined;
    // A notification has no answer.
    const checked =
      tap && message?.kind !== 'notification'
        ? new CheckedEvents(this.#createCheck(exchange, request, response))
        : undefined;
    const write = async (chunk: Buffer): Promise<void> => {
      if (chunk.length > 0) await sink.write(chunk);
    };
    let late: Timer | undefined;
    const take = tap
      ? async (chunk: Buffer): Promise<void> => {
          for (const observed of tap(chunk)) await emit(observed, origin);
          late?.cancel();
          const pieces = checked ? checked.check(chunk) : [chunk];
          if (checked?.answered) httpContext?.onAnswered?.();
          if (checked?.resumable) httpContext?.onResumable?.();
          for (const piece of pieces) await write(piece);
          if (checked?.holds)
            late = clock.schedule(EVENT_HELD_MS, () => void write(checked.release()), { keepAlive: false });
        }
      : (chunk: Buffer): Promise<void> => sink.write(chunk);
    if (message?.kind !== 'request' || message.method !== 'tools/list') {
      await this.#withSilenceLimit(exchange, response, () => response.pipeTo(take)).finally(() =>
        late?.cancel(),
      );
      if (checked) await this.#closeEvents(checked, write, request, transport.host);
      return { kind: 'passed', http };
    }
    const copy = this.#lists.start(response);
    const taken = (chunk: Buffer): Promise<void> => {
      copy.add(chunk);
      return take(chunk);
    };
    let answer: Response | undefined;
    try {
      await this.#withSilenceLimit(exchange, response, () => response.pipeTo(taken)).finally(() =>
        late?.cancel(),
      );
      if (checked) await this.#closeEvents(checked, write, request, transport.host);
    } finally {
      answer = copy.end(message.id);
    }
    return answer ? { kind: 'passed', http, answer } : { kind: 'passed', http };
  }

  /** The stream has ended in order: with the answer, or there is none to come. */
  async #closeEvents(
    checked: CheckedEvents,
    write: (chunk: Buffer) => Promise<void>,
    request: Request | undefined,
    host: string,
  ): Promise<void> {
    if (checked.holds) await write(checked.release());
    const answer = checked.end();
    if (answer) await write(answer);
    const isOwed = request !== undefined && request.method !== 'subscriptions/listen';
    if (!isOwed || checked.answered || checked.resumable) return;
    throw connectionLost(host, 'the stream ended without the answer');
  }

  /**
   * Checks a short JSON body before its head is sent to the client. Consumes nothing.
   * @returns the text to send in its place; undefined where it passes as it is.
   * @throws ProxyError where no client could take it for the answer.
   */
  async #checkedBody(exchange: ForwardedExchange, opened: OpenedExchange): Promise<string | undefined> {
    const { response } = opened;
    if (!this.#isChecked(exchange, response)) return undefined;
    while (response.unreadBytes <= MAX_CHECKED_BYTES && (await response.waitForMore()));
    if (response.unreadBytes > MAX_CHECKED_BYTES) return undefined;
    // Throws what cut the response.
    if (!response.ended) await response.drain();
    return this.#checkWhole(exchange, opened);
  }

  /** True for an answer that has arrived whole and needs no further check, as nearly all do. */
  #isPlainAnswer({ pass, message }: ForwardedExchange, response: Incoming): boolean {
    if (!pass || !response.ended || message?.kind !== 'request' || message.method === 'tools/list')
      return false;
    const { headers } = response;
    return (
      mediaTypeOf(headers) === 'application/json' &&
      !isEncoded(headers) &&
      isPlainAnswer(response.unread, message)
    );
  }

  #isChecked({ message }: ForwardedExchange, { headers }: Incoming): boolean {
    if (message?.kind !== 'request' || isEncoded(headers)) return false;
    const type = mediaTypeOf(headers);
    return type === 'application/json' || type === '';
  }

  /** Checks a body that has arrived to its end. */
  #checkWhole(exchange: ForwardedExchange, opened: OpenedExchange): string | undefined {
    const { response } = opened;
    const { message: request } = exchange;
    if (request?.kind !== 'request' || !this.#isChecked(exchange, response)) return undefined;
    if (response.unreadBytes > MAX_CHECKED_BYTES) return undefined;
    const { headers, status, unread } = response;
    const type = mediaTypeOf(headers);
    if (unread.length === 0) throw missingAnswer(status, headers, unread);
    if (isThrottledBody(unread)) throw this.#statusError(exchange, opened, unread);
    return type === ''
      ? undefined
      : checkBody(unread, { ...this.#createCheck(exchange, request, response), request });
  }

  async #sendText(
    { message }: ForwardedExchange,
    response: Incoming,
    sink: BodySink,
    text: string,
  ): Promise<Reply> {
    const http = unencoded(toHttpFacts(response));
    const bytes = Buffer.from(text);
    await response.drain();
    await sink.write(bytes);
    if (message?.kind !== 'request' || message.method !== 'tools/list') return { kind: 'passed', http };
    const copy = this.#lists.start({ headers: http.headers });
    copy.add(bytes);
    const answer = copy.end(message.id);
    return answer ? { kind: 'passed', http, answer } : { kind: 'passed', http };
  }

  #createCheck(
    { transport, sessionId, edit }: ForwardedExchange,
    request: Request | undefined,
    response: Incoming,
  ): CheckDeps {
    const { status, headers } = response;
    return {
      edit,
      request,
      toError: (what, text) =>
        (sessionId === undefined ? undefined : readLostSession(response, Buffer.from(text), sessionId)) ??
        invalidAnswer(what, status, headers, text),
      onOtherId: (id) => transport.reportOtherId(request?.method ?? '', id),
      onDropped: (reason) =>
        this.#deps.events.emit({ type: 'upstream.message-dropped', profile: transport.profile, reason }),
    };
  }

  /**
   * Aborts where the server is silent in the middle of a response for longer than --read-timeout.
   */
  #withSilenceLimit<T>(
    { silenceMs }: ForwardedExchange,
    response: Incoming,
    read: () => Promise<T>,
  ): Promise<T> {
    // A short response arrives together with its head.
    if (silenceMs === 0 || response.ended) return read();
    const silent = (error: ProxyError): void => response.fail(error);
    return withSilenceLimit(
      { clock: this.#deps.clock, limitMs: silenceMs, isAwaited: () => true, onSilence: silent },
      response,
      read,
    );
  }

  /**
   * Handles a non-2xx response. A JSON-RPC error is returned as a message for the layers to judge.
   * A bare failure status, or a refusal of the proxy's signature, becomes an error of the proxy.
   * All else passes through.
   */
  async #handleFailure(exchange: ForwardedExchange, opened: OpenedExchange): Promise<Reply> {
    const { response } = opened;
    const { sessionId, pass, message } = exchange;
    const bytes = await this.#withSilenceLimit(exchange, response, () => response.readAll(ERROR_BODY));
    const { status, headers } = response;
    const http = unencoded(toHttpFacts(response));
    const written = writtenError(bytes);
    const lost = sessionId === undefined ? undefined : readLostSession(response, bytes, sessionId);
    if (lost && sessionId !== undefined) this.#sessions.dropAffinity(sessionId);
    if (written && (lost || !wantsOAuth(status, headers, bytes)))
      return { kind: 'answer', message: written, http: lost ? { ...http, status: 404 } : http };
    // The server's own 404 passes through.
    if (lost && !(pass && status === 404)) throw lost;
    const final =
      pass && !(message && isTransient(status, headers, bytes)) && !isProxyFault(status, headers, bytes);
    const sink = final ? pass(http) : undefined;
    if (!sink) throw this.#statusError(exchange, opened, bytes);
    await sink.write(bytes);
    return { kind: 'passed', http };
  }

  #statusError({ transport }: ForwardedExchange, opened: OpenedExchange, bytes: Buffer): ProxyError {
    const { status, headers } = opened.response;
    return toStatusError(status, headers, bytes, transport.answerContext(opened), this.#deps.clock.now());
  }

  /**
   * Reads the response as a message, for layers that need it; earlier messages are emitted as they
   * arrive.
   */
  async #readAnswer(
    exchange: ForwardedExchange,
    opened: OpenedExchange,
    request: TransportRequest,
  ): Promise<Reply> {
    const { message: asked, emit, origin, sessionId } = exchange;
    const { readLimit } = exchange.transport;
    const { response } = opened;
    let begun = false;
    const http = unencoded(toHttpFacts(response));
    if (asked?.kind !== 'request') {
      await response.drain();
      return { kind: 'accepted', http };
    }
    const { status, headers } = response;
    const type = mediaTypeOf(headers);
    const lossOrNoAnswer = (bytes: Buffer): ProxyError =>
      (sessionId === undefined ? undefined : readLostSession(response, bytes, sessionId)) ??
      missingAnswer(status, headers, bytes);
    const checking = this.#createCheck(exchange, asked, response);
    const strays: Response[] = [];
    const toReply = (message: Response): Reply => {
      if (message.id === asked.id) return { kind: 'answer', message, http };
      checking.onOtherId(valueTextAt(message.text, ['id']) ?? 'no id');
      return { kind: 'answer', message: withIdText(message, idText(asked)), http };
    };
    const onlyStray = (): Reply | undefined => {
      const [only] = strays.length === 1 ? strays : [];
      return only && toReply(only);
    };
    const answerOf = async (message: Message | Unusable): Promise<Reply | undefined> => {
      if (message.kind === 'unusable') {
        if (message.isAnswer) throw message.error ?? checking.toError(message.what, message.text);
        return undefined;
      }
      if (message.kind === 'response') {
        const judged = sessionId !== undefined && !begun && message.outcome === 'error';
        const lost = judged ? judgeLostSession({ status, error: message, sessionId }) : undefined;
        if (lost) throw lost;
        if (isSameIdLoosely(message.id, asked.id)) return toReply(message);
        if (strays.length < MAX_STRAYS) strays.push(message);
        return undefined;
      }
      begun = true;
      if (truncatedSizeOf(message) === undefined) await emit(message, origin);
      else checking.onDropped(`a message of more than ${readLimit.bytes} bytes`);
      return undefined;
    };
    if (type === 'text/event-stream') {
      return this.#readAnswerStream(
        exchange,
        opened,
        statedVersion(asked) === undefined ? request : undefined,
        // A resumed request has been started by the server.
        { answerOf, onlyStray, onResume: () => (begun = true) },
      );
    }
    const bytes = await this.#withSilenceLimit(exchange, response, () => response.readAll(readLimit));
    if (type !== 'application/json' || bytes.length === 0) throw lossOrNoAnswer(bytes);
    if (isThrottledBody(bytes)) throw this.#statusError(exchange, opened, bytes);
    const found = parseBody(bytes, status, headers, readLimit);
    for (const message of found) {
      const reply = await answerOf(message);
      if (reply) return reply;
    }
    const reply = onlyStray();
    if (reply) return reply;
    const unusable = found.find((each) => each.kind === 'unusable');
    throw unusable ? checking.toError(unusable.what, unusable.text) : lossOrNoAnswer(bytes);
  }

  /**
   * Reads a stream to its answer and resumes it where it ends early: the client does not see this
   * stream.
   * @param resumable - undefined where the revision has no resuming.
   */
  async #readAnswerStream(
    exchange: ForwardedExchange,
    first: OpenedExchange,
    resumable: TransportRequest | undefined,
    { answerOf, onlyStray, onResume }: AnswerReader,
  ): Promise<Reply> {
    const { clock } = this.#deps;
    const { transport } = exchange;
    const resumption = resumable && this.#resumption(exchange, resumable);
    const position = resumption?.position ?? startPosition();
    for (let { response, lease } = first; ; ) {
      let reply: Reply | undefined;
      let messages = 0;
      let cause: unknown;
      try {
        reply = await this.#withSilenceLimit(exchange, response, async () => {
          const ears = this.#createObserver(exchange);
          for await (const message of readEventMessages(response, position, ears, transport.readLimit)) {
            messages++;
            const found = await answerOf(message);
            if (found) return found;
          }
          return undefined;
        });
      } catch (error) {
        // An error of the server or a limit is not a broken stream.
        if (!resumable || resumable.signal.aborted || error instanceof ProxyError) throw error;
        cause = error;
      }
      // A resumable stream may still bring the answer.
      if (cause === undefined && position.lastEventId === undefined) reply ??= onlyStray();
      if (reply) {
        // Servers should close the stream with the answer.
        const late = clock.schedule(
          STREAM_AFTER_ANSWER_MS,
          () => lease.cancel(new Error('the stream outlived its answer')),
          { keepAlive: false },
        );
        void response
          .drain()
          .catch(() => undefined)
          .finally(() => late.cancel());
        return reply;
      }
      if (!resumption) throw connectionLost(transport.host, 'the stream ended without the answer');
      onResume();
      ({ response, lease } = await resumption.next({ cause, messages }));
    }
  }

  #resumption(
    { transport }: ForwardedExchange,
    { headers, affinity, signal, onAttempt }: TransportRequest,
  ): Resumption {
    const { clock, events } = this.#deps;
    return new Resumption({
      transport,
      clock,
      affinity,
      // Header values are bytes: a non-ASCII id is returned as the UTF-8 that it arrived in.
      headersAfter: (lastEventId) => ({
        ...headers,
        accept: 'text/event-stream',
        'last-event-id': Buffer.from(lastEventId).toString('latin1'),
      }),
      onResumed: () => events.emit({ type: 'stream.resumed', profile: transport.profile }),
      signal,
      onAttempt,
    });
  }

  #createObserver({ transport }: ForwardedExchange): { onDropped: (reason: string) => void } {
    const { events } = this.#deps;
    return {
      onDropped: (reason) =>
        events.emit({ type: 'upstream.message-dropped', profile: transport.profile, reason }),
    };
  }
}

const startPosition = () => ({ lastEventId: undefined, retryMs: undefined });

/** Streams and control messages never wait behind requests. */
function laneFor(message: Message): TransportRequest['lane'] {
  // Sent on the connection of `initialize`, `initialized` costs no handshake.
  if (message.kind === 'notification' && message.method === 'notifications/initialized') return 'own';
  if (message.kind !== 'request' || message.method === 'ping') return 'control';
  return message.method === 'subscriptions/listen' ? 'stream' : 'request';
}

/** Status and headers only; the connection stays here. */
const toHttpFacts = ({ status, headers }: Incoming): HttpFacts => ({ status, headers });

/** For a body that was read, decompressed and perhaps edited. */
function unencoded({ status, headers }: HttpFacts): HttpFacts {
  const { 'content-encoding': _encoding, 'content-length': _length, ...rest } = headers;
  return { status, headers: rest };
}

/**
 * True where a retry may help or the proxy can explain more than the body: the retry layer decides.
 */
function isTransient(status: number, headers: HttpFacts['headers'], bytes: Buffer): boolean {
  // An unspecified 5xx passes as it is: the retry layer does not retry it.
  if (isTemporary(status) && statusClassOf(status) !== 'unspecified') return true;
  const body = decodeBody(bytes) ?? '';
  return status === 402 || isColdStart(status, body) || meaningOf(errorTypeOf(headers, body)) !== undefined;
}

/**
 * True for responses that the client cannot act on: redirections, and refusals of the proxy's
 * credentials.
 */
function isProxyFault(status: number, headers: HttpFacts['headers'], bytes: Buffer): boolean {
  if (status < 400) return true;
  const refusal = judgeRefusal({
    status,
    errorType: headerOf(headers, 'x-amzn-errortype'),
    contentType: headerOf(headers, 'content-type'),
    body: decodeBody(bytes) ?? '',
  });
  return isRefusal(status, refusal);
}
