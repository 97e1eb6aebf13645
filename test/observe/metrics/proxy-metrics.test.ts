import { describe, expect, it } from 'vitest';
import { CallRecord } from '../../../src/core/pipeline/call-record.ts';
import { Histogram, OPERATION_BOUNDS } from '../../../src/observe/metrics/families.ts';
import { HISTORY_STEP_MS, HISTORY_STEPS, History } from '../../../src/observe/metrics/history.ts';
import { MAX_TOOLS } from '../../../src/observe/metrics/labels.ts';
import { ProxyMetrics } from '../../../src/observe/metrics/proxy-metrics.ts';
import { otelNameOf } from '../../../src/observe/tracing/metric-names.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { requestOf } from '../../support/make-call.ts';

function startMetrics({ isTool = () => false }: { isTool?: (name: string) => boolean } = {}) {
  const clock = new FakeClock();
  const state = () => ({
    endpoint: 'https://example.com/',
    service: '',
    region: '',
    limits: undefined,
    profiles: [],
  });
  const metrics = new ProxyMetrics({ clock, version: '1', profiles: [''], state, isTool });
  let number = 0;
  const count = (name: string, change: (record: CallRecord) => void = () => undefined): void => {
    const request = requestOf('tools/call', { name });
    if (request.kind !== 'request') throw new TypeError('no request');
    const client = { id: 'client-1' };
    const record = new CallRecord(++number, { transport: 'stdio', request, client, profile: '', clock });
    metrics.observe({ type: 'call.begun', record, request, headers: undefined });
    record.beginAttempt(clock);
    change(record);
    record.end(clock);
    metrics.observe({ type: 'call.ended', record });
  };
  return { clock, metrics, count };
}

describe('the labels of tools', () => {
  it('a tool beyond the first 1,000 is counted as other', () => {
    const { metrics, count } = startMetrics();
    for (let at = 0; at < MAX_TOOLS + 5; at++) count(`tool-${at}`);
    const text = metrics.toPrometheus();
    expect(text).toContain('tool="tool-999",outcome="ok"} 1\n');
    expect(text).toContain('tool="other",outcome="ok"} 5\n');
    metrics.close();
  });

  it('a name that only failed has a label of its own if the server lists the tool', () => {
    const { metrics, count } = startMetrics({ isTool: (name) => name === 'listed' });
    for (const name of ['listed', 'invented'])
      count(name, (record) => record.failed('answered', -32602, 'no'));
    const text = metrics.toPrometheus();
    expect(text).toContain('tool="listed",outcome="error"} 1\n');
    expect(text).toContain('tool="other",outcome="error"} 1\n');
    expect(text).not.toContain('invented');
    metrics.close();
  });

  it('codes of a server are bounded: unknown ones share a label', () => {
    const { metrics, count } = startMetrics({ isTool: () => true });
    for (const code of [-32602, 1, 2, 3]) count('t', (record) => record.failed('answered', code));
    const counts = metrics.toPrometheus().match(/^mcp_client_operation_duration_seconds_count.*$/gm) ?? [];
    expect(counts.map((line) => /error_type="(.*)"} (\d)/.exec(line)?.slice(1))).toEqual([
      ['-32602', '1'],
      ['server_error', '3'],
    ]);
    metrics.close();
  });
});

it('a wait is observed where a call has waited, and its series is 0 from the start', () => {
  const { metrics, count } = startMetrics();
  count('t', (record) => {
    record.queueMs = 250;
  });
  const text = metrics.toPrometheus();
  expect(text).toContain('mcp_sigv4_proxy_call_wait_seconds_sum{profile="default",wait="queue"} 0.25\n');
  expect(text).toContain('mcp_sigv4_proxy_call_wait_seconds_count{profile="default",wait="rate"} 0\n');
  metrics.close();
});

it('the chart of durations leaves out calls that were refused unsent, and counts them as errors', async () => {
  const { clock, metrics } = startMetrics();
  const request = requestOf('tools/call', { name: 't' });
  if (request.kind !== 'request') throw new TypeError('no request');
  for (const isSent of [true, false, false, false]) {
    const client = { id: 'client-1' };
    const record = new CallRecord(1, { transport: 'stdio', request, client, profile: '', clock });
    if (isSent) record.beginAttempt(clock);
    else record.failed('overloaded', -31007, 'SERVER_OVERLOADED');
    await clock.advance(isSent ? 800 : 0);
    record.end(clock);
    metrics.observe({ type: 'call.ended', record });
  }
  await clock.advance(HISTORY_STEP_MS);
  const [step] = metrics.snapshot().history;
  expect(step).toMatchObject({ callsPerSecond: 0.8, errorsPerSecond: 0.6 });
  expect(step?.p50).toBeGreaterThan(0.5);
  metrics.close();
});

