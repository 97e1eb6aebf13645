/** One instance per AWS profile, created on first use. */
export class PerProfile<T> {
  readonly #make: (profile: string) => T;
  readonly #made = new Map<string, T>();

  constructor(make: (profile: string) => T) {
    this.#make = make;
  }

  of(profile: string): T {
    const made = this.#made.get(profile);
    if (made !== undefined) return made;
    const fresh = this.#make(profile);
    this.#made.set(profile, fresh);
    return fresh;
  }

  /** The instance of a profile, if it was created. */
  peek(profile: string): T | undefined {
    return this.#made.get(profile);
  }

  /** The instances created so far. */
  all(): Iterable<T> {
    return this.#made.values();
  }
}
