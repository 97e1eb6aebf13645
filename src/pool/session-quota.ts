/**
 * How many items may exist over all pools. A place is taken before an item is opened, and given
 * back when it has been closed.
 */
export class SessionQuota {
  readonly #max: number;
  #used = 0;
  /** Pools that found no place, longest waiting first. */
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

  /** Takes one if there is one; else `wake` is called, once, when there may be. */
  acquire(wake: () => void): boolean {
    if (this.#used >= this.#max) {
      this.#waiters.add(wake);
      return false;
    }
    this.#waiters.delete(wake);
    this.#used++;
    return true;
  }

  /** Takes one if there is one. */
  tryAcquire(): boolean {
    if (this.#used >= this.#max) return false;
    this.#used++;
    return true;
  }

  /** For what exists already and cannot be refused any more. */
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

  /** For a pool that closes. */
  removeWaiter(wake: () => void): void {
    this.#waiters.delete(wake);
  }
}
