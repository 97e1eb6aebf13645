import { wordsOf } from '../aws/refusal.ts';
import { reconnectDelay } from '../core/backoff.ts';
import type { Emit, Origin, Reply } from '../core/call.ts';
import { type Clock, sleep, type Timer } from '../core/clock.ts';
import { causeText, ProxyError } from '../core/errors.ts';
import {
  type Id,
  idKey,
  idText,
  isObject,
  type Message,
  type Request,
  type Response,
  withIdText,
} from '../core/message.ts';
import {
  type AnswerContext,
  decodeBody,
  errorOfStatus,
  jsonRpcErrorOf,
  messagesOfBody,
  noAnswer,
  onOneLine,
  sessionLost,
  unusable,
} from './answer.ts';
import { headerOf, type Incoming, LONGEST_ERROR_BODY_BYTES, mediaTypeOf } from './incoming.ts';
import type { Lease } from './lane.ts';
import { saysSessionLost } from './lost-session.ts';
import { eventMessages, type StreamPosition } from './stream.ts';
import { connectionLost, type Opened, type Uplink, type UplinkRequest } from './uplink.ts';

/**
 * How long the stream that has given its answer may take to end before its place goes to the next request. Servers close it
 * with the answer; one that forgets must not occupy a connection of --max-connections.
 */
const PLACE_AFTER_ANSWER_MS = 1_000;
/** How long such a stream is still read for late messages before it is cut. */
const STREAM_AFTER_ANSWER_MS = 60_000;
/**
 * How long a control message has its connection for itself. A server may sit on one for as long as it likes, and what comes after
 * it may be the very answer that the server waits for.
 */
export const CONTROL_PLACE_MS = 1_000;
/** How long a cancelled call's exchange stays open for the server to take the cancellation first. */
export const CANCEL_GRACE_MS = 1_000;

/** Waits between two tries to resume a stream whose server named no time. */
const RESUME_BASE_MS = 500;
const RESUME_MAX_MS = 15_000;
/** Tries in a row that did not even open a stream, before the call that waits is told; its own deadline may come sooner. */
const RESUME_TRIES = 8;

export interface ExchangeDeps {
  readonly uplink: Uplink;
  readonly clock: Clock;
  readonly origin: Origin;
  readonly inSession: boolean;
  /** Headers of a GET that resumes a stream of this session after an event. */
  readonly resumeHeaders: (lastEventId: string) => Readonly<Record<string, string>>;
  readonly resumed: () => void;
  /** Milliseconds of silence on the response stream that end it; 0 = no limit. */
  readonly readTimeoutMs: number;
  /** An answer to a request of another exchange came by on this one; false where nobody waits for it. */
  readonly elsewhere: (response: Response) => boolean;
  readonly dropped: (reason: string) => void;
  /** The read timeout gives this request up: the server has to be told. */
  readonly silent: (request: Request) => void;
}

interface Owed {
  readonly request: Request;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/** One POST and the answers it owes: one for a request, several for a batch, none for notifications. */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #emit: Emit;
  readonly #owed = new Map<string, Owed>();
  readonly #abandoned = new Set<string>();
  readonly #controller = new AbortController();
  #lease: Lease | undefined;
  #opened: Opened | undefined;
  #timers: Timer[] = [];
  #over = false;

  constructor(deps: ExchangeDeps, emit: Emit) {
    this.#deps = deps;
    this.#emit = emit;
  }

  /** True once bytes may have left the process: before that, cancelling needs no word to the server. */
  get sent(): boolean {
    return this.#lease !== undefined;
  }

  get response(): Incoming | undefined {
    return this.#opened?.response;
  }

