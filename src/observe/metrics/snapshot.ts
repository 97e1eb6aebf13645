import type { ListenerState, ProfileState, UserState } from '../../core/pipeline/proxy-state.ts';
import type { Counter, Family } from './families.ts';
import type { HistoryPoint } from './history.ts';
import { WAITS } from './initial-series.ts';
import { profileLabel } from './labels.ts';
import type { Measured, RecentError } from './measured.ts';
import { rounded, type ToolSnapshot, toolSnapshots } from './tool-snapshots.ts';

/** One kind of wait of calls. */
export interface WaitSnapshot {
  /** `queue`, `rate`, `session`, `connection`, `credentials` or `backoff`. */
  readonly wait: string;
  /** Calls that waited. */
  readonly calls: number;
  /** The sum of all waits. */
  readonly seconds: number;
  /** 95 % of the waits were shorter. */
  readonly p95: number;
}

/** The counts and the state of one profile. Times are in seconds; ratios are 0 without data. */
export interface ProfileSnapshot {
  /** Its name; `default` for the default chain. */
  readonly profile: string;
  /** Sessions with a call. */
  readonly active: number;
  /** Sessions without a call. */
  readonly idle: number;
  /** All open sessions. */
  readonly total: number;
  /** Calls that got a session of the pool. */
  readonly borrowCount: number;
  /** Their mean wait for it, opening included. */
  readonly avgBorrowWaitS: number;
  /** Calls that returned a session to the pool. */
  readonly returnCount: number;
  /** Tool lists from the cache, or from another call's request. */
  readonly cacheHits: number;
  /** Tool lists that the server was asked for. */
  readonly cacheMisses: number;
  /** Requests for a tool list. */
  readonly cacheRefreshCount: number;
  /** Tool lists from another call's request. */
  readonly cacheWaiters: number;
  /** Hits divided by hits and misses. */
  readonly cacheHitRate: number;
  /** Sessions that replaced a lost one. */
  readonly reconnectCount: number;
  /** Retries of calls. */
  readonly retryAttempts: number;
  /** Health checks of sessions. */
  readonly healthCheckCount: number;
  /** Failed health checks. */
  readonly healthCheckFailures: number;
  /** Sessions that were replaced because of their age. */
  readonly recycledCount: number;
  /** Sessions that were opened. */
  readonly sessionsCreated: number;
  /** Sessions that ended. */
  readonly sessionsDestroyed: number;
  /** Failed and refused attempts to open a session. */
  readonly errors: number;
  /** The state of the circuit breaker. */
  readonly circuitState: 'closed' | 'open' | 'half-open';
  /** How often the circuit breaker opened. */
  readonly circuitTrips: number;
  /** True while the circuit breaker is not closed. */
  readonly degraded: boolean;
  /** Requests that waited for their turn under a rate limit. */
  readonly rateLimitWaits: number;
  /** Requests that a rate limit refused. */
  readonly rateLimitRejects: number;
  /** Requests that the server throttled. */
  readonly throttled: number;
  /** Requests of clients. */
  readonly calls: number;
  /** Requests of clients that ended with an error. */
  readonly callErrors: number;
  /** Tool calls whose result says `isError`. */
  readonly toolErrors: number;
  /** Requests that their client cancelled. */
  readonly cancelled: number;
  /** Places of --max-concurrent in use, and calls that wait for one. */
  readonly backpressure: {
    readonly active: number;
    readonly queued: number;
    readonly totalRejected: number;
    readonly rejectedConcurrencyLimit: number;
    readonly rejectedQueueFull: number;
    readonly rejectedQueueTimeout: number;
  };
  /** The part of calls in which the server worked and the network carried. */
  readonly serverTime: { readonly p50: number; readonly p95: number };
  /** The waits of calls, by their kind. */
  readonly waits: readonly WaitSnapshot[];
  /** Signed HTTP requests. */
  readonly signatures: number;
  /** The provider of the credentials and their expiry; undefined before they were resolved. */
  readonly credentials: { readonly provider: string; readonly expiresInS: number | undefined } | undefined;
  /** The state at this moment. */
  readonly state: ProfileState;
  /** The latest errors, oldest first. */
  readonly recentErrors: readonly RecentError[];
}

/** A detached copy of everything that is measured. */
export interface MetricsSnapshot {
  /** The version of the proxy. */
  readonly version: string;
  /** The URL of the server, without secrets. */
  readonly endpoint: string;
  /** The service of the signature. */
  readonly service: string;
  /** The region of the signature. */
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** When counting began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** Since counting began. */
  readonly uptimeS: number;
  /** Requests of clients without an answer yet. */
  readonly callsInFlight: number;
  /**
   * Whether --limits are shared at this moment; undefined without them, and before the first call.
   */
  readonly limits: 'shared' | 'local' | undefined;
  /** One entry for each configured profile. */
  readonly profiles: readonly ProfileSnapshot[];
  /** The users of an identity map, the latest first, at most 100; undefined without a map. */
  readonly users?: readonly UserState[] | undefined;
  /** Their number. */
  readonly userCount?: number | undefined;
  /** Most calls first. */
  readonly tools: readonly ToolSnapshot[];
  /** The last quarter of an hour. */
  readonly history: readonly HistoryPoint[];
  /** The listener; undefined without one. */
  readonly listener: (ListenerState & { readonly refusals: Readonly<Record<string, number>> }) | undefined;
  /** CPU time, memory and the delay of the event loop. */
  readonly process: {
    readonly cpuSeconds: number;
    readonly memoryBytes: number;
    readonly heapBytes: number;
    readonly eventLoopDelayS: number;
  };
}

