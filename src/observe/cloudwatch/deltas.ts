import type { Metrics } from '../metrics/catalog.ts';
import type { AnyFamily } from '../metrics/exposition.ts';
import { Histogram } from '../metrics/families.ts';
import { PUBLISHED, type PublishedMetric, type Unit } from './published.ts';

/** Observed values by their approximate value. */
export interface Distribution {
  readonly values: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** The increase of one CloudWatch metric since its last successful publication. */
export interface Delta {
  readonly name: string;
  readonly unit: Unit;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly value: number | Distribution;
  /** Call this when it has been published: the next delta begins here. */
  commit(): void;
}

interface Total {
  readonly published: PublishedMetric;
  readonly dimensions: Record<string, string>;
  readonly type: AnyFamily['type'];
  value: number;
  histogram: Histogram | undefined;
}

/**
 * CloudWatch adds up what it gets: cumulative values would be counted again with each publication.
 */
export class DeltaReader {
  readonly #read: () => Metrics;
  /** Totals that have been published. */
  readonly #published = new Map<string, { value: number; counts: readonly number[]; sum: number }>();

  /** @param read - returns the metrics with their current values. */
  constructor(read: () => Metrics) {
    this.#read = read;
  }

  /** The deltas since the last ones that were committed; without those that are 0. */
  take(): Delta[] {
    return [...this.#totals()].flatMap(([key, total]) => this.#deltaOf(key, total) ?? []);
  }

  #totals(): Map<string, Total> {
    const totals = new Map<string, Total>();
    const metrics = this.#read();
    for (const [family, published] of Object.entries(PUBLISHED)) {
      addSeries(totals, published, metrics[family as keyof Metrics]);
    }
    return totals;
  }

  #deltaOf(key: string, { published, dimensions, type, value, histogram }: Total): Delta | undefined {
    const { name, unit } = published;
    const facts = { name, unit, dimensions };
    if (type === 'gauge') return { ...facts, value, commit: () => undefined };
    const before = this.#published.get(key);
    const counts = histogram?.counts ?? [];
    const sum = histogram?.sum ?? 0;
    const commit = (): void => void this.#published.set(key, { value, counts, sum });
    if (!histogram) {
      const gained = value - (before?.value ?? 0);
      return gained > 0 ? { ...facts, value: gained, commit } : undefined;
    }
    const gained = counts.map((count, at) => count - (before?.counts[at] ?? 0));
    const distribution = toDistribution(histogram.bounds, gained, sum - (before?.sum ?? 0));
    return distribution.count > 0 ? { ...facts, value: distribution, commit } : undefined;
  }
}

function addSeries(totals: Map<string, Total>, published: PublishedMetric, family: AnyFamily): void {
  const { name, dimensions: kept } = published;
  for (const { values, child } of family.series) {
    const dimensions: Record<string, string> = {};
    for (const [at, label] of family.labels.entries()) {
      const dimension = kept[label];
      const value = values[at];
      if (dimension !== undefined && value) dimensions[dimension] = value;
    }
    const key = `${name} ${Object.values(dimensions).join(' ')}`;
    const known = totals.get(key) ?? {
      published,
      dimensions,
      type: family.type,
      value: 0,
      histogram: undefined,
    };
    totals.set(key, known);
    if (child instanceof Histogram) {
      known.histogram ??= new Histogram(child.bounds);
      known.histogram.addAll(child);
    } else known.value += child.value;
  }
}

/** Each bucket by its middle; the last, which has no end, by its beginning. */
function toDistribution(bounds: readonly number[], counts: readonly number[], sum: number): Distribution {
  const used = counts.flatMap((count, at) => (count > 0 ? [{ count, at }] : []));
  const middleOf = (at: number): number => {
    const low = bounds[at - 1] ?? 0;
    const high = bounds[at] ?? low;
    return (low + high) / 2;
  };
  return {
    values: used.map(({ at }) => middleOf(at)),
    counts: used.map(({ count }) => count),
    sum,
    count: used.reduce((total, { count }) => total + count, 0),
  };
}
