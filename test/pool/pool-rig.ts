import { notOpened } from '../../src/pool/errors.ts';
import type { ProbeResult } from '../../src/pool/health.ts';
import type { PoolLimits } from '../../src/pool/maintenance.ts';
import { Pool } from '../../src/pool/pool.ts';
import { SessionQuota } from '../../src/pool/session-quota.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { settle } from '../support/make-call.ts';

export const LIMITS: PoolLimits = {
  min: 0,
  max: 2,
  callsPerItem: 1,
  waitMs: 10_000,
  lifetimeMs: 0,
  recycleWindowMs: 0,
  recyclesOnly: false,
  idleMs: 0,
  healthIntervalMs: 0,
  healthMethods: ['ping'],
  healthTimeoutMs: 5_000,
  probesOnly: false,
  keepsOne: true,
  keepsOpen: true,
};

/** Openings that the pool has requested and the test has not completed. */
export interface Held {
  readonly signal: AbortSignal;
  succeed(): void;
  fail(error?: unknown): void;
}

export const DOWN = new Error('connect ECONNREFUSED');

/** A pool whose items may be lost, and replaced by one that the test makes. */
class RigPool extends Pool<number> {
  /** The item that the next opening returns at once. */
  successor: number | undefined;
  /** Items that were made to be successors, where none was opened. */
  readonly unused: (item: number) => void;

  constructor(deps: ConstructorParameters<typeof Pool<number>>[0], unused: (item: number) => void) {
    super(deps);
    this.unused = unused;
  }

  /** Least recently used first. */
  get items(): readonly number[] {
    return this.serving.map(({ item }) => item);
  }

  beginReplacement(item: number): { complete(fresh: number): void } | undefined {
    if (!this.items.includes(item)) return undefined;
    const before = this.size;
    this.lose(item);
    // The slot of the primary passes to its successor; others are opened where they are needed.
    const passed = this.size === before && this.primary === undefined;
    return {
      complete: (fresh) => {
        if (passed) this.successor = fresh;
        else this.unused(fresh);
      },
    };
  }
}

/** A pool of numbers, whose openings wait for the test. Items count up from 0. */
export class PoolRig {
  readonly clock: FakeClock;
  readonly places: SessionQuota;
  readonly pool: RigPool;
  /** Openings so far. */
  opened = 0;
  /** Items that became the primary. */
  readonly primaries: number[] = [];
  readonly opening: Held[] = [];
  readonly failures: unknown[] = [];
  readonly probed: string[] = [];
  /** Those that exist: opened, and not closed to the end. */
  readonly alive = new Set<number>();
  readonly closed: number[] = [];
  readonly faults: string[] = [];
  /** The result of a probe. */
  probe: (item: number, method: string, signal: AbortSignal) => Promise<ProbeResult> = async () => 'answered';
  /** How long a close takes. */
  closing: (item: number) => Promise<void> = async () => undefined;
  #next = 0;

  constructor(
    limits: Partial<PoolLimits> = {},
    {
      clock = new FakeClock(),
      total = Number.POSITIVE_INFINITY,
      places = new SessionQuota(total),
      overlap = 0,
      replaces = false,
      retryDelayMs = undefined as ((failures: number) => number) | undefined,
    } = {},
  ) {
    this.clock = clock;
    this.places = places;
    this.pool = new RigPool(
      {
        limits: { ...LIMITS, ...limits },
        clock,
        quota: places,
        overlap,
        replaces,
        ...(retryDelayMs ? { retryDelayMs } : {}),
        open: (signal) => this.#open(signal),
        close: async (item) => {
          if (!this.alive.has(item) || this.closed.includes(item)) this.faults.push(`${item} closed twice`);
          this.closed.push(item);
          await this.closing(item);
          this.alive.delete(item);
        },
        probe: (item, method, signal) => {
          this.probed.push(`${item} ${method}`);
          return this.probe(item, method, signal);
        },
        onPrimary: (item) => void this.primaries.push(item),
        onOpenFailed: (error) => void this.failures.push(error),
        refusal: (failure) => notOpened(limits.max ?? LIMITS.max, failure),
      },
      (item) => void this.alive.delete(item),
    );
  }

  /** The first item, as the client's own initialize opens it. */
  adopt(): number {
    const item = this.make();
    this.pool.reserveFirst();
    this.pool.adopt(item);
    return item;
  }

  /** Lets all that is being opened succeed, what that leads to included. */
  async openAll(): Promise<void> {
    for (await settle(); this.opening.length > 0; await settle()) this.opening[0]?.succeed();
  }

  async lease(signal = new AbortController().signal) {
    const lease = this.pool.lease(signal);
    lease.catch(() => undefined);
    await this.openAll();
    return lease;
  }

  make(): number {
    const item = this.#next++;
    this.alive.add(item);
    return item;
  }

  #open(signal: AbortSignal): Promise<number> {
    this.opened++;
    const { successor } = this.pool;
    this.pool.successor = undefined;
    if (successor !== undefined) return Promise.resolve(successor);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', abort);
        this.opening.splice(this.opening.indexOf(held), 1);
      };
      const held: Held = {
        signal,
        succeed: () => {
          leave();
          resolve(this.make());
        },
        fail: (error = DOWN) => {
          leave();
          reject(error);
        },
      };
      const abort = (): void => held.fail(signal.reason);
      if (!this.deaf) signal.addEventListener('abort', abort, { once: true });
      this.opening.push(held);
    });
  }

  /** Openings that ignore their abort. */
  deaf = false;
}