/** The sum of the series whose leading labels have these values; "" stands for any. */
function sum(family: Family<Counter>, ...wanted: readonly string[]): number {
  let total = 0;
  for (const { values, child } of family.series) {
    if (wanted.every((value, at) => value === '' || values[at] === value)) total += child.value;
  }
  return total;
}

const ratio = (part: number, whole: number, digits: number): number =>
  whole === 0 ? 0 : rounded(part / whole, digits);

/** Creates the snapshot. @param clean - removes secrets from the text of an error. */
export function createSnapshot(own: Measured, clean: (text: string) => string): MetricsSnapshot {
  const { metrics, deps, history, startedAt } = own;
  const { endpoint, service, region, limits, profiles, users, userCount } = deps.state();
  const now = deps.clock.now();
  const listener = deps.listener?.();
  const refusals = Object.fromEntries(
    [...metrics.listenerRefusals.series].map(({ values, child }) => [values[0] ?? '', child.value]),
  );
  return {
    version: deps.version,
    endpoint,
    service,
    region,
    at: now,
    startedAt,
    uptimeS: rounded((now - startedAt) / 1_000, 2),
    callsInFlight: metrics.callsInFlight.of().value,
    limits,
    profiles: profiles.map((state) => profileSnapshot(own, state, clean)),
    users,
    userCount,
    tools: toolSnapshots(own),
    history: history.points(),
    listener: listener && { ...listener, refusals },
    process: {
      cpuSeconds: metrics.cpu.of().value,
      memoryBytes: metrics.memory.of().value,
      heapBytes: metrics.heap.of().value,
      eventLoopDelayS: metrics.loopDelay.of('p99').value,
    },
  };
}

function profileSnapshot(
  { metrics, credentials, recentErrors, deps }: Measured,
  state: ProfileState,
  clean: (text: string) => string,
): ProfileSnapshot {
  const profile = profileLabel(state.profile);
  const active = state.sessions.filter((session) => session.state === 'active').length;
  const borrows = metrics.sessionBorrowWait.of(profile);
  const serverDuration = metrics.serverDuration.of(profile);
  const waiters = sum(metrics.toolLists, profile, 'another-call');
  const hits = sum(metrics.toolLists, profile, 'cache') + waiters;
  const misses = sum(metrics.toolLists, profile, 'server') + sum(metrics.toolLists, profile, 'last-good');
  const known = credentials.get(profile);
  const rejected = (reason: string): number => sum(metrics.overloads, profile, reason);
  return {
    profile,
    active,
    idle: state.sessions.length - active,
    total: state.sessions.length,
    borrowCount: sum(metrics.sessionBorrows, profile),
    avgBorrowWaitS: ratio(borrows.sum, borrows.count, 6),
    returnCount: sum(metrics.sessionReturns, profile),
    cacheHits: hits,
    cacheMisses: misses,
    cacheRefreshCount: sum(metrics.toolLists, profile, 'server'),
    cacheWaiters: waiters,
    cacheHitRate: ratio(hits, hits + misses, 4),
    reconnectCount: sum(metrics.sessionsOpened, profile, 'recovery'),
    retryAttempts: sum(metrics.retries, profile),
    healthCheckCount: sum(metrics.healthChecks, profile),
    healthCheckFailures: sum(metrics.healthChecks, profile, 'unhealthy'),
    recycledCount: sum(metrics.sessionsClosed, profile, 'recycled'),
    sessionsCreated: sum(metrics.sessionsOpened, profile),
    sessionsDestroyed: sum(metrics.sessionsClosed, profile),
    errors: sum(metrics.sessionOpenFailures, profile) + sum(metrics.breakerRefusals, profile),
    circuitState: state.breaker.state,
    circuitTrips: sum(metrics.breakerTransitions, profile, 'open'),
    degraded: state.breaker.state !== 'closed',
    rateLimitWaits: sum(metrics.rateLimited, profile, '', 'waited'),
    rateLimitRejects: sum(metrics.rateLimited, profile, '', 'refused'),
    throttled: sum(metrics.throttled, profile),
    calls: sum(metrics.calls, profile),
    callErrors: sum(metrics.calls, profile, '', '', 'error'),
    toolErrors: sum(metrics.calls, profile, '', '', 'tool_error'),
    cancelled: sum(metrics.calls, profile, '', '', 'cancelled'),
    backpressure: {
      active: state.backpressure?.active ?? 0,
      queued: state.backpressure?.queued ?? 0,
      totalRejected: sum(metrics.overloads, profile),
      rejectedConcurrencyLimit: rejected('concurrency_limit'),
      rejectedQueueFull: rejected('queue_full'),
      rejectedQueueTimeout: rejected('queue_timeout'),
    },
    serverTime: {
      p50: rounded(serverDuration.quantile(0.5), 4),
      p95: rounded(serverDuration.quantile(0.95), 4),
    },
    waits: WAITS.map((wait) => {
      const waited = metrics.callWait.of(profile, wait);
      return {
        wait,
        calls: waited.count,
        seconds: rounded(waited.sum, 3),
        p95: rounded(waited.quantile(0.95), 3),
      };
    }),
    signatures: sum(metrics.signatures, profile),
    credentials: known && {
      provider: known.providerName,
      expiresInS:
        known.expiresAt === undefined ? undefined : rounded((known.expiresAt - deps.clock.now()) / 1_000, 0),
    },
    state,
    recentErrors: (recentErrors.get(profile) ?? []).map((error) => ({
      ...error,
      message: clean(error.message),
    })),
  };
}
