import type { ListenerState, ProfileState } from '../../core/pipeline/proxy-state.ts';
import { WAITS } from './catalog.ts';
import { type Counter, type Family, Histogram, OPERATION_BOUNDS } from './families.ts';
import type { HistoryPoint } from './history.ts';
import { profileLabel } from './labels.ts';
import type { Measured, RecentError } from './measured.ts';

/** One kind of wait of calls. */
export interface WaitSnapshot {
  readonly wait: string;
  /** Calls that waited. */
  readonly calls: number;
  readonly seconds: number;
  readonly p95: number;
}

/** The counts and the state of one profile. Times are in seconds; ratios are 0 without data. */
export interface ProfileSnapshot {
  readonly profile: string;
  readonly active: number;
  readonly idle: number;
  readonly total: number;
  readonly borrowCount: number;
  readonly avgBorrowWaitS: number;
  readonly returnCount: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly cacheRefreshCount: number;
  readonly cacheWaiters: number;
  readonly cacheHitRate: number;
  readonly reconnectCount: number;
  readonly retryAttempts: number;
  readonly healthCheckCount: number;
  readonly healthCheckFailures: number;
  readonly recycledCount: number;
  readonly sessionsCreated: number;
  readonly sessionsDestroyed: number;
  readonly errors: number;
  readonly circuitState: 'closed' | 'open' | 'half-open';
  readonly circuitTrips: number;
  /** True while the circuit breaker is not closed. */
  readonly degraded: boolean;
  readonly rateLimitWaits: number;
  readonly rateLimitRejects: number;
  readonly throttled: number;
  readonly calls: number;
  readonly callErrors: number;
  readonly toolErrors: number;
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
  readonly waits: readonly WaitSnapshot[];
  readonly signatures: number;
  readonly credentials: { readonly provider: string; readonly expiresInS: number | undefined } | undefined;
  readonly state: ProfileState;
  readonly recentErrors: readonly RecentError[];
}

/** The calls of one tool. Times are in seconds. */
export interface ToolSnapshot {
  readonly tool: string;
  readonly calls: number;
  readonly errors: number;
  readonly p50: number;
  readonly p95: number;
}

/** A detached copy of everything that is measured. */
export interface MetricsSnapshot {
  readonly version: string;
  readonly endpoint: string;
  readonly service: string;
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly startedAt: number;
  readonly uptimeS: number;
  readonly callsInFlight: number;
  readonly profiles: readonly ProfileSnapshot[];
  /** Most calls first. */
  readonly tools: readonly ToolSnapshot[];
  /** The last quarter of an hour. */
  readonly history: readonly HistoryPoint[];
  readonly listener: (ListenerState & { readonly refusals: Readonly<Record<string, number>> }) | undefined;
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

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));
const ratio = (part: number, whole: number, digits: number): number =>
  whole === 0 ? 0 : rounded(part / whole, digits);

/** Creates the snapshot. @param clean - removes secrets from the text of an error. */
export function createSnapshot(own: Measured, clean: (text: string) => string): MetricsSnapshot {
  const { metrics, deps, history, startedAt } = own;
  const { endpoint, service, region, profiles } = deps.state();
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
    profiles: profiles.map((state) => profileSnapshot(own, state, clean)),
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

function toolSnapshots({ metrics }: Measured): ToolSnapshot[] {
  const merged = new Map<string, { durations: Histogram; calls: number; errors: number }>();
  const of = (tool: string) => {
    let found = merged.get(tool);
    if (!found) {
      found = { durations: new Histogram(OPERATION_BOUNDS), calls: 0, errors: 0 };
      merged.set(tool, found);
    }
    return found;
  };
  for (const { values, child } of metrics.clientOperation.series) {
    const [, , tool = ''] = values;
    if (tool !== '') of(tool).durations.addAll(child);
  }
  for (const { values, child } of metrics.calls.series) {
    const [, , tool = '', outcome] = values;
    if (tool === '') continue;
    const found = of(tool);
    found.calls += child.value;
    if (outcome === 'error' || outcome === 'tool_error') found.errors += child.value;
  }
  return [...merged]
    .map(([tool, { durations, calls, errors }]) => ({
      tool,
      calls,
      errors,
      p50: rounded(durations.quantile(0.5), 4),
      p95: rounded(durations.quantile(0.95), 4),
    }))
    .sort((one, other) => other.calls - one.calls || (one.tool < other.tool ? -1 : 1));
}
