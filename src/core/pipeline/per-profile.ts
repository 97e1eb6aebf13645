/**
 * What every AWS profile has one of: made when it is first needed, and kept. One that nobody names
 * costs nothing.
 */
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

  /** Those that were needed so far. */
  all(): Iterable<T> {
    return this.#made.values();
  }
}
