import { mergeListeners, mergeStates } from '../core/pipeline/merged-state.ts';
import type { ListenerState, ProxyState } from '../core/pipeline/proxy-state.ts';
import type { Clock } from '../core/time/clock.ts';
import type { Metrics } from '../observe/metrics/catalog.ts';
import { familiesOf } from '../observe/metrics/catalog.ts';
import { type ExpositionFormat, exposition } from '../observe/metrics/exposition.ts';
import { Histogram, OPERATION_BOUNDS } from '../observe/metrics/families.ts';
import { History } from '../observe/metrics/history.ts';
import { profileLabel } from '../observe/metrics/labels.ts';
import type { CredentialFacts, Measured, RecentError } from '../observe/metrics/measured.ts';
import { createSnapshot } from '../observe/metrics/snapshot.ts';
import type { SignerIdentity, StatusReport } from '../observe/status/report.ts';
import { addHistogram, MergedMetrics } from './merged-metrics.ts';
import type { MetricsReport, WorkerReport } from './worker-report.ts';

/** One process keeps as many for each profile. */
const MAX_RECENT_ERRORS = 20;

export interface MergedReportsDeps {
  readonly clock: Clock;
  readonly version: string;
  /** The state before the first report. */
  readonly initial: ProxyState;
  /** CPU time and memory of the primary process itself. */
  readonly ownProcess: () => { readonly cpuSeconds: number; readonly memoryBytes: number };
}

/**
 * The latest report of each worker, and the counts of workers that have ended: counters must not
 * decrease.
 */
export class MergedReports {
  readonly #deps: MergedReportsDeps;
  readonly #latest = new Map<number, WorkerReport>();
  readonly #ended = new MergedMetrics();
  readonly #history: History;
  readonly #startedAt: number;
  #lastState: ProxyState;

  constructor(deps: MergedReportsDeps) {
    this.#deps = deps;
    this.#history = new History(deps.clock);
    this.#startedAt = deps.clock.now();
    this.#lastState = deps.initial;
  }

  /** Keeps the report of a worker in place of its former one. */
  set(worker: number, report: WorkerReport): void {
    const before = durationsOf(this.#latest.get(worker)?.metrics);
    const now = durationsOf(report.metrics);
    this.#latest.set(worker, report);
    this.#history.addAll(
      Object.assign(new Histogram(OPERATION_BOUNDS), {
        counts: now.durations.counts.map((count, at) => count - (before.durations.counts[at] ?? 0)),
        count: now.durations.count - before.durations.count,
        max: now.durations.max,
      }),
      now.errors - before.errors,
    );
  }

  /** A worker has ended. Keeps its counts. */
  removeWorker(worker: number): void {
    const last = this.#latest.get(worker);
    if (!last) return;
    this.#latest.delete(worker);
    this.#ended.add(last.metrics, 'counts');
  }

  #merge(): Metrics {
    const merged = new MergedMetrics();
    for (const [name, family] of Object.entries(this.#ended.metrics)) {
      for (const { values, child } of family.series) {
        merged.add({ [name]: [[values, child instanceof Histogram ? child : child.value]] }, 'counts');
      }
    }
    for (const { metrics } of this.#latest.values()) merged.add(metrics);
    const { metrics } = merged;
    const { cpuSeconds, memoryBytes } = this.#deps.ownProcess();
    metrics.cpu.of().value += cpuSeconds;
    metrics.memory.of().value += memoryBytes;
    // Several workers may be in several states: the worst one counts.
    for (const { profile, breaker } of this.#state().profiles)
      for (const each of ['closed', 'open', 'half-open'])
        metrics.breakerState.of(profileLabel(profile), each).value = Number(breaker.state === each);
    return metrics;
  }

  #state(): ProxyState {
    const merged = mergeStates([...this.#latest.values()].map(({ state }) => state));
    this.#lastState = merged ?? { ...this.#lastState, profiles: [] };
    return this.#lastState;
  }

  /** All metrics as text that Prometheus reads. */
  toPrometheus(format: ExpositionFormat = 'prometheus'): string {
    return exposition(familiesOf(this.#merge()), format);
  }

  /** The content of the status page. */
  report(): StatusReport {
    const { clock, version } = this.#deps;
    const reports = [...this.#latest.values()];
    const measured: Measured = {
      deps: {
        clock,
        version,
        profiles: [],
        state: () => this.#state(),
        listener: () => mergeListeners(reports.map(({ listener }) => listener).filter(isListener)),
        isTool: () => false,
      },
      metrics: this.#merge(),
      history: this.#history,
      startedAt: this.#startedAt,
      credentials: new Map(reports.flatMap<readonly [string, CredentialFacts]>((each) => each.credentials)),
      recentErrors: mergeErrors(reports),
    };
    const identities: Record<string, SignerIdentity> = {};
    for (const each of reports) Object.assign(identities, each.identities);
    return { ...createSnapshot(measured, (text) => text), identities };
  }
}

const isListener = (state: ListenerState | undefined): state is ListenerState => state !== undefined;

function mergeErrors(reports: readonly WorkerReport[]): Map<string, RecentError[]> {
  const merged = new Map<string, RecentError[]>();
  for (const { recentErrors } of reports)
    for (const [profile, errors] of recentErrors)
      merged.set(profile, [...(merged.get(profile) ?? []), ...errors]);
  for (const [profile, errors] of merged) {
    errors.sort((one, other) => one.at - other.at);
    merged.set(profile, errors.slice(-MAX_RECENT_ERRORS));
  }
  return merged;
}

/** The durations of all calls, and how many of them failed, as a history counts them. */
function durationsOf(metrics: MetricsReport | undefined): {
  readonly durations: Histogram;
  readonly errors: number;
} {
  const durations = new Histogram(OPERATION_BOUNDS);
  let errors = 0;
  for (const [values, value] of metrics?.serverOperation ?? []) {
    const [, method, , error] = values;
    if (method === 'subscriptions/listen' || typeof value === 'number') continue;
    addHistogram(durations, value);
    if (error !== '' && error !== 'cancelled') errors += value.count;
  }
  return { durations, errors };
}
