import type { Clock } from '../core/time/clock.ts';
import {
  applyRate,
  type BucketLimit,
  type BucketState,
  newBucket,
  type RateCommand,
} from '../limits/rate-bucket.ts';
import { type ReplicaHeartbeat, ReplicaTable } from '../limits/replica-table.ts';
import type { EnterLeases, SharedRateAnswer } from '../limits/store.ts';
import { LeaseTable } from './lease-table.ts';
import type { LimitOperation } from './messages.ts';

/** Each worker has up to 1000 keys, mostly the same ones. Beyond, full buckets are removed. */
const MAX_BUCKETS = 2_000;

interface Bucket {
  readonly limit: BucketLimit;
  readonly state: BucketState;
}

/** The shared limits of all workers, in the memory of the primary process. */
export class LimitServer {
  readonly #clock: Clock;
  readonly #onFree: (worker: string, key: string) => void;
  readonly #buckets = new Map<string, Bucket>();
  readonly #tables = new Map<string, LeaseTable>();
  /** Never emptied while a worker lives. */
  readonly #workers = new ReplicaTable(Number.NEGATIVE_INFINITY);

  /** @param onFree - a lease of the key is free, and it is the worker's turn. */
  constructor(clock: Clock, onFree: (worker: string, key: string) => void) {
    this.#clock = clock;
    this.#onFree = onFree;
  }

  /** Runs one operation of a worker. Never throws. */
  run(worker: string, operation: LimitOperation, args: readonly unknown[]): unknown {
    const now = this.#clock.monotonic() * 1_000;
    const key = String(args[0]);
    // The arguments have the types of `LimitStore`, because a worker runs the same program.
    switch (operation) {
      case 'rate':
        return this.#rate(key, args[1] as BucketLimit, args[2] as RateCommand, now);
      case 'enter':
        return this.#tableOf(key).enter(worker, args[1] as EnterLeases, now);
      case 'release':
        for (const next of this.#tableOf(key).release(args[1] as string[])) this.#onFree(next, key);
        this.#dropEmpty(key);
        return undefined;
      case 'renew':
        return this.#tableOf(key).renew(args[2] as string[], args[1] as number, now);
      case 'quit':
        this.#tableOf(key).quit(worker);
        this.#dropEmpty(key);
        return undefined;
      case 'beat':
        return this.#workers.beat(worker, args[0] as ReplicaHeartbeat, now);
      case 'probe':
        return undefined;
    }
  }

  /** A worker has died. Its leases expire by themselves, because its calls may still run. */
  forget(worker: string): void {
    for (const table of this.#tables.values()) table.quit(worker);
    this.#workers.remove(worker);
  }

  #rate(key: string, limit: BucketLimit, command: RateCommand, now: number): SharedRateAnswer {
    const known = this.#buckets.get(key)?.state ?? newBucket(now, limit, limit.burst);
    const { state, answer } = applyRate(known, limit, command, now);
    this.#buckets.set(key, { limit, state });
    if (this.#buckets.size > MAX_BUCKETS) this.#removeFull(now);
    return { ...answer, otherLimit: undefined };
  }

  /** Removes full buckets: a new bucket starts full, so removing one changes no limit. */
  #removeFull(now: number): void {
    for (const [key, { limit, state }] of this.#buckets) {
      const filled = state.tokens + ((now - state.at) / 1_000_000) * limit.ratePerSecond;
      if (state.until <= now && filled >= limit.burst) this.#buckets.delete(key);
    }
  }

  #tableOf(key: string): LeaseTable {
    const known = this.#tables.get(key);
    if (known) return known;
    const opened = new LeaseTable();
    this.#tables.set(key, opened);
    return opened;
  }

  #dropEmpty(key: string): void {
    if (this.#tables.get(key)?.isEmpty) this.#tables.delete(key);
  }
}
