import type { PooledSession } from './session.ts';

/** A session that is sticky to another key is left to it, if there is a choice. */
const isNotSticky = ({ affinityKey }: { readonly affinityKey: string | undefined }): boolean =>
  affinityKey === undefined;

/**
 * The sessions that affinity keys used last: one key per session, so no more keys than sessions.
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
