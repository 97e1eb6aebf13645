import type { BodySink } from '../../core/pipeline/call.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';

/** A comment is no event: clients ignore it, and whatever counts silence on the way starts anew. */
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
 * One event stream as it goes down to a client: the server's bytes as they come, and, between two
 * of its events only, what the proxy adds. The first comment goes at once, so that intermediaries
 * pass the head on.
 */
export class EventStream implements BodySink {
  readonly #options: EventStreamOptions;
  /**
   * The server's last three bytes, which show whether the stream is between two events. It begins
   * as after a blank line.
   */
  #tail = 0x0a_0a_0a;
  #started = false;
  /** The client has not taken the last insertion yet: more would only pile up. */
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
      // A byte order mark counts at the beginning only, and there the comment is now.
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

  /** True where the last line is blank: nothing of an event has come. */
  get betweenEvents(): boolean {
    const [before, last] = [(this.#tail >> 8) & 0xff, this.#tail & 0xff];
    if (!isLineEnd(last)) return false;
    return isLineEnd(last === LF && before === CR ? this.#tail >> 16 : before);
  }

  /**
   * Adds an event of the proxy's own where the stream is between two of the server's; false where
   * it is not.
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

  /** Nothing more is added. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
