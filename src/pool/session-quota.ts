/** The limit on items over all pools, from before an item is opened until it has been closed. */
export class SessionQuota {
  readonly #max: number;
  #used = 0;
  /** Callbacks of pools that wait for quota, longest waiting first. */
  readonly #waiters = new Set<() => void>();

  constructor(max = Number.POSITIVE_INFINITY) {
    this.#max = max;
  }

  get used(): number {
    return this.#used;
  }

  get max(): number {
    return this.#max;
  }

  /** Acquires one; else `wake` is called once when one may be available. */
  acquire(wake: () => void): boolean {
    if (this.#used >= this.#max) {
      this.#waiters.add(wake);
      return false;
    }
    this.#waiters.delete(wake);
    this.#used++;
    return true;
  }

  /** Acquires one beyond the limit, for an item that already exists. */
  forceAcquire(): void {
    this.#used++;
  }

  release(): void {
    this.#used--;
    for (const wake of [...this.#waiters]) {
      if (this.#used >= this.#max) return;
      this.#waiters.delete(wake);
      wake();
    }
  }

  removeWaiter(wake: () => void): void {
    this.#waiters.delete(wake);
  }
}
