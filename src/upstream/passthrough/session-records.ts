import { SessionOwners } from '../../core/jsonrpc/session-owners.ts';
import { shortKey } from '../../core/jsonrpc/short-key.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import { SizedMap } from '../../core/system/sized-map.ts';
import type { Affinity } from '../transport/affinity.ts';

/** Sessions whose affinity is kept: more than one listener's clients have open. */
const MAX_SESSIONS = 10_000;
/** Cookies and routing ids of all of them, if each has the cookies of two load balancers. */
const MAX_AFFINITY_BYTES = heapShare(16 * 1024 * 1024);

/** Facts of the sessions that clients own, by session id. */
export class SessionRecords {
  /** The principal that first used a session. */
  readonly #owners = new SessionOwners<string | undefined>();
  /** Present if the server set one. */
  readonly #affinities = new SizedMap<Affinity>({ maxEntries: MAX_SESSIONS, maxBytes: MAX_AFFINITY_BYTES });

  /** False where the session belongs to another principal. */
  admits(id: string | undefined, principal: string | undefined): boolean {
    return id === undefined || this.#owners.admits(id, principal);
  }

  recordOwner(id: string, principal: string | undefined): void {
    this.#owners.record(id, principal);
  }

  affinityOf(id: string | undefined): Affinity | undefined {
    return id === undefined ? undefined : this.#affinities.get(shortKey(id));
  }

  /**
   * Keeps the first affinity of a session, and counts it again where it may have grown.
   * @returns whether the session had none before.
   */
  keepAffinity(id: string, affinity: Affinity): boolean {
    if (id === '' || !affinity.holds) return false;
    const key = shortKey(id);
    const known = this.#affinities.get(key);
    if ((known ?? affinity) === affinity) this.#affinities.set(key, affinity, affinity.bytes);
    return known === undefined;
  }

  dropAffinity(id: string | undefined): void {
    if (id !== undefined) this.#affinities.delete(shortKey(id));
  }
}
