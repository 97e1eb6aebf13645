/** A shorter wait could never succeed: opening takes several round trips, TLS included. */
export const MIN_OPENING_WAIT_MS = 1_000;

export interface PoolLimits {
  readonly min: number;
  readonly max: number;
  /** Leases that one item carries at once. */
  readonly callsPerItem: number;
  /** Longest wait for an item, opening included. 0 = wait only for an item that is being opened. */
  readonly waitMs: number;
  /** Shortest limit of a wait for an item that is being opened. Default: MIN_OPENING_WAIT_MS. */
  readonly openingWaitMs?: number;
  /** 0 = no end. */
  readonly lifetimeMs: number;
  readonly recycleWindowMs: number;
  /** Whether the lifetime applies to a single item too. */
  readonly recyclesOnly: boolean;
  /** 0 = never. */
  readonly idleMs: number;
  /** 0 = off. */
  readonly healthIntervalMs: number;
  readonly healthMethods: readonly string[];
  readonly healthTimeoutMs: number;
  readonly probesOnly: boolean;
  /** Whether one item at least is kept once there was one: a client believes to have a session. */
  readonly keepsOne: boolean;
  /** Whether the items that are kept are opened again without a caller after a failure. */
  readonly keepsOpen: boolean;
}

/** The facts of one item that a sweep needs. */
export interface Maintained {
  /** Calls on it, and whatever else keeps it in use. */
  readonly uses: number;
  readonly openedAt: number;
  readonly usedAt: number;
  /** When a call or a probe last succeeded. */
  readonly healthyAt: number;
  /** Its replacement is being opened. */
  readonly due: boolean;
  /** It is to be replaced. */
  readonly outdated?: false | 'recycled' | 'drain' | 'resize';
}

export interface MaintenancePlan<M> {
  /** One at a time, so that a pool that was filled at once is not emptied at once. */
  readonly recycle: M | undefined;
  readonly evict: readonly M[];
  readonly probe: readonly M[];
}

/** How many items are kept open. Pure. */
export const keptItems = ({ min, keepsOne }: PoolLimits): number => Math.max(keepsOne ? 1 : 0, min);

/** Plans one sweep. No item is in two of the lists. Pure. */
export function planSweep<M extends Maintained>(
  members: readonly M[],
  limits: PoolLimits,
  now: number,
): MaintenancePlan<M> {
  const staying = members.filter(({ due }) => !due);
  const only = members.length === 1;
  const { lifetimeMs, recycleWindowMs, idleMs, healthIntervalMs } = limits;
  const recycling = lifetimeMs > 0 && (!only || limits.recyclesOnly) && staying.length === members.length;
  const [oldest] = staying.filter(({ outdated }) => !outdated).sort((a, b) => a.openedAt - b.openedAt);
  const recycle =
    recycling && oldest && now - oldest.openedAt >= lifetimeMs - recycleWindowMs ? oldest : undefined;
  const rest = staying.filter((member) => member !== recycle && member.uses === 0);
  const surplus = members.length - (recycle ? 1 : 0) - keptItems(limits);
  const evict =
    idleMs > 0
      ? rest
          .filter(({ usedAt }) => now - usedAt >= idleMs)
          .sort((a, b) => a.usedAt - b.usedAt)
          .slice(0, Math.max(0, surplus))
      : [];
  const probing = healthIntervalMs > 0 && (!only || limits.probesOnly);
  const probe = probing
    ? rest.filter((member) => !evict.includes(member) && now - member.healthyAt >= healthIntervalMs)
    : [];
  return { recycle, evict, probe };
}

/** A single item expires only if an option requires it, or if more are kept. */
const hasEnd = (count: number, { lifetimeMs, recyclesOnly, min }: PoolLimits): boolean =>
  lifetimeMs > 0 && (recyclesOnly || count > 1 || min > 1);

/** True for an item that is past its lifetime. Pure. @param count - how many items serve. */
export const isExpired = (member: Maintained, count: number, limits: PoolLimits, now: number): boolean =>
  hasEnd(count, limits) && now - member.openedAt >= limits.lifetimeMs;

/** Bounds of the sweep interval. */
const MIN_SWEEP_MS = 1_000;
const MAX_SWEEP_MS = 60_000;
/** Shortest time between two recyclings: hundreds of sessions must not be opened as a burst. */
const MIN_RECYCLE_SPACING_MS = 50;

/** The sweep interval: at most half of the shortest time limit. Pure. */
export function sweepInterval(limits: PoolLimits): number | undefined {
  const { lifetimeMs, recycleWindowMs, idleMs, healthIntervalMs } = limits;
  const times = [
    lifetimeMs > 0 ? (recycleWindowMs || lifetimeMs) / 2 : 0,
    limits.max > 1 ? idleMs / 2 : 0,
    healthIntervalMs / 2,
  ].filter((ms) => ms > 0);
  if (times.length === 0) return undefined;
  return Math.min(MAX_SWEEP_MS, Math.max(MIN_SWEEP_MS, Math.min(...times)));
}

/**
 * Milliseconds to the next sweep. A sweep recycles one item, so the window needs as many sweeps as
 * items, and each item one at the end of its lifetime. Pure.
 */
export function sweepDelay<M extends Maintained>(
  members: readonly M[],
  limits: PoolLimits,
  now: number,
): number | undefined {
  let delay = sweepInterval(limits);
  if (delay === undefined || !hasEnd(members.length, limits)) return delay;
  const { lifetimeMs, recycleWindowMs } = limits;
  const spacing = Math.max(MIN_RECYCLE_SPACING_MS, recycleWindowMs / Math.max(1, members.length));
  for (const { openedAt, outdated } of members) {
    const toEnd = openedAt + lifetimeMs - now;
    const toWindow = toEnd - recycleWindowMs;
    if (toEnd > 0) delay = Math.min(delay, toEnd);
    if (!outdated) delay = Math.min(delay, toWindow > 0 ? toWindow : spacing);
  }
  return delay;
}
