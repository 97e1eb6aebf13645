import { causeText, withoutLastDots } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { Delta, DeltaReader } from './deltas.ts';

/** A publication that takes longer is given up: the next one brings its values. */
export const MAX_PUBLICATION_MS = 30_000;

/** Sends deltas, and commits those that were taken. @throws where it fails. */
export type SendDeltas = (deltas: readonly Delta[], at: number, signal: AbortSignal) => Promise<void>;

export interface PublisherOptions {
  readonly deltas: DeltaReader;
  /** Loads what sends. */
  readonly sender: () => Promise<SendDeltas>;
  readonly intervalMs: number;
  readonly namespace: string;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Publishes metrics at an interval. A failure costs one log line, and nothing of it reaches a call.
 */
export class CloudWatchPublisher {
  readonly #options: PublisherOptions;
  #timer: Timer | undefined;
  #sender: SendDeltas | undefined;
  #running: Promise<void> | undefined;
  #failed = false;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#schedule();
  }

  #schedule(): void {
    const { clock, intervalMs } = this.#options;
    this.#timer = clock.schedule(
      intervalMs,
      () => {
        void this.#publish().then(() => {
          if (!this.#closed) this.#schedule();
        });
      },
      { keepAlive: false },
    );
  }

  /** One publication at a time: two would send the same deltas. Never throws. */
  #publish(): Promise<void> {
    this.#running ??= this.#publishNow().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #publishNow(): Promise<void> {
    const { deltas, sender, clock, events, namespace } = this.#options;
    const late = new AbortController();
    const timer = clock.schedule(MAX_PUBLICATION_MS, () => late.abort(new Error('no answer within 30 s')), {
      keepAlive: false,
    });
    try {
      this.#sender ??= await sender();
      await this.#sender(deltas.take(), clock.now(), late.signal);
      this.#failed = false;
    } catch (error) {
      if (this.#failed) return;
      this.#failed = true;
      const cause = withoutLastDots(causeText(error));
      const advice = adviceFor(error);
      events.emit({
        type: 'cloudwatch.failed',
        namespace,
        message: `The metrics cannot be published to CloudWatch: ${cause}. ${advice} This is logged once until it works again`,
      });
    } finally {
      timer.cancel();
    }
  }

  /** Publishes what is left, within `ms` milliseconds. Never throws. */
  async flush(ms: number): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const last = (this.#running ?? Promise.resolve()).then(() => this.#publish());
    await settleWithin(this.#options.clock, ms, last);
  }
}

/** The remedy for a failed publication. Pure. */
function adviceFor(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  if (/AccessDenied|NotAuthorized|Unauthorized/i.test(name))
    return 'Allow cloudwatch:PutMetricData for the identity of the default profile.';
  if (/InvalidParameter|Validation|MissingParameter/i.test(name))
    return 'Correct --cloudwatch-namespace or --cloudwatch-dimensions.';
  return 'The next period tries again.';
}
