import type { Clock, Timer } from '../core/time/clock.ts';
import { checkHealth, type ProbeResult } from './health.ts';
import { type PoolLimits, planSweep, sweepDelay } from './maintenance.ts';
import type { PoolMember } from './member.ts';
import type { PoolMembers } from './members.ts';

export interface SweeperDeps<T> {
  readonly members: PoolMembers<T>;
  readonly limits: PoolLimits;
  readonly clock: Clock;
  /** Aborted when the pool ends. */
  readonly ending: AbortSignal;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly onChecked: (item: T, healthy: boolean, error: unknown) => void;
  /** A sweep has marked or retired items. */
  readonly onSwept: () => void;
}

/** Evicts, recycles and probes the items of a pool at intervals that depend on their age. */
export class Sweeper<T> {
  readonly #deps: SweeperDeps<T>;
  #timer: Timer | undefined;

  constructor(deps: SweeperDeps<T>) {
    this.#deps = deps;
  }

  /** Schedules the next sweep, unless one is scheduled or nothing is left to do. */
  schedule(): void {
    const { members, limits, clock, ending } = this.#deps;
    if (this.#timer || ending.aborted) return;
    const delay = sweepDelay(members.serving, limits, clock.monotonic());
    if (delay === undefined) return;
    this.#timer = clock.schedule(
      delay,
      () => {
        this.#timer = undefined;
        this.#sweep();
        this.schedule();
      },
      { keepAlive: false },
    );
  }

  /** Schedules the next sweep again: the limits have changed. */
  reschedule(): void {
    this.cancel();
    this.schedule();
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #sweep(): void {
    const { members, limits, clock, onSwept } = this.#deps;
    const { recycle, evict, probe } = planSweep(members.serving, limits, clock.monotonic());
    for (const member of evict) members.retire(member, 'idle');
    if (recycle) members.markOutdated(recycle, 'recycled');
    for (const member of probe) void this.#check(member);
    onSwept();
  }

  /** Probes under a lease, so that the item is neither assigned nor closed meanwhile. */
  async #check(member: PoolMember<T>): Promise<void> {
    const { members, limits, clock, ending, probe, onChecked } = this.#deps;
    const lease = members.lease(member, 'probe');
    const { healthy, error } = await checkHealth(
      { methods: limits.healthMethods, timeoutMs: limits.healthTimeoutMs, clock },
      (method, signal) => probe(lease.item, method, signal),
      ending,
    );
    if (!ending.aborted) onChecked(lease.item, healthy, error);
    lease.release(healthy ? 'ok' : 'unhealthy');
  }
}
