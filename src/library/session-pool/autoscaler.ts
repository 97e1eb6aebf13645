import type { Clock, Timer } from '../../core/time/clock.ts';
import type { HookCaller } from './hooks.ts';
import type { PoolCounts } from './metrics.ts';
import type { AutoscaleConfig } from './read-options.ts';

/** The facts of a decision. */
export interface ScaleFacts {
  /** The moving average of the waits for a session, in milliseconds. */
  readonly averageWaitMs: number;
  /** Borrowed sessions. */
  readonly active: number;
  /** Open sessions. */
  readonly open: number;
  readonly min: number;
  readonly max: number;
  /** The minimum that the program has set. */
  readonly floor: number;
  /** The longest idle time of a session; 0 if all are borrowed. */
  readonly longestIdleMs: number;
}

/** The pool is busy above, and idle below, these fractions of borrowed sessions. */
const BUSY = 0.8;
const IDLE = 0.3;
/** The weight of the newest interval in the moving average. */
const ALPHA = 0.3;

/** Returns the new minimum. Pure. */
export function scaledMinimum(
  facts: ScaleFacts,
  { scaleUpMs, scaleDownIdleMs, step }: AutoscaleConfig,
): number {
  const { averageWaitMs, active, open, min, max, floor, longestIdleMs } = facts;
  const used = open === 0 ? 0 : active / open;
  // More than the open sessions, because a lower minimum would open none.
  if ((averageWaitMs > scaleUpMs || used > BUSY) && open < max)
    return Math.min(max, Math.max(min, open) + step);
  if (longestIdleMs >= scaleDownIdleMs && used < IDLE) return Math.max(floor, Math.min(min, min - step));
  return min;
}

export interface AutoscalerDeps {
  readonly clock: Clock;
  readonly config: AutoscaleConfig;
  readonly facts: () => Omit<ScaleFacts, 'averageWaitMs' | 'floor'>;
  readonly counts: PoolCounts;
  readonly hooks: HookCaller;
  readonly floor: number;
  /** Changes the minimum. */
  readonly onScale: (min: number) => void;
}

/** Changes the minimum of sessions with the load, at intervals. */
export class Autoscaler {
  readonly #deps: AutoscalerDeps;
  #timer: Timer | undefined;
  #averageWaitMs = 0;
  #last = { borrows: 0, waitMs: 0 };
  #changedAt = Number.NEGATIVE_INFINITY;
  /** The minimum that the program has set. */
  floor: number;

  constructor(deps: AutoscalerDeps) {
    this.#deps = deps;
    this.floor = deps.floor;
    const { borrows, waitMs } = deps.counts;
    this.#last = { borrows, waitMs };
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    const { clock, config } = this.#deps;
    const check = (): void => {
      this.#check();
      this.#schedule();
    };
    this.#timer = clock.schedule(config.checkMs, check, { keepAlive: false });
  }

  #check(): void {
    const { clock, config, facts, counts, hooks, onScale } = this.#deps;
    // Updated even if no change is due, so that the average is current.
    this.#measure();
    const now = clock.monotonic();
    if (now - this.#changedAt < config.cooldownMs) return;
    const current = facts();
    const min = scaledMinimum({ ...current, averageWaitMs: this.#averageWaitMs, floor: this.floor }, config);
    if (min === current.min) return;
    this.#changedAt = now;
    const direction = min > current.min ? 'up' : 'down';
    if (direction === 'up') counts.autoscaleUps++;
    else counts.autoscaleDowns++;
    onScale(min);
    hooks.call('onAutoscale', { direction, minSessions: min });
  }

  #measure(): void {
    const { borrows, waitMs } = this.#deps.counts;
    // The program may have set the counts to 0.
    const count = borrows < this.#last.borrows ? borrows : borrows - this.#last.borrows;
    const waited = borrows < this.#last.borrows ? waitMs : waitMs - this.#last.waitMs;
    const mean = count === 0 ? 0 : waited / count;
    this.#averageWaitMs = ALPHA * mean + (1 - ALPHA) * this.#averageWaitMs;
    this.#last = { borrows, waitMs };
  }
}
