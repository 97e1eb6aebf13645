import type { Clock, Timer } from '../../../core/time/clock.ts';

/** The maximum number of identities: each has connections, credentials and caches of its own. */
export const MAX_IDENTITIES = 1_000;
/** Unused identities are closed after this time, which is the default idle time of a session. */
export const MAX_IDLE_MS = 15 * 60_000;
const SWEEP_MS = 60_000;

interface Place<T> {
  readonly value: T;
  /** Requests in flight. */
  used: number;
  /** Monotonic; of the last use. */
  since: number;
}

export interface IdentityTableOptions<T> {
  readonly clock: Clock;
  /** Called once for each entry that is removed. */
  readonly close: (value: T) => void;
  readonly maxEntries?: number;
}

/** The parts of each identity in use, until it has been unused for `MAX_IDLE_MS`. */
export class IdentityTable<T> {
  readonly #options: IdentityTableOptions<T>;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Place<T>>();
  #sweep: Timer | undefined;

  constructor(options: IdentityTableOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Each entry with its requests in flight, the latest use first. */
  uses(): { readonly value: T; readonly requests: number }[] {
    return [...this.#entries.values()].reverse().map(({ value, used }) => ({ value, requests: used }));
  }

  values(): T[] {
    return [...this.#entries.values()].map(({ value }) => value);
  }

  /**
   * Returns the entry of a key for one request. The first request of a key creates its entry.
   * Returns undefined while identities with requests in flight take all places. The caller calls
   * `release` once.
   */
  acquire(key: string, create: () => T): { readonly value: T; release(): void } | undefined {
    const entry = this.#entries.get(key) ?? this.#add(create);
    if (!entry) return undefined;
    entry.used++;
    this.#touch(key, entry);
    return {
      value: entry.value,
      release: () => {
        entry.used--;
        // It may have been removed meanwhile.
        if (this.#entries.get(key) === entry) this.#touch(key, entry);
      },
    };
  }

  #add(create: () => T): Place<T> | undefined {
    const { maxEntries = MAX_IDENTITIES } = this.#options;
    if (this.#entries.size >= maxEntries && !this.#evictOne()) return undefined;
    return { value: create(), used: 0, since: 0 };
  }

  #touch(key: string, entry: Place<T>): void {
    entry.since = this.#options.clock.monotonic();
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#sweep ??= this.#scheduleSweep();
  }

  #scheduleSweep(): Timer {
    const { clock } = this.#options;
    const sweep = (): void => {
      const idleSince = clock.monotonic() - MAX_IDLE_MS;
      for (const [key, { used, since }] of this.#entries)
        if (used === 0 && since <= idleSince) this.drop(key);
      this.#sweep = this.#entries.size > 0 ? this.#scheduleSweep() : undefined;
    };
    return clock.schedule(SWEEP_MS, sweep, { keepAlive: false });
  }

  #evictOne(): boolean {
    for (const [key, { used }] of this.#entries) {
      if (used > 0) continue;
      this.drop(key);
      return true;
    }
    return false;
  }

  /** Removes and closes an entry, also one in use. */
  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#options.close(entry.value);
  }

  /** Removes and closes the entries that the test rejects. */
  keepOnly(test: (value: T, key: string) => boolean): void {
    for (const [key, { value }] of this.#entries) if (!test(value, key)) this.drop(key);
  }

  close(): void {
    this.#sweep?.cancel();
    for (const key of [...this.#entries.keys()]) this.drop(key);
  }
}
