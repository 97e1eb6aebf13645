import type { EnterLeases } from '../limits/store.ts';

/**
 * The running calls of all workers under one limit: what `LEASE_SCRIPT` does inside Redis. Times
 * are in microseconds.
 */
export class LeaseTable {
  /** When each lease expires. */
  readonly #leases = new Map<string, number>();
  /** Waiting workers in the order of their turns; each loses its turn at the time given here. */
  readonly #waiting = new Map<string, number>();

  /** True if no lease is held and no worker waits. */
  get isEmpty(): boolean {
    return this.#leases.size === 0 && this.#waiting.size === 0;
  }

  /** @returns how many leases were granted, in the order of their names. */
  enter(worker: string, { limit, leaseUs, patienceUs, more, leases }: EnterLeases, now: number): number {
    this.#expire(now);
    const place = [...this.#waiting.keys()].indexOf(worker);
    const ahead = place < 0 ? this.#waiting.size : place;
    const granted = Math.max(0, Math.min(leases.length, limit - this.#leases.size - ahead));
    for (const lease of leases.slice(0, granted)) this.#leases.set(lease, now + leaseUs);
    // Each grant moves a worker to the end, so that a busy one does not starve the others.
    if (granted > 0) this.#waiting.delete(worker);
    if (patienceUs > 0 && (granted < leases.length || more)) this.#waiting.set(worker, now + patienceUs);
    return granted;
  }

  /** @returns the workers whose turn it is. */
  release(leases: readonly string[]): string[] {
    for (const lease of leases) this.#leases.delete(lease);
    return [...this.#waiting.keys()].slice(0, leases.length);
  }

  renew(leases: readonly string[], leaseUs: number, now: number): void {
    for (const lease of leases) this.#leases.set(lease, now + leaseUs);
  }

  quit(worker: string): void {
    this.#waiting.delete(worker);
  }

  #expire(now: number): void {
    for (const [lease, end] of this.#leases) if (end <= now) this.#leases.delete(lease);
    for (const [worker, end] of this.#waiting) if (end <= now) this.#waiting.delete(worker);
  }
}
