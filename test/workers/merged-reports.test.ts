import { describe, expect, it } from 'vitest';
import type { ProxyState } from '../../src/core/pipeline/proxy-state.ts';
import { createMetrics, type Metrics } from '../../src/observe/metrics/catalog.ts';
import { HISTORY_STEP_MS } from '../../src/observe/metrics/history.ts';
import { MergedReports } from '../../src/workers/merged-reports.ts';
import { reportMetrics, type WorkerReport } from '../../src/workers/worker-report.ts';
import { FakeClock } from '../support/fake-clock.ts';

const stateOf = (used: number, breaker: 'open' | 'closed' = 'closed'): ProxyState => ({
  endpoint: 'https://example.com/mcp',
  service: 'execute-api',
  region: 'eu-west-1',
  limits: undefined,
  profiles: [
    {
      profile: '',
      connections: [{ lane: 'request', used, idle: 0, waiting: 0 }],
      sessions: [],
      breaker: { state: breaker, failures: 0, cause: undefined },
      backpressure: undefined,
      rateWaiting: 1,
      learnedRate: undefined,
    },
  ],
});

/** A report as it arrives: through JSON. */
function reportOf(count: (metrics: Metrics) => void, state = stateOf(1)): WorkerReport {
  const metrics = createMetrics();
  count(metrics);
  return JSON.parse(
    JSON.stringify({
      metrics: reportMetrics(metrics),
      state,
      listener: { url: 'http://127.0.0.1/mcp', connections: 2, requests: 1, streams: 0 },
      credentials: [['default', { providerName: 'env', expiresAt: 5 }]],
      recentErrors: [],
      identities: {},
    }),
  );
}

function setUp() {
  const clock = new FakeClock();
  const reports = new MergedReports({
    clock,
    version: '1.0.0',
    initial: { ...stateOf(0), profiles: [] },
    ownProcess: () => ({ cpuSeconds: 0.5, memoryBytes: 10 }),
  });
  const line = (name: string): string | undefined =>
    reports
      .toPrometheus()
      .split('\n')
      .find((each) => each.startsWith(name));
  return { clock, reports, line };
}

const calls = (number: number) => (metrics: Metrics) =>
  metrics.calls.of('default', 'tools/call', 'a "tool"', 'ok').add(number);

const CALLS = 'mcp_sigv4_proxy_calls_total{';
const LABELS = 'profile="default",method="tools/call",tool="a \\"tool\\"",outcome="ok"}';

describe('the metrics of several workers', () => {
  it('the metrics of several workers add counters, histograms and gauges', () => {
    const { reports, line } = setUp();
    const count = (metrics: Metrics): void => {
      calls(2)(metrics);
      metrics.serverDuration.of('default').observe(0.015);
      metrics.listenerConnections.of().value = 3;
      metrics.memory.of().value = 100;
      metrics.cpu.of().value = 1;
    };
    reports.set(0, reportOf(count));
    reports.set(1, reportOf(count));
    expect(line(CALLS)).toBe(`${CALLS}${LABELS} 4`);
    expect(line('mcp_sigv4_proxy_server_duration_seconds_count')).toMatch(/ 2$/);
    expect(line('mcp_sigv4_proxy_server_duration_seconds_bucket{profile="default",le="0.02"')).toMatch(/ 2$/);
    expect(line('mcp_sigv4_proxy_listener_connections')).toMatch(/ 6$/);
    expect(line('process_resident_memory_bytes')).toMatch(/ 210$/);
    expect(line('process_cpu_seconds_total')).toMatch(/ 2\.5$/);
  });

  it('the metrics of several workers show the worst value where a sum has no meaning', () => {
    const { reports, line } = setUp();
    const count = (expiry: number, shared: number) => (metrics: Metrics) => {
      metrics.buildInfo.of('1.0.0').value = 1;
      metrics.credentialsExpiry.of('default').value = expiry;
      metrics.limitsShared.of().value = shared;
      metrics.loopDelay.of('p99').value = expiry / 1_000;
    };
    reports.set(0, reportOf(count(60, 1), stateOf(1, 'open')));
    reports.set(1, reportOf(count(50, 0)));
    expect(line('mcp_sigv4_proxy_build_info')).toMatch(/ 1$/);
    expect(line('mcp_sigv4_proxy_credentials_expiry_seconds')).toMatch(/ 50$/);
    expect(line('mcp_sigv4_proxy_limits_shared')).toMatch(/ 0$/);
    expect(line('mcp_sigv4_proxy_event_loop_delay_seconds')).toMatch(/ 0\.06$/);
    expect(line('mcp_sigv4_proxy_breaker_state{profile="default",state="open"')).toMatch(/ 1$/);
    expect(line('mcp_sigv4_proxy_breaker_state{profile="default",state="closed"')).toMatch(/ 0$/);
  });

  it('the metrics of several workers keep the counts of one that has ended, and not its gauges', () => {
    const { reports, line } = setUp();
    const count = (metrics: Metrics): void => {
      calls(5)(metrics);
      metrics.listenerConnections.of().value = 3;
    };
    reports.set(0, reportOf(count));
    reports.removeWorker(0);
    reports.removeWorker(0);
    expect(line(CALLS)).toBe(`${CALLS}${LABELS} 5`);
    reports.set(0, reportOf(calls(1)));
    expect(line(CALLS)).toBe(`${CALLS}${LABELS} 6`);
    reports.removeWorker(0);
    expect(line(CALLS)).toBe(`${CALLS}${LABELS} 6`);
    expect(line('mcp_sigv4_proxy_listener_connections')).toBeUndefined();
  });

  it('the status of several workers has the calls of all in its charts, each once', async () => {
    const { clock, reports } = setUp();
    const served = (number: number) => (metrics: Metrics) => {
      for (let at = 0; at < number; at++)
        metrics.serverOperation.of('default', 'tools/call', 'tcp', at === 0 ? 'timeout' : '').observe(0.015);
    };
    reports.set(0, reportOf(served(5)));
    reports.set(1, reportOf(served(5)));
    reports.set(1, reportOf(served(15)));
    await clock.advance(HISTORY_STEP_MS);
    const { history, listener, profiles } = reports.report();
    expect(history).toMatchObject([{ callsPerSecond: 4, errorsPerSecond: 0.4 }]);
    expect(listener).toMatchObject({ connections: 4, requests: 2 });
    expect(profiles).toMatchObject([
      { profile: 'default', state: { connections: [{ lane: 'request', used: 2 }], rateWaiting: 2 } },
    ]);
  });

  it('the status of workers that have all ended still names the endpoint', () => {
    const { reports } = setUp();
    expect(reports.report()).toMatchObject({ endpoint: 'https://example.com/mcp', profiles: [] });
    reports.set(
      0,
      reportOf(() => undefined),
    );
    reports.removeWorker(0);
    expect(reports.report()).toMatchObject({ endpoint: 'https://example.com/mcp', profiles: [] });
  });
});
