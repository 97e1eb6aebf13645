import { ProxyError } from '../../core/errors/errors.ts';
import {
  type Id,
  type Message,
  type Request,
  type Response,
  valueTextAt,
} from '../../core/jsonrpc/message.ts';
import type { Unusable } from '../../core/jsonrpc/parse.ts';
import type { Emit, Origin, Reply } from '../../core/pipeline/call.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import type { Lease } from '../http/connection-pool.ts';
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
import { judgeLostSession, readLostSession } from '../transport/lost-session.ts';
import { abortReasonAt } from '../transport/progress.ts';
import {
  connectionLost,
  type OpenedExchange,
  type SignedTransport,
  type TransportRequest,
} from '../transport/signed-transport.ts';
import { toBodyError } from './broken-body.ts';
import { PendingResponses } from './pending-responses.ts';

/**
 * How long the stream that has given its answer may take to end before its place goes to the next
 * request. Servers close it with the answer; one that forgets must not occupy a connection of
 * --max-connections.
 */
const CONNECTION_AFTER_ANSWER_MS = 1_000;
/** How long such a stream is still read for late messages before it is cut. */
const STREAM_AFTER_ANSWER_MS = 60_000;
/**
 * How long a control message has its connection for itself. A server may sit on one for as long as
 * it likes, and what comes after it may be the very answer that the server waits for.
 */
export const CONTROL_CONNECTION_MS = 1_000;
/**
 * How long a cancelled call's exchange stays open for the server to take the cancellation first.
 */
export const CANCEL_GRACE_MS = 1_000;

/** Servers answer 406 to a request that names only one of them. */
export const ACCEPT = 'application/json, text/event-stream';

export interface ExchangeDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly origin: Origin;
  readonly affinity: Affinity | undefined;
  /** The head of the answer has come, and nothing of its body was read yet. */
  readonly onResponse?: ((response: Incoming) => void) | undefined;
  /** How a stream that ended before its answer goes on; undefined: not at all. */
  readonly resumption: Pick<ResumptionDeps, 'headersAfter' | 'onResumed'> | undefined;
  /** Milliseconds of silence on the response stream that end it; 0 = no limit. */
  readonly readTimeoutMs: number;
  /**
   * An answer to a request of another exchange came by on this one; false where nobody waits for
   * it.
   */
  readonly deliverElsewhere: (response: Response) => boolean;
  readonly onDropped: (reason: string) => void;
  /**
   * The read timeout gives this request up: the server has to be told. Undefined: the end of the
   * exchange tells it.
   */
  readonly onReadTimeout: ((request: Request) => void) | undefined;
}

