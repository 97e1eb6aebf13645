import type { PoolKeyMetrics, SessionPoolMetrics } from './metrics.ts';

/** One number of a pool, or of one of its keys, for exporters. */
export interface PoolMetric<M> {
  /** In snake case, without a prefix; a unit is its last word. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly read: (metrics: M) => number;
}

const metric =
  <M>(kind: 'counter' | 'gauge') =>
  (name: string, help: string, read: (metrics: M) => number): PoolMetric<M> => ({ name, help, kind, read });

const counter = metric<SessionPoolMetrics>('counter');
const gauge = metric<SessionPoolMetrics>('gauge');

/** The numbers of a pool that exporters publish. */
export const POOL_METRICS: readonly PoolMetric<SessionPoolMetrics>[] = [
  gauge('active_sessions', 'Borrowed sessions.', ({ active }) => active),
  gauge('idle_sessions', 'Open sessions that are not borrowed.', ({ idle }) => idle),
  gauge('all_sessions', 'Sessions that are open, being opened or being closed.', ({ total }) => total),
  gauge('waiting_callers', 'Callers that wait for a session.', ({ waiting }) => waiting),
  gauge('degraded', '1 while fewer sessions than the minimum can be opened.', (m) => Number(m.degraded)),
  gauge('uptime_seconds', 'Time since start; 0 while the pool is stopped.', ({ uptime }) => uptime),
  counter('borrows', 'Sessions that were borrowed.', ({ borrows }) => borrows),
  counter('returns', 'Sessions that were returned.', ({ returns }) => returns),
  counter('borrow_wait_seconds', 'Waits of all borrows, openings included.', (m) => m.totalBorrowWait),
  counter('sessions_created', 'Sessions that were opened.', (m) => m.sessionsCreated),
  counter('sessions_destroyed', 'Sessions that ended.', (m) => m.sessionsDestroyed),
  counter('sessions_recycled', 'Sessions that were replaced because of their age.', (m) => m.recycled),
  counter('retry_attempts', 'Further attempts to open a session.', (m) => m.retryAttempts),
  counter('errors', 'Openings that failed.', ({ errors }) => errors),
  counter('health_checks', 'Probes of unused sessions.', (m) => m.healthChecks),
  counter('health_check_failures', 'Probes that failed.', (m) => m.healthCheckFailures),
  counter('tool_cache_hits', 'Lists of tools that came from the cache.', (m) => m.toolCacheHits),
  counter('tool_cache_misses', 'Lists of tools that did not come from the cache.', (m) => m.toolCacheMisses),
  counter('tool_cache_refreshes', 'Lists of tools that were fetched.', (m) => m.toolCacheRefreshes),
  counter(
    'tool_cache_waiters',
    'Callers that waited for the fetch of another one.',
    (m) => m.toolCacheWaiters,
  ),
  counter('rate_limit_waits', 'Borrows that waited for the rate limit.', (m) => m.rateLimitWaits),
  counter('rate_limit_rejects', 'Borrows that the rate limit refused.', (m) => m.rateLimitRejects),
  counter('tenant_rejects', 'Borrows that the limit of a tenant refused.', (m) => m.tenantRejects),
  counter('autoscale_ups', 'Raises of the minimum by the autoscaler.', (m) => m.autoscaleUps),
  counter('autoscale_downs', 'Reductions of the minimum by the autoscaler.', (m) => m.autoscaleDowns),
  counter('keys_evicted', 'Keys that were removed.', ({ keysEvicted }) => keysEvicted),
];

const keyCounter = metric<PoolKeyMetrics>('counter');
const keyGauge = metric<PoolKeyMetrics>('gauge');

/** The numbers of each key that exporters publish. */
export const KEY_METRICS: readonly PoolMetric<PoolKeyMetrics>[] = [
  keyGauge('key_active_sessions', 'Borrowed sessions of the key.', ({ active }) => active),
  keyGauge('key_idle_sessions', 'Open sessions of the key that are not borrowed.', ({ idle }) => idle),
  keyGauge('key_waiting_callers', 'Callers that wait for a session of the key.', ({ waiting }) => waiting),
  keyGauge('key_circuit_open', '1 while the circuit breaker of the key is not closed.', ({ circuit }) =>
    Number(circuit !== 'closed'),
  ),
  keyCounter('key_hits', 'Borrows of the key that got an open session at once.', ({ hits }) => hits),
  keyCounter('key_misses', 'Other borrows of the key.', ({ misses }) => misses),
];

/**
 * The labels of a key. A query of the endpoint may contain a secret, and is left out.
 */
export function keyLabels({ key, endpoint }: PoolKeyMetrics): {
  readonly key: string;
  readonly endpoint: string;
} {
  return { key, endpoint: endpoint.replace(/[?#].*$/s, '').replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1') };
}
