import type { ProxyError } from '../errors/errors.ts';
import type { Clock } from '../time/clock.ts';
import type { Call } from './call.ts';
import type { Share } from './fair-queue.ts';

/** The facts that a request states when it takes its turn under a rate. */
export interface RateTurn {
  /** Served before other callers, because they may depend on it. */
  readonly ahead?: boolean;
  /** The caller's remaining time; a longer wait is refused at once. */
  readonly remainingMs?: number;
  /** The share in the queue; absent for the one client on stdio. */
  readonly share?: Share | undefined;
}

/** A limit on requests per second: of this process, or shared with other replicas. */
export interface RateLimiter {
  readonly clock: Clock;
  /** How many wait here for their turn. */
  readonly waiting: number;
  /**
   * Takes a turn (undefined), or returns a promise of one, which rejects with the signal's reason
   * as soon as it aborts. It resolves with false where the turn came without a wait in the queue.
   * @throws ProxyError rate-limited, where the wait would be too long; what `refuseWaiting` was
   * given.
   */
  take(signal: AbortSignal, turn?: RateTurn): Promise<unknown> | undefined;
  /** Pauses on request of the server. */
  pause(ms: number): void;
  /** Refuses all waiting callers, now and later, at shutdown. */
  refuseWaiting(error: ProxyError): void;
}

/** A slot among the running calls. Released automatically when its call is cancelled. */
export interface Slot {
  /** Harmless when already released. */
  release(): void;
}

export interface LimiterCounts {
  readonly active: number;
  readonly queued: number;
  readonly totalRejected: number;
  readonly rejectedConcurrencyLimit: number;
  readonly rejectedQueueFull: number;
  readonly rejectedQueueTimeout: number;
}

/** Why a call gets no slot. */
export type OverloadReason = 'concurrency_limit' | 'queue_full' | 'queue_timeout';

/** Counts refused calls, not successes, failures or cancellations. */
export class RejectionCounter {
  readonly #rejected: Record<OverloadReason, number> = {
    concurrency_limit: 0,
    queue_full: 0,
    queue_timeout: 0,
  };

  add(reason: OverloadReason): void {
    this.#rejected[reason]++;
  }

  /** The counts of a limiter with so many running and queued calls. */
  countsWith(active: number, queued: number): LimiterCounts {
    const { concurrency_limit, queue_full, queue_timeout } = this.#rejected;
    return {
      active,
      queued,
      totalRejected: concurrency_limit + queue_full + queue_timeout,
      rejectedConcurrencyLimit: concurrency_limit,
      rejectedQueueFull: queue_full,
      rejectedQueueTimeout: queue_timeout,
    };
  }
}

export interface LimiterOptions {
  readonly maxConcurrent: number;
  readonly queueSize: number;
  readonly queueTimeoutMs: number;
  readonly errorCode: number;
  readonly clock: Clock;
}

/** A limit on running calls: of this process, or shared with other replicas. */
export interface ConcurrencyLimiter {
  readonly clock: Clock;
  readonly counts: LimiterCounts;
  /**
   * Returns a slot, or a promise of one, which rejects with the signal's reason as soon as it
   * aborts.
   * @throws OverloadedError
   */
  enter(signal: AbortSignal, share?: Share): Slot | Promise<Slot>;
  /** Refuses all queued calls with this error, at shutdown. */
  refuseQueued(error: ProxyError): void;
}

/** Finds the limiter of a call by `--limit-key`. */
export interface LimiterSet<T> {
  /** A promise where the key has to be asked for; it rejects as the call itself would fail. */
  of(profile: string, call: Call): T | Promise<T>;
}
