/**
 * The state that every list of a profile depends on. Compared by value; a list is current as long
 * as no part has changed.
 */
export interface CatalogVersion {
  /** Number of invalidations: the server announced a change, or a new session began. */
  readonly generation: number;
  /** Number of identity changes. A list shown to one identity is not shown to another. */
  readonly identity: number;
}

/** The same for one list under its cache key. */
export interface ListVersion extends CatalogVersion {
  /** Number of first pages received: a page of an earlier listing does not fit a later one. */
  readonly listing: number;
  /** Fingerprint of the last complete list. Requests past the cache may have seen another one. */
  readonly fingerprint: string | undefined;
  /** The period in which a stream has announced changes without a gap; undefined without one. */
  readonly watch: number | undefined;
}

/** A list that was received. */
export interface KeptList {
  readonly version: ListVersion;
  /** On the monotonic clock. */
  readonly at: number;
  /** The server's ttl; undefined where it states none. */
  readonly ttlMs: number | undefined;
}

/** The moment at which a kept list may be used. */
export interface ListMoment {
  readonly version: ListVersion;
  /** On the monotonic clock. */
  readonly now: number;
  /** The option's ttl, which overrides the server's. */
  readonly ttlMs: number | undefined;
  /** True where the next request may be signed by another identity. May read files. */
  readonly isIdentityInDoubt: () => boolean;
}

/** Why a kept list is not used. */
export type StaleReason =
  /** The server announced a change, or a new session began. */
  | 'invalidated'
  /** Another identity signs now. */
  | 'other-identity'
  /** It is a page of an earlier listing. */
  | 'earlier-listing'
  /** A request that bypassed the cache brought another list. */
  | 'seen-to-differ'
  /** The list is older than its time to live, or was kept without one. */
  | 'expired'
  /** The next request may be signed by another identity. */
  | 'identity-in-doubt';

/** ttl while the server announces changes on an open stream. */
const WATCHED_TTL_MS = 300_000;

/** Why a kept list is not current; undefined where it is. Pure but for the identity, asked last. */
export function staleReason(kept: KeptList, moment: ListMoment): StaleReason | undefined {
  const { version: then } = kept;
  const { version, now } = moment;
  if (then.identity !== version.identity) return 'other-identity';
  if (isOutdated(then, version)) return 'invalidated';
  if (then.listing !== version.listing) return 'earlier-listing';
  if (then.fingerprint !== version.fingerprint) return 'seen-to-differ';
  const watched = then.watch !== undefined && then.watch === version.watch;
  const ttlMs = moment.ttlMs ?? kept.ttlMs ?? (watched ? WATCHED_TTL_MS : 0);
  if (now - kept.at >= ttlMs) return 'expired';
  return moment.isIdentityInDoubt() ? 'identity-in-doubt' : undefined;
}

/** True where the tools may have changed in between. Pure. */
export const isOutdated = (then: CatalogVersion, now: CatalogVersion): boolean =>
  then.generation !== now.generation;

/** True where a list of then may be shown now if the server fails. Pure. */
export const mayStandIn = (then: CatalogVersion, now: CatalogVersion): boolean =>
  then.identity === now.identity;

/**
 * The longest time for which hints of a list are relied on. A server may change a tool without a
 * notification; while calls are frequent, a shorter time would cost many lists.
 */
const MAX_HINT_AGE_MS = 60_000;

/**
 * True where the hints of a list may be relied on. Pure.
 * @param listedAt - when the list was requested (monotonic); undefined where it is unknown.
 */
export const hasRecentHints = (listedAt: number | undefined, now: number): boolean =>
  listedAt !== undefined && now - listedAt <= MAX_HINT_AGE_MS;