it('the size of what is kept does not grow with the number of calls and errors', async () => {
  const { clock, metrics, count } = startMetrics();
  for (let at = 0; at < 2_000; at++) {
    count('t', (record) => record.failed('timeout', -31008, `late ${at}`));
    await clock.advance(HISTORY_STEP_MS);
  }
  const { history } = metrics.snapshot();
  expect(history).toHaveLength(HISTORY_STEPS - 1);
  expect(metrics.recentErrors.get('default')).toHaveLength(20);
  metrics.close();
});

it('an error that is repeated takes one place among the recent errors, with its number and last time', async () => {
  const { clock, metrics, count } = startMetrics();
  count('t', (record) => record.failed('timeout', -31008, 'late'));
  for (let at = 0; at < 50; at++) {
    await clock.advance(1_000);
    count('t', (record) => record.failed('overloaded', -31009, 'full'));
  }
  expect(metrics.snapshot().profiles).toEqual([]);
  expect(metrics.recentErrors.get('default')).toMatchObject([
    { reason: 'timeout', times: 1 },
    { reason: 'overloaded', times: 50, at: clock.now() },
  ]);
  metrics.close();
});

it.each([
  [[], 0.5, 0],
  [[0.015, 0.02], 0.5, 0.015],
  [[0.001, 0.001, 0.001, 4], 0.95, 3.6],
  [[2.5, 2.5, 2.5], 1, 2.5],
  [[1_000], 1, 1_000],
])('the quantile of a histogram of %j at %d is %d', (values, share, expected) => {
  const histogram = new Histogram(OPERATION_BOUNDS);
  for (const value of values) histogram.observe(value);
  expect(histogram.quantile(share)).toBeCloseTo(expected, 6);
});

it('the history has a point for each step, also for those without a call', async () => {
  const clock = new FakeClock();
  const history = new History(clock);
  history.add(0.2, false, clock.monotonic());
  history.add(0.2, true, clock.monotonic());
  await clock.advance(3 * HISTORY_STEP_MS);
  const points = history.points();
  expect(points.map(({ callsPerSecond }) => callsPerSecond)).toEqual([0.4, 0, 0]);
  expect(points[0]).toMatchObject({ errorsPerSecond: 0.2 });
});

describe('the sessions of clients', () => {
  it('sessions of clients are measured at their end, by transport', async () => {
    const { clock, metrics } = startMetrics();
    const counts = () =>
      metrics.toPrometheus().match(/^mcp_server_session_duration_seconds_(sum|count).*$/gm) ?? [];
    const name = 'mcp_server_session_duration_seconds';
    const labels = (transport: string) => `{network_transport="${transport}"}`;
    const expected = (pipe: [sum: number, count: number], tcp: [sum: number, count: number]) => [
      `${name}_sum${labels('pipe')} ${pipe[0]}`,
      `${name}_count${labels('pipe')} ${pipe[1]}`,
      `${name}_sum${labels('tcp')} ${tcp[0]}`,
      `${name}_count${labels('tcp')} ${tcp[1]}`,
    ];
    // A client that leaves before its initialize was answered had no session.
    metrics.observe({ type: 'client.gone', how: 'stdin ended' });
    expect(counts()).toEqual(expected([0, 0], [0, 0]));
    const request = requestOf('initialize', {});
    if (request.kind !== 'request') throw new TypeError('no request');
    const options = { transport: 'stdio', request, client: { id: 'c' }, profile: '', clock } as const;
    const record = new CallRecord(1, options);
    record.end(clock);
    metrics.observe({ type: 'call.begun', record, request, headers: undefined });
    metrics.observe({ type: 'call.ended', record });
    await clock.advance(2_500);
    metrics.observe({ type: 'client.session-ended', reason: 'lost', ageMs: 7_000 });
    metrics.observe({ type: 'client.gone', how: 'stdin ended' });
    metrics.observe({ type: 'client.gone', how: 'SIGTERM' });
    expect(counts()).toEqual(expected([2.5, 1], [7, 1]));
    metrics.close();
  });

  it('OpenTelemetry gives the durations of sessions the names of its conventions', () => {
    const named = [
      ['mcp_client_session_duration_seconds', 'mcp.client.session.duration'],
      ['mcp_server_session_duration_seconds', 'mcp.server.session.duration'],
    ] as const;
    for (const [prometheus, name] of named) expect(otelNameOf(prometheus)).toEqual({ name, unit: 's' });
  });
});
