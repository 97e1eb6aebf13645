import type { Clock, Timer } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { FinishedSpan } from './finished-span.ts';
import { EncodedSpans, type SpanOrigin } from './protobuf-spans.ts';

/** The settings OTEL_BSP_*. */
export interface BatchLimits {
  /** The maximum number of waiting spans; further ones are dropped. */
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly scheduledDelayMillis: number;
  readonly exportTimeoutMillis: number;
}

export interface SpanBatchesOptions {
  readonly limits: BatchLimits;
  readonly origin: SpanOrigin;
  readonly clock: Clock;
  /** Sends a batch. Must not reject. */
  readonly send: (batch: Uint8Array) => Promise<void>;
}

/**
 * The first batch leaves early: a collector that cannot be reached is reported soon, and V8 learns
 * the shapes of an export before it optimizes for calls alone. Later that costs 100 ms at once.
 */
const FIRST_DELAY_MS = 250;

/** The next buffer is larger than the last batch by this factor. */
const SPARE = 1.1;

/**
 * Collects spans in batches, as the SDK's BatchSpanProcessor does, but as bytes: objects that live
 * until the export cost the garbage collector as much as everything else of a span.
 */
export class SpanBatches {
  readonly #options: SpanBatchesOptions;
  #open: EncodedSpans;
  #full: EncodedSpans[] = [];
  /** Spans in `#open` and `#full`. */
  #waiting = 0;
  #sending: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isShutDown = false;
  #isFirst = true;

  constructor(options: SpanBatchesOptions) {
    this.#options = options;
    this.#open = new EncodedSpans(options.origin);
  }

  take(span: FinishedSpan): void {
    const { maxQueueSize, maxExportBatchSize } = this.#options.limits;
    if (this.#isShutDown || this.#waiting >= maxQueueSize) return;
    this.#open.add(span);
    this.#waiting++;
    if (this.#open.count >= maxExportBatchSize) this.#close();
    this.#schedule();
  }

  /** Sends everything. Never rejects. */
  async shutdown(): Promise<void> {
    this.#isShutDown = true;
    this.#timer?.cancel();
    if (this.#open.count > 0) this.#close();
    const left = this.#full.splice(0);
    await Promise.all([this.#sending, ...left.map((batch) => this.#send(batch))]);
  }

  #close(): void {
    const batch = this.#open;
    this.#full.push(batch);
    // Larger than this batch, because a buffer that grows is copied.
    this.#open = new EncodedSpans(this.#options.origin, Math.ceil(batch.bytes * SPARE));
  }

  /** One batch at a time; a full one does not wait for the timer. */
  #schedule(): void {
    if (this.#sending || this.#isShutDown) return;
    if (this.#full.length > 0) this.#sendNext();
    else if (!this.#timer && this.#open.count > 0) {
      const { clock, limits } = this.#options;
      const { scheduledDelayMillis: delayMs } = limits;
      const ms = this.#isFirst ? Math.min(FIRST_DELAY_MS, delayMs) : delayMs;
      this.#timer = clock.schedule(ms, () => this.#sendNext(), { keepAlive: false });
    }
  }

  #sendNext(): void {
    this.#isFirst = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#full.length === 0) this.#close();
    const batch = this.#full.shift();
    if (!batch) return;
    this.#sending = this.#send(batch).then(() => {
      this.#sending = undefined;
      this.#schedule();
    });
  }

  async #send(batch: EncodedSpans): Promise<void> {
    const { clock, limits, send } = this.#options;
    this.#waiting -= batch.count;
    await settleWithin(clock, limits.exportTimeoutMillis, send(batch.finish()));
  }
}
