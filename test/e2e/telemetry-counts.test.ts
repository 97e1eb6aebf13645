import { expect, it } from 'vitest';
import { CloudWatchStandIn } from '../support/cloudwatch-stand-in.ts';
import { FaultServer } from '../support/fault-server.ts';
import { type Fault, seededRandom } from '../support/faults.ts';
import { openSession, startListener } from '../support/listening.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { startWithStatus, total } from '../support/status-run.ts';

const SEED = 20_261_129;
const CALLS = 60;

/** Faults after which the server has read the request, so that both sides count it. */
const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 429 },
  { kind: 'status', status: 503 },
  { kind: 'status', status: 500 },
  { kind: 'lost', form: '404' },
  { kind: 'lost', form: '-30001 with 400' },
  { kind: 'reset', at: 'before-headers', by: 'rst' },
  { kind: 'reset', at: 'in-body', by: 'fin' },
];

const countBy = (values: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};

/** Calls that are cancelled while the server works on them, by their place in the run. */
const CANCELLED = new Set([0, 17, 42]);
/** Every fourth call gets a result with `isError`, unless a fault comes before it. */
const FAILING = 4;

it('Prometheus, the OTLP receiver and CloudWatch report exactly the counts of the log of a server with faults', async () => {
  const [server, receiver, cloudWatch] = await Promise.all([
    FaultServer.start(),
    OtlpReceiver.start(),
    CloudWatchStandIn.start(),
  ]);
  const random = seededRandom(SEED);
  server.plan = (what) => {
    const at = Math.floor(random() * FAULTS.length * 3);
    return (what === 'tools/call' && FAULTS[at]) || { kind: 'none' };
  };
  const { proxy: bin, metrics: scrape } = await startWithStatus(server.url, {
    args: [
      ...['--retry-base-delay', '0.01', '--retry-max-delay', '0.02', '--retry-mode', 'standard'],
      ...['--cloudwatch-namespace', 'Test', '--cloudwatch-interval', '86400', '--drain-timeout', '10'],
    ],
    env: { ...receiver.env, ...cloudWatch.env },
  });
  await bin.initialize({}, 'handshake');
  const outcomes: string[] = ['ok'];
  const { served } = server;
  const cancelledAtServer = (): number =>
    served.filter(({ what }) => what === 'notifications/cancelled').length;
  const cancel = async (id: number): Promise<void> => {
    const cancellations = cancelledAtServer();
    server.inject('tools/call', { kind: 'none' });
    const params = { name: 'mark', arguments: { token: `t${id}`, ms: 60_000 } };
    bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params });
    await expect.poll(() => server.executions.get(`t${id}`)).toBe(1);
    bin.notify('notifications/cancelled', { requestId: id });
    await expect.poll(cancelledAtServer).toBe(cancellations + 1);
    outcomes.push('cancelled');
  };
  for (let id = 0; id < CALLS; id++) {
    if (CANCELLED.has(id)) {
      await cancel(id);
      continue;
    }
    const fails = id % FAILING === 1 ? { fails: true } : {};
    const params = { name: 'mark', arguments: { token: `t${id}`, ...fails } };
    const { error, result } = await bin.request('tools/call', params, id);
    const isToolError = (result as { isError?: boolean } | undefined)?.isError === true;
    outcomes.push(error ? 'error' : isToolError ? 'tool_error' : 'ok');
  }
  const byOutcome = countBy(outcomes);
  expect(Object.keys(byOutcome).sort()).toEqual(['cancelled', 'error', 'ok', 'tool_error']);
  const posts = served.filter(({ what }) => what !== 'GET' && what !== 'DELETE').length;
  const opened = served.filter(({ what, status }) => what === 'initialize' && status === 200).length;
  const sent = served.filter(({ what }) => what === 'tools/call').length;
  const retries = sent - CALLS - (opened - 1);
  const throttled = served.filter(({ status }) => status === 429).length;
  expect([retries, throttled].every((count) => count > 0)).toBe(true);

  const series = await scrape();
  const own = (name: string, ...labels: string[]) => total(series, `mcp_sigv4_proxy_${name}`, ...labels);
  for (const [outcome, count] of Object.entries(byOutcome))
    expect([outcome, own('calls_total', `outcome="${outcome}"`)]).toEqual([outcome, count]);
  expect(own('http_requests_total', 'method="POST"')).toBe(posts);
  expect(own('sessions_opened_total')).toBe(opened);
  expect(own('retries_total')).toBe(retries);
  expect(own('throttled_total')).toBe(throttled);

  bin.closeStdin();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  const metric = (name: string, attributes: Readonly<Record<string, string>> = {}): number =>
    receiver.points
      .filter(
        (point) =>
          point.name === name &&
          Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
      )
      .reduce((sum, { value }) => sum + value, 0);
  /** What OpenTelemetry and CloudWatch report. */
  const both = (name: string, cloudWatchName: string) => [
    metric(`mcp_sigv4_proxy.${name}`),
    cloudWatch.sumOf(cloudWatchName),
  ];

  expect(both('http_requests', 'HttpRequests')).toEqual([served.length, served.length]);
  expect(both('sessions_opened', 'SessionsOpened')).toEqual([opened, opened]);
  expect(both('retries', 'Retries')).toEqual([retries, retries]);
  expect(both('throttled', 'Throttled')).toEqual([throttled, throttled]);
  const classes = countBy(served.flatMap(({ status }) => (status ? [`${Math.trunc(status / 100)}xx`] : [])));
  for (const [statusClass, count] of Object.entries(classes)) {
    expect([
      statusClass,
      metric('mcp_sigv4_proxy.http_responses', { status_class: statusClass }),
      cloudWatch.sumOf('HttpResponses', { StatusClass: statusClass }),
    ]).toEqual([statusClass, count, count]);
  }
  for (const [outcome, count] of Object.entries(byOutcome)) {
    expect([
      outcome,
      metric('mcp_sigv4_proxy.calls', { outcome }),
      cloudWatch.sumOf('Calls', { Outcome: outcome }),
    ]).toEqual([outcome, count, count]);
  }
  expect(metric('mcp.server.operation.duration')).toBe(outcomes.length);
  expect(metric('mcp.server.session.duration', { 'network.transport': 'pipe' })).toBe(1);

  // Traces: each request of a call, and of a session that a call opened.
  const traced = served.filter(({ what }) => what === 'tools/call' || what === 'initialize').length;
  expect(receiver.spans.filter(({ name }) => name === 'POST')).toHaveLength(traced);
  expect(receiver.spans.filter(({ kind }) => kind === 2)).toHaveLength(outcomes.length);
  expect(receiver.spans.filter(({ name }) => name === 'session.create')).toHaveLength(opened - 1);
});

it('a session of a listener client is measured when its client closes it', async () => {
  const [server, receiver] = await Promise.all([FaultServer.start(), OtlpReceiver.start()]);
  const { bin, ask } = await startListener(server.url, { env: receiver.env });
  const headers = await openSession(ask);
  expect((await ask({ method: 'DELETE', headers })).status).toBeLessThan(300);
  bin.kill('SIGTERM');
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  const durations = receiver.points.filter(({ name }) => name === 'mcp.server.session.duration');
  expect(durations.map(({ attributes, value, unit }) => [attributes, value, unit])).toEqual([
    [{ 'network.transport': 'pipe' }, 0, 's'],
    [{ 'network.transport': 'tcp' }, 1, 's'],
  ]);
});
