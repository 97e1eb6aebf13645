import { applyRate, type BucketState, newBucket, type RateCommand } from '../../src/limits/rate-bucket.ts';
import { type FleetView, type ReplicaHeartbeat, ReplicaTable } from '../../src/limits/replica-table.ts';
import type { LimitStore } from '../../src/limits/store.ts';
import type { FakeClock } from './fake-clock.ts';

/** The names of the operations that a store may refuse. */
export type StoreOperation = 'connected' | 'rate' | 'enter' | 'beat' | 'probe';

/** The store of --limits in memory, for one process; each operation can be made to fail. */
export class MemoryStore implements LimitStore {
  /** The operations that fail, with the message of the error. */
  readonly failing = new Map<StoreOperation, string>();
  readonly counts = { probe: 0, rate: 0 };
  readonly leases = new Set<string>();
  /** How long the answer of the next operation on a rate takes. */
  delayMs = 0;
  onRate: (command: RateCommand) => void = () => undefined;
  readonly #clock: FakeClock;
  /** Not emptied a moment ago. */
  readonly #replicas = new ReplicaTable(Number.NEGATIVE_INFINITY);
  readonly #buckets = new Map<string, BucketState>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  #check(operation: StoreOperation): void {
    const message = this.failing.get(operation);
    if (message !== undefined) throw Object.assign(new Error(message), { name: 'ReplyError' });
  }

  async connected(): Promise<void> {
    this.#check('connected');
  }

  async rate(...[key, limit, command]: Parameters<LimitStore['rate']>) {
    this.counts.rate++;
    this.#check('rate');
    const now = this.#clock.monotonic() * 1_000;
    const { state, answer } = applyRate(
      this.#buckets.get(key) ?? newBucket(now, limit, 1),
      limit,
      command,
      now,
    );
    this.#buckets.set(key, state);
    const { delayMs } = this;
    this.onRate(command);
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.schedule(delayMs, resolve));
    return { ...answer, otherLimit: undefined };
  }

  async enter(...[, { limit, leases }]: Parameters<LimitStore['enter']>): Promise<number> {
    this.#check('enter');
    const granted = Math.max(0, Math.min(leases.length, limit - this.leases.size));
    for (const lease of leases.slice(0, granted)) this.leases.add(lease);
    return granted;
  }

  async release(...[, leases]: Parameters<LimitStore['release']>): Promise<void> {
    for (const lease of leases) this.leases.delete(lease);
  }

  async renew(...[, , leases]: Parameters<LimitStore['renew']>): Promise<void> {
    for (const lease of leases) this.leases.add(lease);
  }

  async quit(): Promise<void> {}

  async beat(heartbeat: ReplicaHeartbeat): Promise<FleetView> {
    this.#check('beat');
    return this.#replicas.beat('this one', heartbeat, this.#clock.monotonic() * 1_000);
  }

  async probe(): Promise<void> {
    this.counts.probe++;
    this.#check('probe');
  }

  close(): void {}
}
