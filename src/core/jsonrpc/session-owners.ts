import { shortKey } from './short-key.ts';

/** Sessions that are remembered: more than the clients of one listener have open. */
const MAX_SESSIONS = 10_000;

/**
 * The first owner of each session, by session id. The sessions recorded longest ago leave first.
 */
export class SessionOwners<T> {
  readonly #owners = new Map<string, T>();

  /** True where the session has no owner, or this one. */
  admits(id: string, owner: T): boolean {
    const key = shortKey(id);
    return !this.#owners.has(key) || this.#owners.get(key) === owner;
  }

  /**
   * The first owner stays; an empty id names no session.
   * @returns whether the owner is new.
   */
  record(id: string, owner: T): boolean {
    const key = shortKey(id);
    if (id === '' || this.#owners.has(key)) return false;
    this.#owners.set(key, owner);
    const [oldest] = this.#owners.keys();
    if (this.#owners.size > MAX_SESSIONS && oldest !== undefined) this.#owners.delete(oldest);
    return true;
  }
}
