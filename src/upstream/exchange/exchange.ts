import { ProxyError } from '../../core/errors/errors.ts';
import {
  type Id,
  type Message,
  type Request,
  type Response,
  valueTextAt,
} from '../../core/jsonrpc/message.ts';
import type { Unusable } from '../../core/jsonrpc/parse.ts';
import type { Call, Emit, Origin, Reply, RequestHeaders } from '../../core/pipeline/call.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { ERROR_BODY, type Incoming, mediaTypeOf } from '../http/incoming.ts';
import { Resumption, type ResumptionDeps, type StreamSegment } from '../stream/resumption.ts';
import { withSilenceLimit } from '../stream/silence.ts';
import { readEventMessages, type StreamPosition } from '../stream/stream.ts';
import type { Affinity } from '../transport/affinity.ts';
import {
  decodeBody,
  invalidAnswer,
  isThrottledBody,
  jsonRpcErrorOf,
  missingAnswer,
  parseBody,
  toStatusError,
  wantsOAuth,
} from '../transport/answer.ts';
import { type AttemptRequest, HttpAttempt } from '../transport/http-attempt.ts';
import { judgeLostSession, readLostSession } from '../transport/lost-session.ts';
import type { SignedTransport } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import { toBodyError } from './broken-body.ts';
import { PendingResponses, type SettlementObserver } from './pending-responses.ts';
import { isSameIdLoosely, MAX_STRAYS } from './stray-answers.ts';

/**
 * How long a stream may stay open after its answer before its connection serves the next request.
 * Servers should close it with the answer.
 */
const CONNECTION_AFTER_ANSWER_MS = 1_000;
/** How long such a stream is read for late messages. */
const STREAM_AFTER_ANSWER_MS = 60_000;

/** The parts that the exchanges of one session, or of one stateless request, share. */
export interface ExchangeDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  readonly origin: Origin;
  readonly affinity: Affinity | undefined;
  /** Whether a stream that ends before its answer is resumed. */
  readonly resumes: boolean;
  /** Milliseconds of silence on the response stream that end it; 0 = no limit. */
  readonly readTimeoutMs: number;
  /** Delivers a response for another exchange; false where no request waits for it. */
  readonly deliverElsewhere: (response: Response) => boolean;
  /**
   * Called when the read timeout abandons a request, so that the server is notified. Undefined
   * where closing the exchange notifies it.
   */
  readonly onReadTimeout: ((request: Request) => void) | undefined;
}

/** The side of the client: what differs between the exchanges of a session. */
export interface ExchangeClient {
  readonly emit: Emit;
  /** Resolves when the client has room for an answer; undefined where it has room now. */
  readonly room?: Call['room'];
  /** Called with the head of the response, before its body is read. */
  readonly onResponse?: ((response: Incoming) => void) | undefined;
  /** Called with the id of each event of its stream. */
  readonly onEventId?: ResumptionDeps['onEventId'];
  /** True where events are replayed: the answer has the id that its request had then. */
  readonly replays?: boolean | undefined;
}

