import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BodySink, HttpFacts } from '../../core/pipeline/call.ts';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';
import { corsHeaders, pickRequestHeaders, pickResponseHeaders } from './headers.ts';
import type { UnreadAnswers } from './unread-answers.ts';

/**
 * A client that takes nothing for so long is cut: until then it keeps a connection to the server,
 * and with it others from theirs.
 */
const STALLED_MS = 60_000;

/**
 * Time that an answer has waited for its client to read. An answer of many megabytes reaches an
 * ordinary client sooner; one that takes longer is limited by the client, and other clients should
 * not wait for its connection to the server.
 */
const SLOW_MS = 1_000;

/**
 * Of a longer text each piece has that time by itself: who reads slowly is not who reads nothing.
 */
const PIECE_BYTES = 64 * 1024;

const ROOM = Promise.resolve();

export type Caller = NonNullable<HttpExchange['caller']>;

export interface ServerExchangeDeps {
  readonly clock: Clock;
  readonly unread: UnreadAnswers;
  /** Names of headers that pass beside those that always do. */
  readonly forwarded: ReadonlySet<string>;
}

/**
 * One request of one client, and its answer as it is written. What is not read is not sent: a slow
 * client slows the server.
 */
export class ServerExchange implements HttpExchange {
  readonly headers: Readonly<Record<string, string>>;
  readonly caller: Caller;
  readonly #response: ServerResponse;
  readonly #origin: string | undefined;
  readonly #clock: Clock;
  /** Breaks the connection. */
  readonly #cut: () => void;
  readonly #endsWithConnection: boolean;
  readonly #unread: UnreadAnswers;
  readonly #forwarded: ReadonlySet<string>;
  /** What waits for its client to read. */
  #blocked: (() => void)[] = [];
  /** Settles when all that was given is written; undefined where nothing waits. */
  #writing: Promise<void> | undefined;
  #listeners: (() => void)[] = [];
  #isOver = false;
  /** Undefined where nobody wants to know, or knows. */
  #onSlow: (() => void) | undefined;
  #waitedMs = 0;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    { clock, unread, forwarded }: ServerExchangeDeps,
  ) {
    this.caller = caller;
    this.headers = pickRequestHeaders(request.headers, forwarded);
    this.#forwarded = forwarded;
    this.#origin = request.headers.origin;
    this.#response = response;
    this.#clock = clock;
    this.#unread = unread;
    // The connection: an answer that waits in line behind others has none of its own yet that it
    // could destroy.
    this.#cut = () => {
      if (this.#endsWithConnection) request.socket.resetAndDestroy();
      else request.socket.destroy();
    };
    // HTTP/1.0, as nginx speaks it unless told otherwise, has no chunks: there a closed connection
    // says that all was sent, a reset one not.
    this.#endsWithConnection = request.httpVersion === '1.0';
  }

  /** To be called when the answer has left, or never will, because its connection is gone. */
  settle(): void {
    this.#isOver = true;
    this.#unblock();
    const listeners = this.#listeners;
    this.#listeners = [];
    if (!this.#response.writableFinished) for (const notify of listeners) notify();
  }

  onGone(listener: () => void): void {
    if (!this.#isOver) this.#listeners.push(listener);
    else if (!this.#response.writableFinished) listener();
  }

  begin(head: HttpFacts): BodySink {
    const response = this.#response;
    if (!response.destroyed) {
      response.writeHead(
        head.status,
        Object.assign(pickResponseHeaders(head, this.#forwarded), corsHeaders(this.#origin)),
      );
      // What says how long it is comes at once; the head of anything else is news by itself.
      if (head.headers['content-length'] === undefined) {
        const { socket } = response;
        // What follows in this turn, the first comment of an event stream, leaves in the same
        // packet.
        socket?.cork();
        response.flushHeaders();
        process.nextTick(() => socket?.uncork());
      }
    }
    return {
      write: (chunk) => this.#write(chunk),
      onSlow: (listener) => {
        this.#onSlow = listener;
      },
    };
  }

  #write(chunk: Uint8Array): Promise<void> {
    if (!this.#writing && chunk.length <= PIECE_BYTES) return this.#writePiece(chunk);
    const writing = (this.#writing ?? ROOM).then(() => this.#writeInPieces(chunk));
    this.#writing = writing;
    return writing.then(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
  }

  async #writeInPieces(chunk: Uint8Array): Promise<void> {
    const release = this.#unread.hold(chunk.length, this.#cut);
    for (let at = 0; at < chunk.length && !this.#isOver; at += PIECE_BYTES) {
      await this.#writePiece(chunk.subarray(at, at + PIECE_BYTES));
    }
    release();
  }

  #writePiece(chunk: Uint8Array): Promise<void> {
    const response = this.#response;
    if (this.#isOver || response.destroyed || response.writableEnded || response.write(chunk)) return ROOM;
    return new Promise((resolve) => {
      const clock = this.#clock;
      const since = clock.monotonic();
      const stalled = clock.schedule(STALLED_MS, this.#cut, { keepAlive: false });
      const slow =
        this.#onSlow &&
        clock.schedule(Math.max(0, SLOW_MS - this.#waitedMs), () => this.#reportSlow(), { keepAlive: false });
      const go = (): void => {
        stalled.cancel();
        slow?.cancel();
        this.#waitedMs += clock.monotonic() - since;
        this.#blocked = this.#blocked.filter((one) => one !== go);
        resolve();
      };
      // One listener for all: several events may wait at once.
      if (this.#blocked.length === 0) response.once('drain', () => this.#unblock());
      this.#blocked.push(go);
    });
  }

  #unblock(): void {
    for (const go of [...this.#blocked]) go();
  }

  #reportSlow(): void {
    const listener = this.#onSlow;
    this.#onSlow = undefined;
    listener?.();
  }

  end(): void {
    if (this.#writing) void this.#writing.then(() => this.#response.end());
    else this.#response.end();
  }

  breakOff(): void {
    if (this.#endsWithConnection) this.#cut();
    else this.#response.destroy();
  }
}
