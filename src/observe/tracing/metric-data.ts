import type { HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { familiesOf, type Metrics } from '../metrics/catalog.ts';
import type { AnyFamily } from '../metrics/exposition.ts';
import { Histogram } from '../metrics/families.ts';
import { otelAttributesOf, otelNameOf } from './metric-names.ts';

/** Values of the SDK's enums. Importing its module would cost more than this file. */
const HISTOGRAM = 0;
const GAUGE = 2;
const SUM = 3;
const CUMULATIVE = 1;
const DOUBLE = 1;

export interface Collection {
  readonly metrics: Metrics;
  readonly resource: Resource;
  readonly scope: { readonly name: string; readonly version: string };
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/** The metrics as the SDK's exporters read them. Pure. */
export function toResourceMetrics(collection: Collection): ResourceMetrics {
  const { metrics, resource, scope } = collection;
  const families = [...familiesOf(metrics), ...poolFamilies(metrics)];
  const data = families.map((family) => toMetricData(family, collection));
  return {
    resource,
    scopeMetrics: [{ scope, metrics: data.filter(({ dataPoints }) => dataPoints.length > 0) }],
  };
}

type MetricFamily = Pick<AnyFamily, 'name' | 'help' | 'type' | 'labels' | 'series'>;

/** The metrics of session pools under the names that other implementations of the pool use. */
function poolFamilies(metrics: Metrics): MetricFamily[] {
  const { sessions, sessionBorrowWait, sessionOpenFailures, breakerRefusals } = metrics;
  const errors = (family: typeof breakerRefusals, kind: string): MetricFamily['series'] =>
    [...family.series].map(({ values, labels, child }) => ({ values: [...values, kind], labels, child }));
  const inState = (state: string): MetricFamily['series'] =>
    [...sessions.series].filter(({ values }) => values[1] === state);
  return [
    { ...named(sessions, 'pool.active_sessions'), series: inState('active') as never },
    { ...named(sessions, 'pool.idle_sessions'), series: inState('idle') as never },
    { ...named(sessionBorrowWait, 'pool.borrow_wait_seconds'), series: sessionBorrowWait.series },
    {
      name: 'pool.errors_total',
      help: 'Sessions that could not be opened, by kind.',
      type: 'counter',
      labels: ['profile', 'kind'],
      series: [
        ...errors(sessionOpenFailures, 'session_create'),
        ...errors(breakerRefusals, 'circuit_open'),
      ] as never,
    },
  ];
}

const named = ({ help, type, labels }: AnyFamily, name: string): Omit<MetricFamily, 'series'> => ({
  name,
  help,
  type,
  labels,
});

function toMetricData(
  { name: prometheusName, help, type, labels, series }: MetricFamily,
  { startTime, endTime }: Collection,
): MetricData {
  const isPool = prometheusName.startsWith('pool.');
  const { name, unit } = isPool ? { name: prometheusName, unit: '1' } : otelNameOf(prometheusName);
  const descriptor = {
    name,
    description: help,
    unit: prometheusName === 'pool.borrow_wait_seconds' ? 's' : unit,
    valueType: DOUBLE,
  };
  const points = [...series].map(({ values, child }) => ({
    startTime,
    endTime,
    attributes: otelAttributesOf(labels, values),
    value: child instanceof Histogram ? toHistogram(child) : child.value,
  }));
  const base = { descriptor, aggregationTemporality: CUMULATIVE, dataPoints: points };
  if (type === 'histogram') return { ...base, dataPointType: HISTOGRAM } as unknown as MetricData;
  if (type === 'gauge') return { ...base, dataPointType: GAUGE } as unknown as MetricData;
  return { ...base, dataPointType: SUM, isMonotonic: true } as unknown as MetricData;
}

const toHistogram = ({ bounds, counts, sum, count }: Histogram): object => ({
  buckets: { boundaries: [...bounds], counts: [...counts] },
  sum,
  count,
});
