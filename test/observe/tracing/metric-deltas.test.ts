import type { HrTime } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { createMetrics } from '../../../src/observe/metrics/catalog.ts';
import { toResourceMetrics } from '../../../src/observe/tracing/metric-data.ts';
import { MetricDeltas } from '../../../src/observe/tracing/metric-deltas.ts';
import { createResource } from '../../../src/observe/tracing/sdk.ts';

function startDeltas() {
  const metrics = createMetrics();
  const deltas = new MetricDeltas([1, 0]);
  const take = (at: HrTime) => {
    const collection = { metrics, resource: createResource('1'), scope: { name: 's', version: '1' } };
    const all = toResourceMetrics({ ...collection, startTime: [1, 0], endTime: at });
    const { metrics: taken, commit } = deltas.take(all, at);
    const points = taken.scopeMetrics.flatMap(({ metrics: list }) =>
      list.flatMap(({ descriptor, dataPoints, aggregationTemporality }) =>
        dataPoints.map(({ startTime, value }) => ({
          name: descriptor.name,
          temporality: aggregationTemporality,
          since: startTime[0],
          value,
        })),
      ),
    );
    return { points, commit };
  };
  return { metrics, take };
}

it('a counter is sent as what was added since the last export that was taken', () => {
  const { metrics, take } = startDeltas();
  metrics.throttled.of('p').add(3);
  const point = { name: 'mcp_sigv4_proxy.throttled', temporality: 0 };
  expect(take([2, 0]).points).toEqual([{ ...point, since: 1, value: 3 }]);
  metrics.throttled.of('p').add(2);
  // The first export was not taken.
  const second = take([3, 0]);
  expect(second.points).toEqual([{ ...point, since: 1, value: 5 }]);
  second.commit();
  expect(take([4, 0]).points).toEqual([]);
  metrics.throttled.of('p').add();
  expect(take([5, 0]).points).toEqual([{ ...point, since: 3, value: 1 }]);
});

it('a histogram is sent as the values since the last export, and a gauge as it is', () => {
  const { metrics, take } = startDeltas();
  const waits = metrics.callWait.of('p', 'queue');
  waits.observe(0.5);
  take([2, 0]).commit();
  waits.observe(0.5);
  waits.observe(100);
  metrics.callsInFlight.of().value = 7;
  const { points } = take([3, 0]);
  expect(points).toMatchObject([
    { name: 'mcp_sigv4_proxy.calls_in_flight', value: 7 },
    {
      name: 'mcp_sigv4_proxy.call_wait',
      temporality: 0,
      since: 2,
      value: { sum: 100.5, count: 2, buckets: { counts: [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1] } },
    },
  ]);
});

it('a failed and a refused opening of a session are pool errors by kind', () => {
  const { metrics, take } = startDeltas();
  metrics.sessionOpenFailures.of('p').add(2);
  metrics.breakerRefusals.of('p').add(1);
  const { points } = take([2, 0]);
  expect(points.filter(({ name }) => name === 'pool.errors_total').map(({ value }) => value)).toEqual([2, 1]);
});
