export interface PoolLimits {
  readonly min: number;
  readonly max: number;
  /** Leases that one item carries at once. */
  readonly callsPerItem: number;
  /** Longest wait for an item with room. The time that an item takes to open does not count. */
  readonly waitMs: number;
  /** 0 = no end. */
  readonly lifetimeMs: number;
  readonly recycleWindowMs: number;
  /** Whether the only item has an end to its life, too. */
  readonly recyclesOnly: boolean;
  /** 0 = never. */
  readonly idleMs: number;
  /** 0 = off. */
  readonly healthIntervalMs: number;
  readonly healthMethods: readonly string[];
  readonly healthTimeoutMs: number;
  readonly probesOnly: boolean;
}

/** What the sweep knows of one item that serves. */
export interface Upkept {
  /** Calls on it, and whatever else keeps it in use. */
  readonly uses: number;
  readonly openedAt: number;
  readonly usedAt: number;
  /** When it last showed that it works: by a call that came back, or by a probe. */
  readonly wellAt: number;
  /** Its replacement is being opened. */
  readonly due: boolean;
}

export interface Plan<M> {
  /** At most one at a time, so that a pool that was filled at once is not emptied at once. */
  readonly recycle: M | undefined;
  readonly evict: readonly M[];
  readonly probe: readonly M[];
}

/** What one sweep does to whom. No item is in two of the lists. Pure. */
export function sweepPlan<M extends Upkept>(members: readonly M[], limits: PoolLimits, now: number): Plan<M> {
  const staying = members.filter(({ due }) => !due);
  const only = members.length === 1;
  const { lifetimeMs, recycleWindowMs, idleMs, healthIntervalMs } = limits;
  const recycling = lifetimeMs > 0 && (!only || limits.recyclesOnly) && staying.length === members.length;
  const oldest = [...staying].sort((a, b) => a.openedAt - b.openedAt)[0];
  const recycle =
    recycling && oldest && now - oldest.openedAt >= lifetimeMs - recycleWindowMs ? oldest : undefined;
  const rest = staying.filter((member) => member !== recycle && member.uses === 0);
  const surplus = members.length - (recycle ? 1 : 0) - Math.max(1, limits.min);
  const evict =
    idleMs > 0
      ? rest
          .filter(({ usedAt }) => now - usedAt >= idleMs)
          .sort((a, b) => a.usedAt - b.usedAt)
          .slice(0, Math.max(0, surplus))
      : [];
  const probing = healthIntervalMs > 0 && (!only || limits.probesOnly);
  const probe = probing
    ? rest.filter((member) => !evict.includes(member) && now - member.wellAt >= healthIntervalMs)
    : [];
  return { recycle, evict, probe };
}

/** Nothing gains from looking more often, and once a minute costs nothing. */
const SHORTEST_SWEEP_MS = 1_000;
const LONGEST_SWEEP_MS = 60_000;

/** How often to sweep, so that nothing is late by more than half of its own time; undefined where there is nothing to do. Pure. */
export function sweepInterval(limits: PoolLimits): number | undefined {
  const { lifetimeMs, recycleWindowMs, idleMs, healthIntervalMs } = limits;
  const times = [
    lifetimeMs > 0 ? (recycleWindowMs || lifetimeMs) / 2 : 0,
    limits.max > 1 ? idleMs / 2 : 0,
    healthIntervalMs / 2,
  ].filter((ms) => ms > 0);
  if (times.length === 0) return undefined;
  return Math.min(LONGEST_SWEEP_MS, Math.max(SHORTEST_SWEEP_MS, Math.min(...times)));
}