/** One POST and its answers: one for a request, several for a batch, none for notifications. */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #client: ExchangeClient;
  /** The headers of the request. */
  #sent: RequestHeaders = {};
  readonly #pending = new PendingResponses();
  readonly #attempt: HttpAttempt;
  /**
   * The server has sent a message about the requests: it knows the session and has started them.
   */
  #begun = false;
  /**
   * Number of posted requests. A single request is answered by the only response, whatever its id.
   */
  #posted = 0;
  /** Responses with unknown ids: a single one may turn out to be the answer. */
  #strays: readonly Response[] = NO_STRAYS;
  #resumed = false;

  constructor(deps: ExchangeDeps, client: ExchangeClient) {
    this.#deps = deps;
    this.#client = client;
    this.#attempt = new HttpAttempt(deps.transport, deps.clock);
  }

  /**
   * True once bytes may have been sent: before that, the server need not be notified of a
   * cancellation.
   */
  get sent(): boolean {
    return this.#attempt.sent;
  }

  /** The abort reason, with how far the request got. */
  abortReason(reason: unknown): unknown {
    return this.#attempt.abortReason(reason);
  }

  /** The principal that signed it; undefined where unsigned or unanswered. */
  get principal(): string | undefined {
    return this.#attempt.opened?.principal;
  }

  get response(): Incoming | undefined {
    return this.#attempt.opened?.response;
  }

  /** Registers a request that this exchange answers. The promise always settles, once. */
  expect(request: Request, observer?: SettlementObserver): Promise<Reply> {
    this.#posted++;
    return this.#pending.expect(request, observer);
  }

  /**
   * Posts and reads until all requests are settled and the response has ended. Never throws. Not
   * async: the wait for the response would cost 300 bytes more.
   */
  run(request: AttemptRequest): Promise<void> {
    this.#sent = request.headers;
    return this.#attempt.open(request, this.#deps.affinity).then(
      ({ response }) => this.#receive(response),
      (error: unknown) => this.#fail(error),
    );
  }

  async #receive(response: Incoming): Promise<void> {
    try {
      this.#client.onResponse?.(response);
      // Else the answers would wait in memory for a client that reads slowly.
      const room = this.#pending.size > 0 ? this.#client.room?.() : undefined;
      if (room) await room;
      await this.#read(response);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#attempt.end();
  }

  #fail(error: unknown): void {
    this.#pending.failAll(this.#toReadableError(error));
    this.#attempt.closeConnection(error);
    this.#attempt.end();
  }

  /**
   * Abandons a request. When all are abandoned, the connection goes to the next caller at once, and
   * the exchange stays open briefly for the server to receive the cancellation, unless closing it
   * is the cancellation.
   */
  abandon(request: Request, reason: unknown): void {
    this.#pending.abandon(request.id, this.abortReason(reason));
    if (this.#pending.size > 0 || this.#attempt.over) return;
    this.#attempt.leave(reason, { grace: this.#deps.onReadTimeout !== undefined });
  }

  /** Ends the exchange unless another member of the batch still waits. */
  endIfIdle(reason: unknown): void {
    if (this.#pending.size === 0) this.cut(reason);
  }

  /** Ends the exchange at once. */
  cut(reason: unknown): void {
    this.#pending.failAll(reason);
    this.#attempt.cut(reason);
  }

  /**
   * Accepts an answer that arrived on another stream. @returns false where it does not belong here.
   */
  deliver(response: Response): boolean {
    if (response.id === undefined || !this.#pending.has(response.id)) return false;
    this.#settle(response.id, response);
    return true;
  }

  async #read(response: Incoming): Promise<void> {
    const { status } = response;
    const type = mediaTypeOf(response.headers);
    // AWS front ends name the error in a header, sometimes with an unsuitable status.
    const named = response.headers['x-amzn-errortype'] !== undefined;
    if (status < 200 || status >= 300 || (named && isRejectedUnread(errorTypeOf(response.headers)))) {
      await this.#readFailure(response);
      return;
    }
    if (this.#pending.size === 0) {
      await response.drain();
      return;
    }
    if (type === 'text/event-stream') {
      await this.#readStream(response);
      return;
    }
    const { readLimit } = this.#deps.transport;
    const bytes = await this.#withSilenceLimit(response, () => response.readAll(readLimit));
    if (type !== 'application/json' || bytes.length === 0) {
      throw this.#findLostSession(response, bytes) ?? missingAnswer(status, response.headers, bytes);
    }
    const found = parseBody(bytes, status, response.headers, readLimit);
    // Looked for only where no message was found, because it searches the text.
    if (found[0]?.kind === 'unusable' && isThrottledBody(bytes)) throw this.#statusError(response, bytes);
    const answers = found.filter((each) => each.kind === 'response');
    const [only] = this.#posted === 1 && answers.length === 1 ? answers : [];
    for (const each of found) {
      if (each === only && this.#pending.size > 0) this.#acceptAsAnswer(only);
      else if (each.kind !== 'unusable' || each.isAnswer) await this.#handleMessage(each);
    }
    if (this.#pending.size === 0) return;
    const what =
      found.find((each) => each.kind === 'unusable')?.what ?? 'JSON that does not answer the request';
    throw this.#invalidAnswer(what, decodeBody(bytes) ?? '');
  }

  /** The error for an answer that no client could accept. */
  #invalidAnswer(what: string, text: string): ProxyError {
    const { response } = this;
    const lost = response && this.#findLostSession(response, Buffer.from(text));
    return lost ?? invalidAnswer(what, response?.status ?? 200, response?.headers ?? {}, text);
  }

  /** Reads the stream to its answer and resumes it where possible. */
  async #readStream(first: Incoming): Promise<void> {
    const { transport, clock, events, affinity, resumes } = this.#deps;
    const { signal } = this.#attempt;
    if (!resumes) {
      const position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
      const { cause } = await this.#readMessages(first, position);
      this.#closeStrays(cause === undefined && position.lastEventId === undefined);
      if (this.#pending.size > 0)
        throw cause ?? connectionLost(transport.host, 'the stream ended without the answer');
      return;
    }
    // Not spread, as in `run`: 10 % of a streamed call.
    const resumption = new Resumption({
      headers: this.#sent,
      onEventId: this.#client.onEventId,
      affinity,
      transport,
      clock,
      events,
      signal,
      onAttempt: (lease) => this.#attempt.useLease(lease),
    });
    for (let response = first; ; ) {
      const segment = await this.#readMessages(response, resumption.position);
      this.#closeStrays(segment.cause === undefined && resumption.position.lastEventId === undefined);
      if (this.#pending.size === 0) return;
      signal.throwIfAborted();
      this.#begun = true;
      this.#resumed = true;
      const opened = await resumption.next(segment);
      this.#attempt.resumed(opened);
      response = opened.response;
    }
  }

  /**
   * Handles the messages of a stream until it ends; `cause` is what cut it, undefined for a clean
   * end.
   */
  async #readMessages(response: Incoming, position: StreamPosition): Promise<StreamSegment> {
    let messages = 0;
    const { readLimit } = this.#deps.transport;
    try {
      await this.#withSilenceLimit(response, async () => {
        for await (const message of readEventMessages(response, position, this, readLimit)) {
          const before = this.#pending.size;
          messages++;
          await this.#handleMessage(message);
          // The rest of a message that is too long could be endless.
          if (message.kind === 'unusable' && message.error && this.#pending.size === 0) throw message.error;
          if (before > 0 && this.#pending.size === 0) {
            this.#attempt.after(CONNECTION_AFTER_ANSWER_MS, () => this.#attempt.detach());
            this.#attempt.after(STREAM_AFTER_ANSWER_MS, () =>
              this.cut(new Error('the stream outlived its answer')),
            );
          }
        }
      });
      return { cause: undefined, messages };
    } catch (cause) {
      if (this.#pending.size === 0) this.#attempt.closeConnection(cause);
      return { cause, messages };
    }
  }

  #withSilenceLimit<T>(response: Incoming, read: () => Promise<T>): Promise<T> {
    const { clock, readTimeoutMs } = this.#deps;
    if (readTimeoutMs === 0) return read();
    const isAwaited = (): boolean => this.#pending.size > 0;
    return withSilenceLimit(
      { clock, limitMs: readTimeoutMs, isAwaited, onSilence: (error) => this.#giveUp(error) },
      response,
      read,
    );
  }

  #giveUp(silence: ProxyError): void {
    const { onReadTimeout } = this.#deps;
    if (!onReadTimeout) {
      this.cut(silence);
      return;
    }
    for (const request of this.#pending.requests) onReadTimeout(request);
    this.#pending.failAll(silence);
    this.#attempt.leave(new Error('silent'), { grace: true });
  }

  async #readFailure(response: Incoming): Promise<void> {
    const bytes = await this.#withSilenceLimit(response, () => response.readAll(ERROR_BODY));
    const lost = this.#findLostSession(response, bytes);
    if (lost) throw lost;
    const error = jsonRpcErrorOf(bytes);
    if (error && this.#pending.size > 0 && !wantsOAuth(response.status, response.headers, bytes)) {
      // An error body answers the posted request, whatever its id.
      for (const request of this.#pending.requests) this.#settle(request.id, error);
      return;
    }
    throw this.#statusError(response, bytes);
  }

  #statusError({ status, headers }: Incoming, bytes: Buffer): ProxyError {
    const { transport, clock } = this.#deps;
    return toStatusError(status, headers, bytes, transport.answerContext(this.#attempt.opened), clock.now());
  }

  /** The session-lost error, where this failed response reports the loss. */
  #findLostSession(response: Incoming, bytes: Buffer): ProxyError | undefined {
    const sessionId = this.#attempt.opened?.sessionId;
    return sessionId === undefined || this.#begun ? undefined : readLostSession(response, bytes, sessionId);
  }

  async #handleMessage(message: Message | Unusable): Promise<void> {
    if (message.kind === 'unusable') {
      this.#rejectUnusable(message);
      return;
    }
    if (message.kind !== 'response') {
      this.#begun = true;
      await this.#client.emit(message, this.#deps.origin);
      return;
    }
    if (this.deliver(message)) return;
    if (message.id !== undefined && this.#pending.wasAbandoned(message.id)) {
      // Its id may be in use for another request.
      this.onDropped('a late answer to a request that was cancelled');
      return;
    }
    if (message.id === undefined && message.outcome === 'error' && this.#pending.size > 0) {
      for (const request of this.#pending.requests) this.#settle(request.id, message);
      return;
    }
    if (message.id !== undefined && this.#deps.deliverElsewhere(message)) return;
    const request = this.#posted === 1 && !this.#resumed ? this.#pending.only : undefined;
    if (request && (this.#client.replays || isSameIdLoosely(message.id, request.id)))
      this.#acceptAsAnswer(message);
    else if (request && this.#strays.length < MAX_STRAYS) this.#strays = [...this.#strays, message];
    else this.onDropped(STRAY_REASON);
  }

  /** Accepts the response as the answer to the only request, whatever its id. */
  #acceptAsAnswer(response: Response): void {
    const request = this.#pending.only;
    if (!request) return;
    if (response.id !== request.id && !this.#client.replays) {
      this.#deps.transport.reportOtherId(request.method, valueTextAt(response.text, ['id']) ?? 'no id');
    }
    this.#settle(request.id, response);
  }

  /** An unusable answer fails the request that it belongs to. */
  #rejectUnusable({ id, what, text, error: known }: Unusable): void {
    const error = known ?? this.#invalidAnswer(what, text);
    const isOnly = this.#posted === 1 && !this.#resumed;
    if (isOnly || (known && id === undefined)) this.#pending.failAll(error);
    else if (id !== undefined && this.#pending.has(id)) this.#pending.fail(id, error);
    else this.onDropped(what);
  }

  /** Settles stray responses at the end of the stream. @param whole */
  #closeStrays(whole: boolean): void {
    const strays = this.#strays;
    this.#strays = NO_STRAYS;
    const [only] = whole && strays.length === 1 && this.#pending.size === 1 ? strays : [];
    if (only) this.#acceptAsAnswer(only);
    else for (const _ of strays) this.onDropped(STRAY_REASON);
  }

  #settle(id: Id, response: Response): void {
    const http = this.response;
    const sessionId = this.#attempt.opened?.sessionId;
    const judged = sessionId !== undefined && !this.#begun && response.outcome === 'error';
    const lost = judged
      ? judgeLostSession({ status: http?.status ?? 200, error: response, sessionId })
      : undefined;
    if (lost) this.#pending.fail(id, lost);
    else this.#pending.answer(id, response, http && { status: http.status, headers: http.headers });
    if (this.#strays.length > 0 && this.#pending.size === 0) this.#closeStrays(false);
  }

  /** Reports what no one receives. */
  onDropped(reason: string): void {
    const { events, transport } = this.#deps;
    events.emit({ type: 'upstream.message-dropped', profile: transport.profile, reason });
  }

  #toReadableError(error: unknown): unknown {
    const { signal } = this.#attempt;
    const { response } = this;
    if (signal.aborted) return signal.reason;
    if (error instanceof ProxyError || !response) return error;
    return toBodyError(error, response, this.#deps.transport.host);
  }
}

/** Shared by all exchanges, because almost none has any. */
const NO_STRAYS: readonly Response[] = [];

const STRAY_REASON = 'an answer to no request that is waiting';
