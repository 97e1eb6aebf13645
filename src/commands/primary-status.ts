import { urlWithoutSecrets } from '../config/secrets.ts';
import type { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { HISTORY_STEP_MS } from '../observe/metrics/history.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';
import type { Question, ReadinessAnswer, ToPrimary } from '../workers/messages.ts';
import { WorkerQuestions } from '../workers/questions.ts';
import type { WorkerReport } from '../workers/report.ts';
import { WorkerReports } from '../workers/reports.ts';
import type { Supervisor, WorkerSlot } from '../workers/supervisor.ts';
import { openStatus, type RunningStatus } from './status-server.ts';

/** The status address of all workers, which the primary process serves. */
export class PrimaryStatus {
  readonly #supervisor: Supervisor;
  readonly #clock: Clock;
  readonly #questions: WorkerQuestions;
  readonly #reports: WorkerReports;
  #refreshing: Promise<void> | undefined;

  constructor({ endpoint, scope }: Settings, supervisor: Supervisor, clock = systemClock) {
    this.#supervisor = supervisor;
    this.#clock = clock;
    this.#questions = new WorkerQuestions(clock);
    this.#reports = new WorkerReports({
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
    if (message.type === 'reply') this.#questions.receive(message.id, message.value);
    else if (message.type === 'last-report') this.#reports.set(index, message.report);
  }

  /** A worker has ended. */
  depart(slot: WorkerSlot): void {
    this.#questions.forget(slot);
    this.#reports.depart(slot.index);
  }

  /** For the charts, and so that a worker that is killed takes few counts with it. */
  #scheduleRefresh(): void {
    const refresh = (): void => void this.#refresh('report').then(() => this.#scheduleRefresh());
    this.#clock.schedule(HISTORY_STEP_MS, refresh, { keepAlive: false });
  }

  /** One for all that want it at the same time. */
  #refresh(what: Question): Promise<void> {
    this.#refreshing ??= this.#askAll(what).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #askAll(what: Question): Promise<void> {
    await Promise.all(
      this.#supervisor.slots.map(async (slot, at) => {
        const asked = slot.process;
        // One worker is enough to name the identities that sign.
        const report = await this.#questions.ask(slot, at === 0 ? what : 'report');
        // The answer has the type of the question: a worker is the same program.
        if (report !== undefined && slot.process === asked)
          this.#reports.set(slot.index, report as WorkerReport);
      }),
    );
  }

  async #unreadyReason(): Promise<string | undefined> {
    const { leaving, slots } = this.#supervisor;
    if (leaving) return 'leaving';
    const answers = await Promise.all(
      slots.filter(({ listens }) => listens).map((slot) => this.#questions.ask(slot, 'readiness')),
    );
    const known = answers.filter((answer): answer is ReadinessAnswer => answer !== undefined);
    if (known.length === 0) return 'no worker listens';
    // The other workers serve requests.
    if (known.some(({ reason }) => reason === null)) return undefined;
    return known[0]?.reason ?? undefined;
  }
}
