/** The numbers of one key of a pool. */
export interface PoolKeyMetrics {
  /** The key: a full hash. */
  readonly key: string;
  /** The endpoint of the key. */
  readonly endpoint: string;
  /** The full hash of the user; `anonymous` for none. */
  readonly user: string;
  /** The full hash of the identity headers; `anonymous` for none. */
  readonly identity: string;
  /** Borrowed sessions. */
  readonly active: number;
  /** Open sessions that are not borrowed. */
  readonly idle: number;
  /** Callers that wait for a session. */
  readonly waiting: number;
  /** The maximum number of sessions. */
  readonly maxSessions: number;
  /** Borrows that got an open session at once. */
  readonly hits: number;
  /** Other borrows. */
  readonly misses: number;
  /** The state of the circuit breaker. */
  readonly circuit: 'closed' | 'open' | 'half-open';
}

/** The numbers of a pool: a detached copy. Counts are counted from the first `start` on. */
export interface SessionPoolMetrics {
  /** Borrowed sessions. */
  readonly active: number;
  /** Open sessions that are not borrowed. */
  readonly idle: number;
  /** Sessions that are open, being opened or being closed. */
  readonly total: number;
  /** Callers that wait for a session. */
  readonly waiting: number;
  /** Sessions that were borrowed. */
  readonly borrows: number;
  /** Sessions that were returned. */
  readonly returns: number;
  /** The average wait of a borrow, the opening included, in seconds; 0 without one. */
  readonly averageBorrowWait: number;
  /** The waits of all borrows, the openings included, in seconds. */
  readonly totalBorrowWait: number;
  /** Borrows that got an open session at once, per borrow; 0 without one. */
  readonly hitRate: number;
  /** Sessions that were opened. */
  readonly sessionsCreated: number;
  /** Sessions that ended. */
  readonly sessionsDestroyed: number;
  /** Sessions that were replaced because of their age. */
  readonly recycled: number;
  /** Further attempts to open a session. */
  readonly retryAttempts: number;
  /** Openings that failed. */
  readonly errors: number;
  /** Probes of unused sessions. */
  readonly healthChecks: number;
  /** Probes that failed. */
  readonly healthCheckFailures: number;
  /** Lists of tools that came from the cache. */
  readonly toolCacheHits: number;
  /** Lists of tools that did not. */
  readonly toolCacheMisses: number;
  /** Lists of tools that were fetched. */
  readonly toolCacheRefreshes: number;
  /** Callers that waited for a list that another one fetched. */
  readonly toolCacheWaiters: number;
  /** Borrows that waited for the rate limit. */
  readonly rateLimitWaits: number;
  /** Borrows that the rate limit refused. */
  readonly rateLimitRejects: number;
  /** Borrows that the limit of a tenant refused. */
  readonly tenantRejects: number;
  /** Borrowed sessions of each tenant that has one. */
  readonly tenants: Readonly<Record<string, number>>;
  /** How often the autoscaler raised the minimum. */
  readonly autoscaleUps: number;
  /** How often the autoscaler lowered the minimum. */
  readonly autoscaleDowns: number;
  /** Keys that were removed. */
  readonly keysEvicted: number;
  /** True while fewer sessions than the minimum can be opened. */
  readonly degraded: boolean;
  /** Seconds since `start`; 0 while the pool is stopped. */
  readonly uptime: number;
  /** The numbers of each key. */
  readonly keys: readonly PoolKeyMetrics[];
}

/** One session of a pool. */
export interface PoolSessionState {
  /** Twelve hexadecimal digits. */
  readonly sessionId: string;
  /** The key that the session belongs to. */
  readonly key: string;
  /** `active`: it is borrowed. */
  readonly state: 'active' | 'idle';
  /** Seconds since it was opened. */
  readonly ageS: number;
  /** Seconds since its last use; 0 while it is borrowed. */
  readonly idleS: number;
  /** How often it was borrowed. */
  readonly borrowCount: number;
  /** The affinity key that borrowed it last. */
  readonly affinityKey: string | undefined;
}

/** The counts that all keys of a pool share. */
export class PoolCounts {
  borrows = 0;
  returns = 0;
  hits = 0;
  waitMs = 0;
  sessionsCreated = 0;
  sessionsDestroyed = 0;
  recycled = 0;
  retryAttempts = 0;
  errors = 0;
  healthChecks = 0;
  healthCheckFailures = 0;
  toolCacheHits = 0;
  toolCacheMisses = 0;
  toolCacheRefreshes = 0;
  toolCacheWaiters = 0;
  rateLimitWaits = 0;
  rateLimitRejects = 0;
  tenantRejects = 0;
  autoscaleUps = 0;
  autoscaleDowns = 0;
  keysEvicted = 0;
}

/** The metrics that are not counts. */
export interface PoolGauges {
  readonly keys: readonly PoolKeyMetrics[];
  readonly active: number;
  readonly total: number;
  readonly tenants: Readonly<Record<string, number>>;
  readonly degraded: boolean;
  readonly uptimeMs: number;
}

/** Rounded, because further digits of a mean are noise. */
const ratio = (part: number, whole: number, digits: number): number =>
  whole === 0 ? 0 : Number((part / whole).toFixed(digits));

/** Returns the metrics of a pool. Pure. */
export function poolMetrics(
  { waitMs, hits, borrows, ...counts }: PoolCounts,
  { keys, uptimeMs, ...gauges }: PoolGauges,
): SessionPoolMetrics {
  const sum = (of: 'idle' | 'waiting'): number => keys.reduce((total, key) => total + key[of], 0);
  return {
    ...counts,
    ...gauges,
    borrows,
    idle: sum('idle'),
    waiting: sum('waiting'),
    averageBorrowWait: ratio(waitMs / 1_000, borrows, 6),
    totalBorrowWait: Math.round(waitMs) / 1_000,
    hitRate: ratio(hits, borrows, 4),
    uptime: Math.round(uptimeMs / 10) / 100,
    keys,
  };
}

/** The facts of a session that its engine holds. */
interface DescribedMember {
  readonly item: { readonly id: string; readonly affinityKey: string | undefined };
  readonly uses: number;
  readonly borrowed: number;
  readonly openedAt: number;
  readonly usedAt: number;
}

/** Describes a session. Pure. @param now - on the monotonic clock. */
export function sessionState(
  { item, uses, borrowed, openedAt, usedAt }: DescribedMember,
  key: string,
  now: number,
): PoolSessionState {
  const seconds = (since: number): number => Math.round((now - since) / 10) / 100;
  return {
    sessionId: item.id,
    key,
    state: uses > 0 ? 'active' : 'idle',
    ageS: seconds(openedAt),
    idleS: uses > 0 ? 0 : seconds(usedAt),
    borrowCount: borrowed,
    affinityKey: item.affinityKey,
  };
}
