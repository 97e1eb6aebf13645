/**
 * Who speaks by a set of keys, as far as the machine can tell without asking AWS. Two texts that
 * differ are two principals, or may be: an MCP session belongs to one of them. Keys that a provider
 * renews are of the one that they were of before.
 */
export type Principal = string;

/**
 * One immutable snapshot, as one signature uses it: key, secret and token never come from two
 * different refreshes.
 */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
  /** Whose they are, and where they come from; set by who knows. */
  readonly principal?: Principal;
  readonly source?: string;
}

/**
 * How long before its expiry a set is renewed in the background, at most: the SDK's own window for
 * "about to expire".
 */
export const REFRESH_AHEAD_MS = 5 * 60_000;
/** The share of a short life that is left when renewal begins. */
const REFRESH_SHARE = 1 / 5;

/**
 * When to begin renewing a set in the background.
 * @returns wall clock milliseconds; undefined for a set that does not expire.
 */
export function refreshDueAt(expiration: Date | undefined, obtainedAt: number): number | undefined {
  if (expiration === undefined) return undefined;
  const life = Math.max(0, expiration.getTime() - obtainedAt);
  return expiration.getTime() - Math.min(REFRESH_AHEAD_MS, life * REFRESH_SHARE);
}

export function hasExpired(set: Credentials, now: number): boolean {
  return set.expiration !== undefined && set.expiration.getTime() <= now;
}

/**
 * Whether a server that refused the one would refuse the other: the expiry alone makes no
 * difference to it.
 */
export function sameKeys(one: Credentials, other: Credentials): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

/**
 * Copies the four fields that matter, so that nothing an SDK object carries besides, or changes
 * later, gets in.
 */
export function snapshot(from: {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  readonly expiration?: Date | undefined;
}): Credentials {
  return Object.freeze({
    accessKeyId: from.accessKeyId,
    secretAccessKey: from.secretAccessKey,
    ...(from.sessionToken === undefined ? {} : { sessionToken: from.sessionToken }),
    ...(from.expiration === undefined ? {} : { expiration: from.expiration }),
  });
}
