import { expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { CloudWatchStandIn } from '../support/cloudwatch-stand-in.ts';
import { FaultServer } from '../support/fault-server.ts';
import { type Fault, seededRandom } from '../support/faults.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';

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

it('the OTLP receiver and CloudWatch report exactly the counts of the log of a server with faults', async () => {
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
  const bin = BinDriver.start({
    args: [
      server.url,
      ...signingArgs,
      ...['--retry-base-delay', '0.01', '--retry-max-delay', '0.02', '--retry-mode', 'standard'],
      ...['--cloudwatch-namespace', 'Test', '--cloudwatch-interval', '86400', '--drain-timeout', '10'],
    ],
    env: { ...signingEnv, ...receiver.env, ...cloudWatch.env },
  });
  await bin.initialize({}, 'handshake');
  const outcomes: string[] = ['ok'];
  for (let id = 0; id < CALLS; id++) {
    const { error } = await bin.request('tools/call', { name: 'mark', arguments: { token: `t${id}` } }, id);
    outcomes.push(error ? 'error' : 'ok');
  }
  bin.closeStdin();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  expect(new Set(outcomes)).toEqual(new Set(['ok', 'error']));

  const { served } = server;
  const classes = countBy(served.flatMap(({ status }) => (status ? [`${Math.trunc(status / 100)}xx`] : [])));
  const metric = (name: string, attributes: Readonly<Record<string, string>> = {}): number =>
    receiver.points
      .filter(
        (point) =>
          point.name === name &&
          Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
      )
      .reduce((sum, { value }) => sum + value, 0);

  expect(metric('mcp_sigv4_proxy.http_requests')).toBe(served.length);
  expect(cloudWatch.sumOf('HttpRequests')).toBe(served.length);
  for (const [statusClass, count] of Object.entries(classes)) {
    expect([statusClass, metric('mcp_sigv4_proxy.http_responses', { status_class: statusClass })]).toEqual([
      statusClass,
      count,
    ]);
    expect([statusClass, cloudWatch.sumOf('HttpResponses', { StatusClass: statusClass })]).toEqual([
      statusClass,
      count,
    ]);
  }
  for (const [outcome, count] of Object.entries(countBy(outcomes))) {
    expect(metric('mcp_sigv4_proxy.calls', { outcome })).toBe(count);
    expect(cloudWatch.sumOf('Calls', { Outcome: outcome })).toBe(count);
  }
  const opened = served.filter(({ what, status }) => what === 'initialize' && status === 200).length;
  expect(metric('mcp_sigv4_proxy.sessions_opened')).toBe(opened);
  expect(cloudWatch.sumOf('SessionsOpened')).toBe(opened);
  expect(metric('mcp.server.operation.duration')).toBe(outcomes.length);

  // Traces: each request of a call, and of a session that a call opened.
  const traced = served.filter(({ what }) => what === 'tools/call' || what === 'initialize').length;
  const posts = receiver.spans.filter(({ name }) => name === 'POST');
  expect(posts).toHaveLength(traced);
  expect(receiver.spans.filter(({ kind }) => kind === 2)).toHaveLength(outcomes.length);
  expect(receiver.spans.filter(({ name }) => name === 'session.create')).toHaveLength(opened - 1);
});
