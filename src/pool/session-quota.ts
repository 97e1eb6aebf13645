/**
 * How many items may exist over all pools. A place is taken before an item is opened, and given
 * back when it has been closed.
 */
export class SessionQuota {
  readonly #max: number;
  #taken = 0;
  /** Pools that found no place, longest waiting first. */
  readonly #wanting = new Set<() => void>();

  constructor(max = Number.POSITIVE_INFINITY) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  get max(): number {
    return this.#max;
  }

  /** Takes one if there is one; else `wake` is called, once, when there may be. */
  take(wake: () => void): boolean {
    if (this.#taken >= this.#max) {
      this.#wanting.add(wake);
      return false;
    }
    this.#wanting.delete(wake);
    this.#taken++;
    return true;
  }

  /** Takes one if there is one. */
  takeNow(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken++;
    return true;
  }

  /** For what exists already and cannot be refused any more. */
  occupy(): void {
    this.#taken++;
  }

  give(): void {
    this.#taken--;
    for (const wake of [...this.#wanting]) {
      if (this.#taken >= this.#max) return;
      this.#wanting.delete(wake);
      wake();
    }
  }

  /** For a pool that closes. */
  forget(wake: () => void): void {
    this.#wanting.delete(wake);
  }
}
