import { urlWithoutSecrets } from '../config/secrets.ts';
import type { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { HISTORY_STEP_MS } from '../observe/metrics/history.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';
import { MergedReports } from '../workers/merged-reports.ts';
import type { ReadinessAnswer, ToPrimary, WorkerQuery } from '../workers/messages.ts';
import type { Supervisor, WorkerSlot } from '../workers/supervisor.ts';
import { WorkerQueries } from '../workers/worker-queries.ts';
import type { WorkerReport } from '../workers/worker-report.ts';
import { openStatus, type RunningStatus } from './status-server.ts';

/** The status address of all workers, which the primary process serves. */
export class PrimaryStatus {
  readonly #supervisor: Supervisor;
  readonly #clock: Clock;
  readonly #queries: WorkerQueries;
  readonly #reports: MergedReports;
  #refreshing: Promise<void> | undefined;

  constructor({ endpoint, scope }: Settings, supervisor: Supervisor, clock = systemClock) {
    this.#supervisor = supervisor;
    this.#clock = clock;
    this.#queries = new WorkerQueries(clock);
    this.#reports = new MergedReports({
      clock,
      version: VERSION,
      initial: {
        endpoint: urlWithoutSecrets(endpoint.href),
        service: scope?.service ?? '',
        region: scope?.region ?? '',
        limits: undefined,
        profiles: [],
      },
      ownProcess: () => {
        const { user, system } = process.cpuUsage();
        return { cpuSeconds: (user + system) / 1_000_000, memoryBytes: process.memoryUsage.rss() };
      },
    });
  }

  /** @throws Error with a message for the user if the address cannot be used. */
  async open(settings: Settings, events: Events): Promise<RunningStatus> {
    this.#scheduleRefresh();
    return openStatus(settings, events, {
      clock: this.#clock,
      metrics: this.#reports,
      report: () => this.#reports.report(),
      refresh: () => this.#refresh('page'),
      unreadyReason: () => this.#unreadyReason(),
    });
  }

  receive({ index }: WorkerSlot, message: ToPrimary): void {
    if (message.type === 'reply') this.#queries.receive(message.id, message.value);
    else if (message.type === 'last-report') this.#reports.set(index, message.report);
  }

  /** Keeps the counts of a worker that has ended. */
  removeWorker(slot: WorkerSlot): void {
    this.#queries.forget(slot);
    this.#reports.removeWorker(slot.index);
  }

  /**
   * The charts need regular reports. If a worker is killed, only counts since the last one are
   * lost.
   */
  #scheduleRefresh(): void {
    const refresh = (): void => void this.#refresh('report').then(() => this.#scheduleRefresh());
    this.#clock.schedule(HISTORY_STEP_MS, refresh, { keepAlive: false });
  }

  /** Single flight: concurrent callers share one refresh. */
  #refresh(what: WorkerQuery): Promise<void> {
    this.#refreshing ??= this.#queryAll(what).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #queryAll(what: WorkerQuery): Promise<void> {
    await Promise.all(
      this.#supervisor.slots.map(async (slot, at) => {
        const queried = slot.process;
        // One worker is enough to name the identities that sign.
        const report = await this.#queries.query(slot, at === 0 ? what : 'report');
        // The answer has the type of the query, because a worker runs the same program.
        if (report !== undefined && slot.process === queried)
          this.#reports.set(slot.index, report as WorkerReport);
      }),
    );
  }

  async #unreadyReason(): Promise<string | undefined> {
    const { leaving, slots } = this.#supervisor;
    if (leaving) return 'leaving';
    const answers = await Promise.all(
      slots.filter(({ listens }) => listens).map((slot) => this.#queries.query(slot, 'readiness')),
    );
    const known = answers.filter((answer): answer is ReadinessAnswer => answer !== undefined);
    if (known.length === 0) return 'no worker listens';
    // The other workers serve requests.
    if (known.some(({ reason }) => reason === null)) return undefined;
    return known[0]?.reason ?? undefined;
  }
}
