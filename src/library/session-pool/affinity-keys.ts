import type { PooledSession } from './session.ts';

/** True for a session that no affinity key used last. */
const isNotSticky = ({ affinityKey }: { readonly affinityKey: string | undefined }): boolean =>
  affinityKey === undefined;

/**
 * Maps each affinity key to the session that it used last. A session has one key, so the number of
 * keys is bounded by the number of sessions.
 */
export class AffinityKeys<C> {
  readonly #sessions = new Map<string, PooledSession<C>>();

  /** The session that this key used last. */
  find(key: string | undefined): PooledSession<C> | undefined {
    return key === undefined ? undefined : this.#sessions.get(key);
  }

  /** Prefers sessions that no key has used; undefined where there is no such key. */
  get preference(): ((session: PooledSession<C>) => boolean) | undefined {
    return this.#sessions.size > 0 ? isNotSticky : undefined;
  }

  attach(session: PooledSession<C>, key: string | undefined): void {
    if (key === undefined || session.affinityKey === key) return;
    this.detach(session);
    const before = this.#sessions.get(key);
    if (before) before.affinityKey = undefined;
    session.affinityKey = key;
    this.#sessions.set(key, session);
  }

  detach(session: PooledSession<C>): void {
    if (session.affinityKey !== undefined) this.#sessions.delete(session.affinityKey);
    session.affinityKey = undefined;
  }
}
