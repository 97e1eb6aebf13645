/** When a connection was opened and became idle. */
export interface IdleTime {
  /** Monotonic. */
  readonly openedAt: number;
  /** Monotonic. */
  readonly idleSince: number;
  /** On the wall clock, which continues while the machine sleeps. */
  readonly idleSinceWall: number;
}

export interface ReuseLimits {
  /** 0 = no end. */
  readonly lifetimeMs: number;
  readonly keepAliveTimeoutMs: number;
}

/** A larger difference means that the machine slept or its clock was set. */
const CLOCK_JUMP_MS = 3_000;

/** True where a connection is older than `--connection-lifetime` allows. Pure. */
export const isExpired = (openedAt: number, monotonic: number, { lifetimeMs }: ReuseLimits): boolean =>
  lifetimeMs > 0 && monotonic - openedAt >= lifetimeMs;

/**
 * Whether an idle connection may be reused. After a sleep, peers, NATs and VPNs have forgotten it,
 * and its timeout has not fired yet. Pure.
 * @param maxIdleMs - of the request that needs it; undefined = no limit of its own.
 */
export function mayReuse(
  rest: IdleTime,
  now: { readonly monotonic: number; readonly wall: number },
  limits: ReuseLimits,
  maxIdleMs = limits.keepAliveTimeoutMs,
): boolean {
  if (isExpired(rest.openedAt, now.monotonic, limits)) return false;
  const idleMs = now.monotonic - rest.idleSince;
  const idleWallMs = now.wall - rest.idleSinceWall;
  if (Math.abs(idleWallMs - idleMs) > CLOCK_JUMP_MS) return false;
  return idleMs <= Math.min(limits.keepAliveTimeoutMs, maxIdleMs);
}
