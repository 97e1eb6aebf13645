import type { Metrics } from './catalog.ts';

/** Label values that are known before anything happens: their series exist from the start. */
export function createInitialSeries(metrics: Metrics, profiles: readonly string[]): void {
  for (const profile of profiles) {
    for (const outcome of ['ok', 'error', 'cancelled']) metrics.calls.of(profile, 'tools/list', '', outcome);
    for (const wait of WAITS) metrics.callWait.of(profile, wait);
    for (const direction of ['in', 'out']) {
      metrics.clientBytes.of(profile, direction);
      metrics.httpBytes.of(profile, direction);
    }
    for (const status of ['1xx', '2xx', '3xx', '4xx', '5xx']) metrics.httpResponses.of(profile, status);
    metrics.httpRequests.of(profile, 'POST', 'request');
    for (const lane of ['request', 'control', 'stream']) {
      metrics.connectionsOpened.of(profile, lane);
      metrics.connectionsClosed.of(profile, lane);
    }
    for (const reason of OPEN_REASONS) metrics.sessionsOpened.of(profile, reason);
    for (const reason of CLOSE_REASONS) metrics.sessionsClosed.of(profile, reason);
    for (const result of ['healthy', 'unhealthy']) metrics.healthChecks.of(profile, result);
    for (const to of ['open', 'half-open', 'closed']) metrics.breakerTransitions.of(profile, to);
    for (const by of ['option', 'server'])
      for (const outcome of ['waited', 'refused', 'cancelled']) metrics.rateLimited.of(profile, by, outcome);
    for (const source of ['server', 'another-call', 'cache', 'last-good'])
      metrics.toolLists.of(profile, source);
    for (const reason of ['concurrency_limit', 'queue_full', 'queue_timeout'])
      metrics.overloads.of(profile, reason);
    for (const result of ['resolved', 'failed']) metrics.credentialResolutions.of(profile, result);
    for (const kind of ['not-sent', 'turned-away']) metrics.retries.of(profile, kind);
    for (const family of [
      metrics.serverDuration,
      metrics.clientSession,
      metrics.httpFailures,
      metrics.signatures,
      metrics.sessionOpenFailures,
      metrics.sessionBorrows,
      metrics.sessionReturns,
      metrics.sessionBorrowWait,
      metrics.breakerRefusals,
      metrics.throttled,
      metrics.toolRefreshFailures,
    ])
      family.of(profile);
    metrics.callErrors.of(profile, 'timeout');
    metrics.authRejections.of(profile, 'expired');
  }
  metrics.listenerRefusals.of('client-refused');
  for (const transport of ['pipe', 'tcp']) metrics.serverSession.of(transport);
}

/** The waits of a call, as labels. */
export const WAITS = ['queue', 'rate', 'session', 'connection', 'credentials', 'backoff'] as const;
export type Wait = (typeof WAITS)[number];
const OPEN_REASONS = ['client', 'profile', 'recovery', 'demand', 'minimum', 'unhealthy', 'recycled', 'drain'];
const CLOSE_REASONS = ['closed', 'lost', 'expired', 'idle', 'recycled', 'drain', 'unhealthy', 'broken'];
