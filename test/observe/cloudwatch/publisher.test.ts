import { expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { DeltaReader, type Distribution } from '../../../src/observe/cloudwatch/deltas.ts';
import { CloudWatchPublisher, type SendDeltas } from '../../../src/observe/cloudwatch/publisher.ts';
import { createMetrics } from '../../../src/observe/metrics/catalog.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig(send: SendDeltas) {
  const metrics = createMetrics();
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event), { detailed: false });
  const deltas = new DeltaReader(() => metrics);
  const publisher = new CloudWatchPublisher({
    deltas,
    sender: async () => send,
    intervalMs: 60_000,
    namespace: 'Test',
    clock,
    events,
  });
  return { metrics, clock, seen, publisher };
}

it('counters are published as differences, gauges as they are, histograms by bucket', async () => {
  const published: Record<string, number | Distribution>[] = [];
  const { metrics, clock } = rig(async (deltas) => {
    published.push(Object.fromEntries(deltas.map(({ name, value }) => [name, value])));
    for (const { commit } of deltas) commit();
  });
  metrics.calls.of('default', 'tools/call', 'one', 'ok').add(2);
  metrics.calls.of('default', 'tools/call', 'two', 'ok').add(1);
  metrics.sessions.of('default', 'idle').value = 4;
  metrics.serverDuration.of('default').observe(0.015);
  metrics.serverDuration.of('default').observe(400);
  await clock.advance(60_000);
  metrics.calls.of('default', 'tools/call', 'one', 'ok').add(5);
  await clock.advance(60_000);
  await clock.advance(60_000);
  expect(published.map(({ Calls, Sessions }) => [Calls, Sessions])).toEqual([
    [3, 4],
    [5, 4],
    [undefined, 4],
  ]);
  expect(published[0]?.ServerDuration).toMatchObject({ values: [0.015, 300], counts: [1, 1], count: 2 });
  expect(published[1]?.ServerDuration).toBeUndefined();
});

it('a failed publication is logged once, and its differences come with the next one', async () => {
  const published: (number | Distribution)[] = [];
  let fails = true;
  const { metrics, clock, seen } = rig(async (deltas) => {
    if (fails) throw Object.assign(new Error('User is not authorized'), { name: 'AccessDeniedException' });
    for (const { name, value, commit } of deltas) {
      if (name === 'Calls') published.push(value);
      commit();
    }
  });
  const calls = metrics.calls.of('default', 'tools/call', 'one', 'ok');
  calls.add(1);
  await clock.advance(60_000);
  calls.add(1);
  await clock.advance(60_000);
  fails = false;
  calls.add(1);
  await clock.advance(60_000);
  fails = true;
  await clock.advance(60_000);
  expect(published).toEqual([3]);
  const failures = seen.filter(({ type }) => type === 'cloudwatch.failed');
  expect(failures).toHaveLength(2);
  expect(failures[0]).toMatchObject({
    namespace: 'Test',
    message: expect.stringMatching(/not authorized\. Allow cloudwatch:PutMetricData/),
  });
});

it('a publication that hangs is given up after 30 s, and the flush at the end is bounded', async () => {
  const { clock, seen, publisher } = rig(
    (_deltas, _at, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  await clock.advance(60_000);
  await clock.advance(30_000);
  expect(seen.filter(({ type }) => type === 'cloudwatch.failed')).toMatchObject([
    { message: expect.stringContaining('no answer within 30 s') },
  ]);
  let flushed = false;
  void publisher.flush(500).then(() => {
    flushed = true;
  });
  await clock.advance(499);
  expect(flushed).toBe(false);
  await clock.advance(1);
  expect(flushed).toBe(true);
});