  /** Registers a request whose answer this exchange owes. The promise settles once, whatever happens. */
  expect(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#owed.set(idKey(request.id), { request, resolve, reject });
    });
  }

  /** Posts and reads until everything owed is settled and the answer has ended. Never throws. */
  async run(request: Omit<UplinkRequest, 'signal' | 'onAttempt'>): Promise<void> {
    try {
      this.#opened = await this.#deps.uplink.open({
        ...request,
        signal: this.#controller.signal,
        onAttempt: (lease) => {
          this.#lease = lease;
          if (request.lane === 'control') this.#after(CONTROL_PLACE_MS, () => lease.leave());
        },
      });
      await this.#read(this.#opened.response);
    } catch (error) {
      this.#failOwed(this.#readable(error));
      this.#lease?.cancel(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#over = true;
      for (const timer of this.#timers) timer.cancel();
    }
  }

  /**
   * Nobody waits for this request's answer any more. When that holds for all of them, the place goes to the next caller at
   * once; the exchange itself stays until the server has taken the cancellation, or a moment longer.
   */
  abandon(request: Request, reason: unknown): void {
    const key = idKey(request.id);
    const unsent = !this.sent && reason instanceof ProxyError;
    this.#owed.get(key)?.reject(unsent ? reason.unsent : reason);
    this.#owed.delete(key);
    this.#abandoned.add(key);
    if (this.#owed.size > 0 || this.#over) return;
    // Without a place, or between two attempts, nothing more may go out for it.
    if (!this.#lease || this.#lease.over) {
      this.#controller.abort(reason);
      return;
    }
    this.#lease.leave();
    this.#after(CANCEL_GRACE_MS, () => this.cut(reason));
  }

  /** Ends it now, unless another request of the same batch still waits here for its answer. */
  end(reason: unknown): void {
    if (this.#owed.size === 0) this.cut(reason);
  }

  /** Ends it now, whatever is still under way. */
  cut(reason: unknown): void {
    this.#failOwed(reason);
    this.#controller.abort(reason);
    this.#lease?.cancel(reason instanceof Error ? reason : new Error(String(reason)));
  }

  /** Takes an answer that came by on another stream. */
  take(response: Response): boolean {
    if (response.id === undefined || !this.#owed.has(idKey(response.id))) return false;
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
    if (status < 200 || status >= 300) {
      await this.#readFailure(response);
      return;
    }
    if (this.#owed.size === 0) {
      await response.drain();
      return;
    }
    if (type === 'text/event-stream') {
      await this.#readStream(response);
      return;
    }
    const bytes = await this.#watched(response, () => response.whole());
    if (type !== 'application/json' || bytes.length === 0) throw noAnswer(status, response.headers, bytes);
    for (const message of messagesOfBody(bytes, status, response.headers)) await this.#deliver(message);
    if (this.#owed.size > 0) {
      throw unusable(
        `HTTP ${status} with JSON that does not answer the request`,
        status,
        response.headers,
        decodeBody(bytes) ?? '',
      );
    }
  }

  /** Reads the stream to its answer; where it ends before that, servers that number their events let it be resumed. */
  async #readStream(first: Incoming): Promise<void> {
    const position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
    let response = first;
    for (let empty = 0, stuck = 0; ; ) {
      const before = position.lastEventId;
      const { cause, messages } = await this.#readMessages(response, position);
      if (this.#owed.size === 0) return;
      this.#controller.signal.throwIfAborted();
      empty = messages > 0 ? 0 : empty + 1;
      // Who closes in order and says when to come again makes its client poll, for as long as the call takes.
      const polled = cause === undefined && position.retryMs !== undefined;
      stuck = polled || position.lastEventId !== before ? 0 : stuck + 1;
      if (position.lastEventId === undefined || stuck > RESUME_TRIES) {
        throw cause ?? connectionLost(this.#deps.uplink.host, 'the stream ended without the answer');
      }
      response = await this.#resume(position.lastEventId, position.retryMs, empty);
    }
  }

  /** Delivers what the stream brings until it ends; `cause` is what cut it, or undefined where it ended cleanly. */
  async #readMessages(
    response: Incoming,
    position: StreamPosition,
  ): Promise<{ cause: unknown; messages: number }> {
    let messages = 0;
    const ears = { dropped: this.#deps.dropped };
    try {
      await this.#watched(response, async () => {
        for await (const message of eventMessages(response, position, ears)) {
          const before = this.#owed.size;
          messages++;
          await this.#deliver(message);
          if (before > 0 && this.#owed.size === 0) {
            this.#after(PLACE_AFTER_ANSWER_MS, () => this.#lease?.leave());
            this.#after(STREAM_AFTER_ANSWER_MS, () => this.cut(new Error('the stream outlived its answer')));
          }
        }
      });
      return { cause: undefined, messages };
    } catch (cause) {
      return { cause, messages };
    }
  }

  /** Gives the answer up where the server falls silent in the middle of it, for longer than --read-timeout. */
  async #watched<T>(response: Incoming, read: () => Promise<T>): Promise<T> {
    const silence = this.#deps.readTimeoutMs;
    if (silence === 0) return read();
    let watch: Timer | undefined;
    const rewatch = (): void => {
      watch?.cancel();
      if (this.#owed.size > 0) watch = this.#deps.clock.schedule(silence, () => this.#giveUp(silence));
    };
    response.heard = rewatch;
    rewatch();
    try {
      return await read();
    } finally {
      response.heard = undefined;
      watch?.cancel();
    }
  }

  /**
   * Asks for what follows an event, when the server wants to be asked: a server that closes a stream on purpose, to make its
   * client poll, says so by `retry`. A resumed stream stands beside the connections of requests.
   */
  async #resume(lastEventId: string, wishMs: number | undefined, empty: number): Promise<Incoming> {
    const { uplink, clock, resumeHeaders, resumed } = this.#deps;
    const { signal } = this.#controller;
    for (let failures = 0; ; ) {
      const wait = reconnectDelay(clock, {
        wishMs,
        empty: empty + failures,
        failed: failures > 0,
        baseMs: RESUME_BASE_MS,
        maxMs: RESUME_MAX_MS,
      });
      await sleep(clock, wait, signal);
      try {
        this.#opened = await uplink.open({
          method: 'GET',
          lane: 'stream',
          headers: resumeHeaders(lastEventId),
          repeatable: true,
          signal,
          onAttempt: (lease) => {
            this.#lease = lease;
          },
        });
      } catch (error) {
        const unreachable = error instanceof ProxyError && error.reason !== 'no-credentials';
        if (!unreachable || ++failures > RESUME_TRIES) throw error;
        continue;
      }
      const { response } = this.#opened;
      if (response.status === 200 && mediaTypeOf(response.headers) === 'text/event-stream') {
        resumed();
        return response;
      }
      this.#lease?.cancel(new Error('not resumed'));
      if (response.status >= 500 && ++failures <= RESUME_TRIES) continue;
      throw connectionLost(
        uplink.host,
        `the stream ended without the answer, and the server did not resume it (HTTP ${response.status})`,
      );
    }
  }

  #giveUp(silence: number): void {
    for (const { request } of this.#owed.values()) this.#deps.silent(request);
    this.#failOwed(silenceError(silence));
    this.#lease?.leave();
    this.#after(CANCEL_GRACE_MS, () => this.cut(new Error('silent')));
  }

  async #readFailure(response: Incoming): Promise<void> {
    const { status, headers } = response;
    const bytes = await this.#watched(response, () => response.whole(LONGEST_ERROR_BODY_BYTES));
    const { uplink, clock, inSession } = this.#deps;
    const error = jsonRpcErrorOf(bytes);
    if (inSession) {
      const { code, message } = factsOf(error, bytes);
      if (saysSessionLost({ status, code, message })) throw sessionLost(message, { httpStatus: status });
    }
    if (error && this.#owed.size > 0) {
      // Whatever id stands in an error body, it answers what was posted.
      for (const { request } of [...this.#owed.values()]) this.#settle(request.id, error);
      return;
    }
    const context: AnswerContext = {
      host: uplink.host,
      profile: uplink.profile,
      scope: uplink.scope,
      signed: this.#opened?.signed ?? false,
      inSession,
      ...(this.#opened?.skewMs === undefined ? {} : { skewMs: this.#opened.skewMs }),
    };
    throw errorOfStatus(status, headers, bytes, context, clock.now());
  }

  async #deliver(message: Message): Promise<void> {
    if (message.kind !== 'response') {
      await this.#emit(message, this.#deps.origin);
      return;
    }
    if (this.take(message)) return;
    if (message.id !== undefined && this.#abandoned.has(idKey(message.id))) {
      // Its id may be in use again, for another request.
      this.#deps.dropped('a late answer to a request that was cancelled');
      return;
    }
    if (message.id === undefined && message.outcome === 'error' && this.#owed.size > 0) {
      for (const { request } of [...this.#owed.values()]) this.#settle(request.id, message);
      return;
    }
    if (!this.#deps.elsewhere(message)) this.#deps.dropped('an answer to no request that is waiting');
  }

  /** Answers a request under its own id: as its client wrote it, where the server's spelling differs. */
  #settle(id: Id, response: Response): void {
    const owed = this.#owed.get(idKey(id));
    if (!owed) return;
    this.#owed.delete(idKey(id));
    const status = this.#opened?.response.status ?? 200;
    if (this.#deps.inSession && response.outcome === 'error') {
      const { code, message } = factsOf(response, undefined);
      if (saysSessionLost({ status, code, message })) {
        owed.reject(sessionLost(message, { httpStatus: status }));
        return;
      }
    }
    const http = this.#opened
      ? { status: this.#opened.response.status, headers: this.#opened.response.headers }
      : undefined;
    const wanted = idText(owed.request);
    const same =
      response.id === owed.request.id && (typeof response.id === 'string' || exact(response.id, wanted));
    const message = same ? response : withIdText(response, wanted);
    owed.resolve({ kind: 'answer', message: onOneLine(message), ...(http ? { http } : {}) });
  }

  #failOwed(error: unknown): void {
    for (const { reject } of this.#owed.values()) reject(error);
    this.#owed.clear();
  }

  /** Body failures come from undici as they are; callers read one kind of error. */
  #readable(error: unknown): unknown {
    const { signal } = this.#controller;
    if (signal.aborted) return signal.reason;
    if (error instanceof ProxyError || !this.#opened) return error;
    const status = this.#opened.response.status;
    const encoding = headerOf(this.#opened.response.headers, 'content-encoding');
    const text = causeText(error);
    if (encoding && isDecodingFault(error)) {
      return unusable(
        `HTTP ${status} with a broken ${encoding} body`,
        status,
        this.#opened.response.headers,
        '',
      );
    }
    return connectionLost(this.#deps.uplink.host, text, error);
  }
}

/** What an error answer says: the JSON-RPC error's code and message, else the words of the body. */
function factsOf(
  error: Response | undefined,
  bytes: Buffer | undefined,
): { code: number | undefined; message: string } {
  const { code, message } = isObject(error?.json.error) ? error.json.error : {};
  return {
    code: typeof code === 'number' ? code : undefined,
    message:
      typeof message === 'string'
        ? message
        : wordsOf({ body: bytes ? (decodeBody(bytes) ?? '') : '', errorType: '' }),
  };
}

/** By code: Brotli says no more than "Decompression failed", and of a body that breaks off zlib says "unexpected end of file". */
const isDecodingFault = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  /^(Z_|ERR__ERROR_|ERR_BROTLI|ERR_ZLIB|ERR_BUFFER_TOO_LARGE)/.test(String(error.code));

/** A double keeps an integer up to 2^53; beyond that, only the text tells two ids apart. */
const exact = (id: number, text: string): boolean => Number.isSafeInteger(id) && String(id) === text;

export const silenceError = (ms: number): ProxyError =>
  new ProxyError(
    'timeout',
    `The server sent nothing for ${ms / 1000} s in the middle of an answer (--read-timeout). The call may have run.`,
    { sent: 'maybe', details: { limit: 'read-timeout', seconds: ms / 1000 } },
  );
