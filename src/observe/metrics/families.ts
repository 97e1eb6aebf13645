/** The bounds of the OpenTelemetry conventions for MCP, in seconds. */
export const OPERATION_BOUNDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300] as const;
/** For waits, which are shorter. In seconds. */
export const WAIT_BOUNDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60] as const;

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** A number that only grows. */
export class Counter {
  value = 0;

  add(by = 1): void {
    this.value += by;
  }
}

/** A number that is read when it is wanted. */
export class Gauge {
  value = 0;
}

/** Counts of observed values by upper bound. Not cumulative; the last is for all above. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  count = 0;
  /** The largest value. */
  max = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const { bounds } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
    this.count++;
    if (value > this.max) this.max = value;
  }

  addAll(other: Histogram): void {
    for (const [at, count] of other.counts.entries()) this.counts[at] = (this.counts[at] ?? 0) + count;
    this.sum += other.sum;
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  /**
   * The value below which the share of all values lies, estimated within its bucket and never above
   * the largest value; 0 if empty.
   */
  quantile(share: number): number {
    if (this.count === 0) return 0;
    const wanted = share * this.count;
    let below = 0;
    for (const [at, count] of this.counts.entries()) {
      if (count > 0 && below + count >= wanted) {
        const low = at === 0 ? 0 : (this.bounds[at - 1] ?? 0);
        const high = Math.min(this.bounds[at] ?? this.max, this.max);
        return low + ((high - low) * (wanted - below)) / count;
      }
      below += count;
    }
    return this.max;
  }
}

export interface Series<C> {
  readonly values: readonly string[];
  /** The labels as they are printed, without braces; "" without any. */
  readonly labels: string;
  readonly child: C;
}

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

interface LabelNode<C> {
  readonly next: Map<string, LabelNode<C>>;
  series: Series<C> | undefined;
}

/** A metric with its series: one for each combination of label values. */
export class Family<C> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labels: readonly string[];
  readonly #create: () => C;
  readonly #series: Series<C>[] = [];
  /** By the values of the labels, one level for each: a joined key would cost a string per call. */
  #root: LabelNode<C> = { next: new Map(), series: undefined };

  constructor(type: MetricType, { name, help, labels = [] }: FamilyOptions, create: () => C) {
    this.type = type;
    this.name = name;
    this.help = help;
    this.labels = labels;
    this.#create = create;
  }

  /** The series of these label values, in the order of the labels; created where it is new. */
  of(...values: readonly string[]): C {
    let node = this.#root;
    for (let at = 0; at < values.length; at++) {
      const value = values[at] ?? '';
      let below = node.next.get(value);
      if (!below) {
        below = { next: new Map(), series: undefined };
        node.next.set(value, below);
      }
      node = below;
    }
    if (node.series) return node.series.child;
    const labels = this.labels.map((label, at) => `${label}="${escapeLabel(values[at] ?? '')}"`).join(',');
    const child = this.#create();
    node.series = { values, labels, child };
    this.#series.push(node.series);
    return child;
  }

  get series(): Iterable<Series<C>> {
    return this.#series;
  }

  clear(): void {
    this.#series.length = 0;
    this.#root = { next: new Map(), series: undefined };
  }
}

export const counter = (options: FamilyOptions): Family<Counter> =>
  new Family('counter', options, () => new Counter());

export const gauge = (options: FamilyOptions): Family<Gauge> =>
  new Family('gauge', options, () => new Gauge());

export const histogram = (options: FamilyOptions, bounds: readonly number[]): Family<Histogram> =>
  new Family('histogram', options, () => new Histogram(bounds));

/** As the text formats of Prometheus require. */
const escapeLabel = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
