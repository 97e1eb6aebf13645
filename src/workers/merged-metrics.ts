import { createMetrics, type Metrics } from '../observe/metrics/catalog.ts';
import { type Gauge, Histogram } from '../observe/metrics/families.ts';
import type { HistogramCounts, MetricsReport } from './worker-report.ts';

/** How the values of several workers are merged; all other metrics are added. */
const MERGE: Readonly<Partial<Record<keyof Metrics, (one: number, other: number) => number>>> = {
  buildInfo: Math.max,
  credentialsInfo: Math.max,
  startTime: Math.min,
  // The worst value of all workers, which a mean would hide.
  credentialsExpiry: Math.min,
  limitsShared: Math.min,
  loopDelay: Math.max,
};

/** Merges the metrics of several workers. */
export class MergedMetrics {
  readonly metrics: Metrics = createMetrics();
  /** The series that have a value of a worker. */
  readonly #filled = new Set<object>();

  /** @param which - `counts`: counters and histograms only, of a worker that has ended. */
  add(report: MetricsReport, which: 'all' | 'counts' = 'all'): void {
    for (const [name, family] of Object.entries(this.metrics)) {
      if (which === 'counts' && family.type === 'gauge') continue;
      // The entries of an object have its keys.
      const key = name as keyof Metrics;
      for (const [values, value] of report[key] ?? []) {
        const child: Gauge | Histogram = family.of(...values);
        if (child instanceof Histogram) addHistogram(child, value);
        else if (typeof value === 'number') this.#merge(key, child, value);
      }
    }
  }

  #merge(key: keyof Metrics, child: { value: number }, value: number): void {
    const merge = this.#filled.has(child) ? MERGE[key] : undefined;
    child.value = merge ? merge(child.value, value) : child.value + value;
    this.#filled.add(child);
  }
}

/** Adds the counts of a report. */
export function addHistogram(to: Histogram, value: number | HistogramCounts): void {
  if (typeof value === 'number') return;
  to.addAll(Object.assign(new Histogram(to.bounds), value));
}