/**
 * One POST and the answers it owes: one for a request, several for a batch, none for notifications.
 */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #emit: Emit;
  readonly #pending = new PendingResponses();
  readonly #controller = new CallController();
  #lease: Lease | undefined;
  /** What the request waits for, until its first byte leaves. */
  #waitReason: string | undefined;
  #opened: OpenedExchange | undefined;
  #timers: Timer[] = [];
  /**
   * The server has sent something about its requests: it knows the session, and has begun with
   * them.
   */
  #begun = false;
  #over = false;
  /**
   * Requests that were posted. Of one alone, the only response that comes is the answer, whatever
   * its id.
   */
  #posted = 0;
  /** Responses under ids that nobody waits for: the only one may turn out to be the answer. */
  #strays: Response[] = [];
  #resumed = false;

  constructor(deps: ExchangeDeps, emit: Emit) {
    this.#deps = deps;
    this.#emit = emit;
  }

  /**
   * True once bytes may have left the process: before that, cancelling needs no word to the server.
   */
  get sent(): boolean {
    return this.#lease !== undefined;
  }

  /** Why the request is given up, with how far it has got by now. */
  abortReason(reason: unknown): unknown {
    const progress = {
      waitReason: this.#waitReason,
      lease: this.#lease,
      responding: this.#opened !== undefined,
    };
    return abortReasonAt(progress, reason, this.#deps.transport.host);
  }

  /** Who has signed it; undefined where nobody has, or it has no answer. */
  get principal(): string | undefined {
    return this.#opened?.principal;
  }

  get response(): Incoming | undefined {
    return this.#opened?.response;
  }

  /**
   * Registers a request whose answer this exchange owes. The promise settles once, whatever
   * happens.
   */
  expect(request: Request): Promise<Reply> {
    this.#posted++;
    return this.#pending.expect(request);
  }

  /** Posts and reads until everything owed is settled and the answer has ended. Never throws. */
  async run(request: Omit<TransportRequest, 'signal' | 'onAttempt'>): Promise<void> {
    try {
      const { method, lane, headers, body, idempotent, hedgeAfterMs, opensSession, admits, onStart } =
        request;
      // Not spread: a key added behind a spread costs V8 a hidden class for every object, 2 µs and
      // 200 bytes until a full collection.
      this.#opened = await this.#deps.transport.open({
        method,
        lane,
        headers,
        body,
        idempotent,
        hedgeAfterMs,
        opensSession,
        admits,
        affinity: this.#deps.affinity,
        onStart,
        onWait: (waitReason) => {
          this.#waitReason = waitReason;
        },
        signal: this.#controller.signal,
        onAttempt: (lease) => {
          this.#lease = lease;
          if (lane === 'control' || lane === 'own') this.#after(CONTROL_CONNECTION_MS, () => lease.detach());
        },
      });
      this.#deps.onResponse?.(this.#opened.response);
      await this.#read(this.#opened.response);
    } catch (error) {
      this.#pending.failAll(this.#toReadableError(error));
      this.#lease?.cancel(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#over = true;
      for (const timer of this.#timers) timer.cancel();
    }
  }

  /**
   * Nobody waits for this request's answer any more. When that holds for all of them, the place
   * goes to the next caller at once; the exchange itself stays until the server has taken the
   * cancellation, or a moment longer, unless its end is that.
   */
  abandon(request: Request, reason: unknown): void {
    this.#pending.abandon(request.id, this.abortReason(reason));
    if (this.#pending.size > 0 || this.#over) return;
    // Without a place, or between two attempts, nothing more may go out for it.
    if (!this.#deps.onReadTimeout || !this.#lease || this.#lease.over) {
      this.cut(reason);
      return;
    }
    this.#lease.detach();
    this.#after(CANCEL_GRACE_MS, () => this.cut(reason));
  }

  /** Ends it now, unless another request of the same batch still waits here for its answer. */
  endIfIdle(reason: unknown): void {
    if (this.#pending.size === 0) this.cut(reason);
  }

  /** Ends it now, whatever is still under way. */
  cut(reason: unknown): void {
    this.#pending.failAll(reason);
    this.#controller.abort(reason);
    this.#lease?.cancel(reason instanceof Error ? reason : new Error(String(reason)));
  }

  /** Takes an answer that came by on another stream. */
  deliver(response: Response): boolean {
    if (response.id === undefined || !this.#pending.has(response.id)) return false;
    this.#settle(response.id, response);
    return true;
  }

  #after(ms: number, act: () => void): void {
    // Unref'd: a forgotten stream must not keep the process alive after its client has left.
    if (!this.#over) this.#timers.push(this.#deps.clock.schedule(ms, act, { keepAlive: false }));
  }

  async #read(response: Incoming): Promise<void> {
    const { status } = response;
    const type = mediaTypeOf(response.headers);
    // AWS front ends name the error in a header, and not all of them set a status that fits.
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
    if (isThrottledBody(bytes)) throw this.#statusError(response, bytes);
    const found = parseBody(bytes, status, response.headers, readLimit);
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

  /** The error in place of an answer that no client could take. */
  #invalidAnswer(what: string, text: string): ProxyError {
    const response = this.#opened?.response;
    const lost = response && this.#findLostSession(response, Buffer.from(text));
    return lost ?? invalidAnswer(what, response?.status ?? 200, response?.headers ?? {}, text);
  }

  /** Reads the stream to its answer; where it ends before that, it may be resumed. */
  async #readStream(first: Incoming): Promise<void> {
    const { transport, clock, resumption: resumable } = this.#deps;
    const { signal } = this.#controller;
    if (!resumable) {
      const position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
      const { cause } = await this.#readMessages(first, position);
      this.#closeStrays(cause === undefined && position.lastEventId === undefined);
      if (this.#pending.size > 0)
        throw cause ?? connectionLost(transport.host, 'the stream ended without the answer');
      return;
    }
    // Not spread, as in `run`: 10 % of a streamed call.
    const { headersAfter, onResumed } = resumable;
    const resumption = new Resumption({
      headersAfter,
      onResumed,
      affinity: this.#deps.affinity,
      transport,
      clock,
      signal,
      onAttempt: (lease) => {
        this.#lease = lease;
      },
    });
    for (let response = first; ; ) {
      const segment = await this.#readMessages(response, resumption.position);
      this.#closeStrays(segment.cause === undefined && resumption.position.lastEventId === undefined);
      if (this.#pending.size === 0) return;
      signal.throwIfAborted();
      this.#begun = true;
      this.#resumed = true;
      this.#opened = await resumption.next(segment);
      response = this.#opened.response;
    }
  }

  /**
   * Delivers what the stream brings until it ends; `cause` is what cut it, or undefined where it
   * ended cleanly.
   */
  async #readMessages(response: Incoming, position: StreamPosition): Promise<StreamSegment> {
    let messages = 0;
    const { onDropped, transport } = this.#deps;
    try {
      await this.#withSilenceLimit(response, async () => {
        for await (const message of readEventMessages(
          response,
          position,
          { onDropped },
          transport.readLimit,
        )) {
          const before = this.#pending.size;
          messages++;
          await this.#handleMessage(message);
          // The rest of a message that is too long could be endless.
          if (message.kind === 'unusable' && message.error && this.#pending.size === 0) throw message.error;
          if (before > 0 && this.#pending.size === 0) {
            this.#after(CONNECTION_AFTER_ANSWER_MS, () => this.#lease?.detach());
            this.#after(STREAM_AFTER_ANSWER_MS, () => this.cut(new Error('the stream outlived its answer')));
          }
        }
      });
      return { cause: undefined, messages };
    } catch (cause) {
      if (this.#pending.size === 0)
        this.#lease?.cancel(cause instanceof Error ? cause : new Error(String(cause)));
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
    this.#lease?.detach();
    this.#after(CANCEL_GRACE_MS, () => this.cut(new Error('silent')));
  }

  async #readFailure(response: Incoming): Promise<void> {
    const bytes = await this.#withSilenceLimit(response, () => response.readAll(ERROR_BODY));
    const lost = this.#findLostSession(response, bytes);
    if (lost) throw lost;
    const error = jsonRpcErrorOf(bytes);
    if (error && this.#pending.size > 0 && !wantsOAuth(response.status, response.headers, bytes)) {
      // Whatever id stands in an error body, it answers what was posted.
      for (const request of this.#pending.requests) this.#settle(request.id, error);
      return;
    }
    throw this.#statusError(response, bytes);
  }

  #statusError({ status, headers }: Incoming, bytes: Buffer): ProxyError {
    const { transport, clock } = this.#deps;
    return toStatusError(status, headers, bytes, transport.answerContext(this.#opened), clock.now());
  }

  /** The loss of the session, where this answer, which is no result, says so. */
  #findLostSession(response: Incoming, bytes: Buffer): ProxyError | undefined {
    const sessionId = this.#opened?.sessionId;
    return sessionId === undefined || this.#begun ? undefined : readLostSession(response, bytes, sessionId);
  }

  async #handleMessage(message: Message | Unusable): Promise<void> {
    if (message.kind === 'unusable') {
      this.#rejectUnusable(message);
      return;
    }
    if (message.kind !== 'response') {
      this.#begun = true;
      await this.#emit(message, this.#deps.origin);
      return;
    }
    if (this.deliver(message)) return;
    if (message.id !== undefined && this.#pending.wasAbandoned(message.id)) {
      // Its id may be in use again, for another request.
      this.#deps.onDropped('a late answer to a request that was cancelled');
      return;
    }
    if (message.id === undefined && message.outcome === 'error' && this.#pending.size > 0) {
      for (const request of this.#pending.requests) this.#settle(request.id, message);
      return;
    }
    if (message.id !== undefined && this.#deps.deliverElsewhere(message)) return;
    const request = this.#posted === 1 && !this.#resumed ? this.#pending.only : undefined;
    if (request && isSameIdLoosely(message.id, request.id)) this.#acceptAsAnswer(message);
    else if (request && this.#strays.length < MAX_STRAYS) this.#strays.push(message);
    else this.#deps.onDropped(STRAY_REASON);
  }

  /** Takes the response for the answer to the only request, under whatever id it came. */
  #acceptAsAnswer(response: Response): void {
    const request = this.#pending.only;
    if (!request) return;
    if (response.id !== request.id) {
      this.#deps.transport.reportOtherId(request.method, valueTextAt(response.text, ['id']) ?? 'no id');
    }
    this.#settle(request.id, response);
  }

  /** An answer that no client could take fails the request that it must be for. */
  #rejectUnusable({ id, what, text, error: known }: Unusable): void {
    const error = known ?? this.#invalidAnswer(what, text);
    const isOnly = this.#posted === 1 && !this.#resumed;
    if (isOnly || (known && id === undefined)) this.#pending.failAll(error);
    else if (id !== undefined && this.#pending.has(id)) this.#pending.fail(id, error);
    else this.#deps.onDropped(what);
  }

  /**
   * The stream has ended. @param whole - it ended in order, and nothing more of it can be asked
   * for.
   */
  #closeStrays(whole: boolean): void {
    const strays = this.#strays.splice(0);
    const [only] = whole && strays.length === 1 && this.#pending.size === 1 ? strays : [];
    if (only) this.#acceptAsAnswer(only);
    else for (const _ of strays) this.#deps.onDropped(STRAY_REASON);
  }

  #settle(id: Id, response: Response): void {
    const http = this.#opened?.response;
    const sessionId = this.#opened?.sessionId;
    const judged = sessionId !== undefined && !this.#begun && response.outcome === 'error';
    const lost = judged
      ? judgeLostSession({ status: http?.status ?? 200, error: response, sessionId })
      : undefined;
    if (lost) this.#pending.fail(id, lost);
    else this.#pending.answer(id, response, http && { status: http.status, headers: http.headers });
    if (this.#strays.length > 0 && this.#pending.size === 0) this.#closeStrays(false);
  }

  #toReadableError(error: unknown): unknown {
    const { signal } = this.#controller;
    if (signal.aborted) return signal.reason;
    if (error instanceof ProxyError || !this.#opened) return error;
    return toBodyError(error, this.#opened.response, this.#deps.transport.host);
  }
}

/** More than one is as good as none: which is the answer cannot be known. */
export const MAX_STRAYS = 2;
const STRAY_REASON = 'an answer to no request that is waiting';

/** Servers write 1 as "1", and "1" as 1, or forget the id. */
export const isSameIdLoosely = (given: Id | undefined, asked: Id): boolean =>
  given === undefined || String(given) === String(asked);
