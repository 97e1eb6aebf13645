import type { HrTime } from '@opentelemetry/api';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** Values of the SDK's enums. Importing its module would cost more than this file. */
const GAUGE = 2;
const DELTA = 0;

interface HistogramValue {
  readonly buckets: { readonly boundaries: readonly number[]; readonly counts: readonly number[] };
  readonly sum: number;
  readonly count: number;
}
type PointValue = number | HistogramValue;

interface Point {
  readonly startTime: HrTime;
  readonly attributes: object;
  readonly value: PointValue;
}

/** Metrics to send, and a function to call when the collector has accepted them. */
export interface DeltaMetrics {
  readonly metrics: ResourceMetrics;
  commit(): void;
}

/**
 * Converts cumulative metrics to deltas since the last export that the collector accepted. Gauges
 * stay unchanged.
 */
export class MetricDeltas {
  readonly #sent = new Map<string, PointValue>();
  #since: HrTime;

  /** @param since - when the counters began. */
  constructor(since: HrTime) {
    this.#since = since;
  }

  take(cumulative: ResourceMetrics, now: HrTime): DeltaMetrics {
    const totals = new Map<string, PointValue>();
    const scopeMetrics = cumulative.scopeMetrics.map(({ scope, metrics }) => ({
      scope,
      metrics: metrics
        .map((metric) => this.#deltaOf(metric, totals))
        .filter(({ dataPoints }) => dataPoints.length > 0),
    }));
    return {
      metrics: { resource: cumulative.resource, scopeMetrics },
      commit: () => {
        for (const [key, value] of totals) this.#sent.set(key, value);
        this.#since = now;
      },
    };
  }

  #deltaOf(metric: MetricData, totals: Map<string, PointValue>): MetricData {
    if ((metric.dataPointType as number) === GAUGE) return metric;
    const points = (metric.dataPoints as readonly Point[]).flatMap((point) => {
      const key = `${metric.descriptor.name} ${JSON.stringify(point.attributes)}`;
      totals.set(key, point.value);
      const value = increaseOf(point.value, this.#sent.get(key));
      return value === undefined ? [] : [{ ...point, startTime: this.#since, value }];
    });
    return { ...metric, aggregationTemporality: DELTA, dataPoints: points } as unknown as MetricData;
  }
}

/** Undefined where nothing was counted. */
function increaseOf(value: PointValue, before: PointValue | undefined): PointValue | undefined {
  if (typeof value === 'number') {
    const more = value - (typeof before === 'number' ? before : 0);
    return more === 0 ? undefined : more;
  }
  const known = typeof before === 'object' ? before : undefined;
  const count = value.count - (known?.count ?? 0);
  if (count === 0) return undefined;
  const { boundaries, counts } = value.buckets;
  return {
    buckets: { boundaries, counts: counts.map((each, at) => each - (known?.buckets.counts[at] ?? 0)) },
    sum: value.sum - (known?.sum ?? 0),
    count,
  };
}
