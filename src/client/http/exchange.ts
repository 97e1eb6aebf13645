import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BodySink, type HttpFacts, ROOM } from '../../core/pipeline/call.ts';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';
import { corsHeaders, pickRequestHeaders, pickResponseHeaders } from './headers.ts';
import type { Caller } from './route.ts';
import type { SessionAges } from './session-ages.ts';
import type { SessionUsers } from './session-users.ts';
import type { UnreadAnswers } from './unread-answers.ts';

/**
 * A client that reads nothing for this long is disconnected: it occupies a connection to the
 * server.
 */
const STALLED_MS = 60_000;

/**
 * A response that waits this long for its client is limited by the client. Its connection to the
 * server is then lent to others.
 */
const SLOW_MS = 1_000;

/** The timers apply to each piece of a long body, because a slow reader still makes progress. */
const PIECE_BYTES = 64 * 1024;

/** Shared, because nearly no exchange has any. */
const NONE: readonly (() => void)[] = [];

/** A shorter body leaves in one piece with its head, which saves a system call of two. */
const MAX_WHOLE_BYTES = 16 * 1024;

export interface ServerExchangeDeps {
  /** Undefined where callers have no names. */
  readonly sessions?: SessionUsers | undefined;
  readonly ages: SessionAges;
  readonly clock: Clock;
  readonly unread: UnreadAnswers;
  /** Names of headers that are forwarded in addition to the default ones. */
  readonly forwarded: ReadonlySet<string>;
}

/**
 * One request of an HTTP client and its response. Unread bytes are not buffered: a slow client
 * slows the server.
 */
export class ServerExchange implements HttpExchange, BodySink {
  readonly headers: Readonly<Record<string, string>>;
  readonly caller: Caller;
  readonly #sessions: SessionUsers | undefined;
  readonly #ages: SessionAges;
  readonly #method: string | undefined;
  readonly #response: ServerResponse;
  readonly #origin: string | undefined;
  readonly #clock: Clock;
  readonly #request: IncomingMessage;
  readonly #endsWithConnection: boolean;
  readonly #unread: UnreadAnswers;
  readonly #forwarded: ReadonlySet<string>;
  /** Resumes writes that wait for the client to read. */
  #blocked: readonly (() => void)[] = NONE;
  /** Settles when all bytes are written; undefined where none wait. */
  #writing: Promise<void> | undefined;
  #listeners: readonly (() => void)[] = NONE;
  #isOver = false;
  /** The announced length of a body of which nothing has been written; -1 where none is known. */
  #wholeBytes = -1;
  /** Undefined where no one listens, or it was called. */
  #onSlow: (() => void) | undefined;
  #waitedMs = 0;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    { clock, unread, forwarded, sessions, ages }: ServerExchangeDeps,
  ) {
    this.#sessions = sessions;
    this.#ages = ages;
    this.#method = request.method;
    this.caller = caller;
    this.headers = pickRequestHeaders(request.headers, forwarded);
    this.#forwarded = forwarded;
    this.#origin = request.headers.origin;
    this.#response = response;
    this.#clock = clock;
    this.#unread = unread;
    this.#request = request;
    // HTTP/1.0 (nginx by default) has no chunks: a closed connection marks a complete body, a reset
    // one an incomplete body.
    this.#endsWithConnection = request.httpVersion === '1.0';
  }

  /** Call this when the response has been sent, or its connection is gone. */
  settle(): void {
    this.#isOver = true;
    this.#unblock();
    const listeners = this.#listeners;
    this.#listeners = NONE;
    if (!this.#response.writableFinished) for (const notify of listeners) notify();
  }

  onGone(listener: () => void): void {
    // Not spread, after which an array has room for 16 more.
    if (!this.#isOver) this.#listeners = this.#listeners.concat(listener);
    else if (!this.#response.writableFinished) listener();
  }

  begin(head: HttpFacts): BodySink {
    const response = this.#response;
    this.#sessions?.recordAnswer(head, this.headers, this.caller.token);
    this.#ages.recordAnswer(head, this.headers, this.#method);
    if (!response.destroyed) {
      const headers = pickResponseHeaders(head, this.#forwarded);
      if (this.#origin !== undefined) Object.assign(headers, corsHeaders(this.#origin));
      response.writeHead(head.status, headers);
      const length = head.headers['content-length'];
      // A body of known length follows at once; any other head is sent immediately.
      if (length !== undefined) this.#wholeBytes = Number(length);
      else {
        const { socket } = response;
        // Bytes of the same turn, such as the first comment of an event stream, share the packet.
        socket?.cork();
        response.flushHeaders();
        process.nextTick(() => socket?.uncork());
      }
    }
    return this;
  }

  onSlow(listener: () => void): void {
    this.#onSlow = listener;
  }

  write(chunk: Uint8Array): Promise<void> {
    const isWhole = chunk.length === this.#wholeBytes && chunk.length <= MAX_WHOLE_BYTES;
    this.#wholeBytes = -1;
    // A text: node writes the head and a buffer as two pieces.
    if (isWhole && this.#response.socket?.writableLength === 0) {
      const { buffer, byteOffset, length } = chunk;
      this.#response.end(Buffer.from(buffer, byteOffset, length).toString('latin1'), 'latin1');
      return ROOM;
    }
    if (!this.#writing && chunk.length <= PIECE_BYTES) return this.#writePiece(chunk);
    const writing = (this.#writing ?? ROOM).then(() => this.#writeInPieces(chunk));
    this.#writing = writing;
    return writing.then(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
  }

  async #writeInPieces(chunk: Uint8Array): Promise<void> {
    const release = this.#unread.hold(chunk.length, () => this.#cut());
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
      const stalled = clock.schedule(STALLED_MS, () => this.#cut(), { keepAlive: false });
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
      this.#blocked = [...this.#blocked, go];
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

  /**
   * Breaks the connection. Destroys the socket: a response that waits behind others has no
   * connection of its own.
   */
  #cut(): void {
    const { socket } = this.#request;
    if (this.#endsWithConnection) socket.resetAndDestroy();
    else socket.destroy();
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
