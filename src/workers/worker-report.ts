import type { ListenerState, ProxyState } from '../core/pipeline/proxy-state.ts';
import type { Metrics } from '../observe/metrics/catalog.ts';
import { Histogram } from '../observe/metrics/families.ts';
import type { CredentialFacts, RecentError } from '../observe/metrics/measured.ts';
import type { SignerIdentity } from '../observe/status/report.ts';

/** A histogram as JSON; its metric has the bounds. */
export interface HistogramCounts {
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
  readonly max: number;
}

/** One series as JSON: the values of its labels, and its value. */
export type SeriesReport = readonly [values: readonly string[], value: number | HistogramCounts];

/** All series, by the member of `Metrics`. */
export type MetricsReport = Readonly<Partial<Record<keyof Metrics, readonly SeriesReport[]>>>;

/** Everything that one worker has measured, as JSON. */
export interface WorkerReport {
  readonly metrics: MetricsReport;
  readonly state: ProxyState;
  readonly listener: ListenerState | undefined;
  readonly credentials: readonly (readonly [profile: string, facts: CredentialFacts])[];
  /** By profile, without secrets. */
  readonly recentErrors: readonly (readonly [profile: string, errors: readonly RecentError[]])[];
  readonly identities: Readonly<Record<string, SignerIdentity>>;
}

/** Writes all series as JSON. Pure. */
export function reportMetrics(metrics: Metrics): MetricsReport {
  const report: Partial<Record<keyof Metrics, SeriesReport[]>> = {};
  for (const [name, family] of Object.entries(metrics)) {
    const series: SeriesReport[] = [];
    for (const { values, child } of family.series) series.push([values, childValue(child)]);
    // The entries of an object have its keys.
    report[name as keyof Metrics] = series;
  }
  return report;
}

function childValue(child: Histogram | { readonly value: number }): number | HistogramCounts {
  if (!(child instanceof Histogram)) return child.value;
  const { counts, sum, count, max } = child;
  return { counts, sum, count, max };
}
