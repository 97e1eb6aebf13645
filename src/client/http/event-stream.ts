import type { BodySink } from '../../core/pipeline/call.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';

/** Clients ignore a comment; idle timers of intermediaries restart on it. */
const KEEPALIVE = Buffer.from(': keepalive\n\n');

const CR = 13;
const LF = 10;

const isLineEnd = (byte: number): boolean => byte === LF || byte === CR;

export interface EventStreamOptions {
  readonly sink: BodySink;
  readonly clock: Clock;
  /** Milliseconds of silence after which a comment is sent; 0 = never. */
  readonly keepaliveMs: number;
}

/**
 * An event stream to a client: the server's bytes unchanged, plus comments and events of the proxy
 * between two of the server's events. The first comment is sent at once, so that intermediaries
 * forward the head.
 */
export class EventStream implements BodySink {
  readonly #options: EventStreamOptions;
  /**
   * The last three bytes, which show whether the stream is between two events. It starts as if
   * after a blank line.
   */
  #tail = 0x0a_0a_0a;
  #started = false;
  /** True while the client has not accepted the last insertion: another would pile up. */
  #inserting = false;
  #lastAt = 0;
  #timer: Timer | undefined;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    const { keepaliveMs } = options;
    if (keepaliveMs === 0) return;
    this.#insert(KEEPALIVE);
    this.#scheduleKeepalive(keepaliveMs);
  }

  write(chunk: Uint8Array): Promise<void> {
    let bytes = chunk;
    if (!this.#started && chunk.length > 0) {
      this.#started = true;
      // A byte order mark is valid only at the start, where the comment is now.
      if (this.#timer && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf)
        bytes = chunk.subarray(3);
    }
    this.#recordTail(bytes);
    return this.#options.sink.write(bytes);
  }

  onSlow(listener: () => void): void {
    this.#options.sink.onSlow?.(listener);
  }

  #recordTail(bytes: Uint8Array): void {
    if (this.#timer) this.#lastAt = this.#options.clock.monotonic();
    const { length } = bytes;
    for (let at = Math.max(0, length - 3); at < length; at++) {
      this.#tail = ((this.#tail << 8) | (bytes[at] ?? 0)) & 0xff_ff_ff;
    }
  }

  /** True where the last line is blank, so that no event is incomplete. */
  get betweenEvents(): boolean {
    const [before, last] = [(this.#tail >> 8) & 0xff, this.#tail & 0xff];
    if (!isLineEnd(last)) return false;
    return isLineEnd(last === LF && before === CR ? this.#tail >> 16 : before);
  }

  /**
   * Inserts an event of the proxy. @returns false where the stream is inside an event of the
   * server.
   */
  insert(event: string): boolean {
    if (!this.betweenEvents || this.#inserting) return false;
    this.#insert(Buffer.from(event));
    return true;
  }

  #insert(bytes: Buffer): void {
    const { sink, clock } = this.#options;
    this.#lastAt = clock.monotonic();
    this.#inserting = true;
    void sink.write(bytes).then(() => {
      this.#inserting = false;
    });
  }

  #scheduleKeepalive(ms: number): void {
    const { clock, keepaliveMs } = this.#options;
    this.#timer = clock.schedule(
      ms,
      () => {
        const left = keepaliveMs - (clock.monotonic() - this.#lastAt);
        if (left <= 0 && this.betweenEvents && !this.#inserting) this.#insert(KEEPALIVE);
        this.#scheduleKeepalive(left > 0 ? left : keepaliveMs);
      },
      { keepAlive: false },
    );
  }

  /** Stops the keepalive comments. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
