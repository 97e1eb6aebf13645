import type { Events } from '../core/pipeline/events.ts';
import { type Clock, type Timer, toSeconds } from '../core/time/clock.ts';
import type { SendMessage, ToPrimary, ToWorker } from './messages.ts';
import { decideRestart, NO_STARTS, type StartRecord } from './restarts.ts';
import type { WorkerPlace } from './worker-settings.ts';
import { MAX_SILENCE_MS, WorkerWatch } from './worker-watch.ts';

/** How a process has ended. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running worker, as the primary process sees it. */
export interface WorkerProcess {
  readonly pid: number | undefined;
  readonly send: SendMessage<ToWorker>;
  /** Ends the process at once. */
  kill(): void;
}

export interface WorkerObserver {
  onMessage(message: ToPrimary): void;
  onExit(exit: WorkerExit): void;
}

export interface SupervisorDeps {
  readonly count: number;
  readonly clock: Clock;
  readonly events: Events;
  readonly fork: (place: WorkerPlace, observer: WorkerObserver) => WorkerProcess;
  /** Receives every message of a worker. */
  readonly onMessage: (slot: WorkerSlot, message: ToPrimary) => void;
  /** Called when a worker has ended. */
  readonly onEnded: (slot: WorkerSlot) => void;
  /** Called with the address when the first worker listens. */
  readonly onListening: (url: string) => void;
  /** Prints an error that ends the program. */
  readonly report: (message: string) => void;
  /** Longer than a worker needs to drain. A worker that still runs after it is killed. */
  readonly longestDrainMs: number;
}

/** The place of one worker, which its replacements take over. */
export interface WorkerSlot {
  readonly index: number;
  process: WorkerProcess | undefined;
  /** Monotonic. */
  startedAt: number;
  listens: boolean;
  record: StartRecord;
  restart: Timer | undefined;
}

/** Time for workers to exit after `stop`; those that still run are killed. */
const STOP_MS = 500;

/**
 * Starts the workers, replaces those that die or hang, and ends when all have ended. The first one
 * starts alone, so that an address that cannot be used is reported once.
 */
export class Supervisor {
  readonly #deps: SupervisorDeps;
  readonly #slots: readonly WorkerSlot[];
  readonly #watch: WorkerWatch<WorkerSlot>;
  #leaving: Extract<ToWorker, { readonly type: 'leave' }> | undefined;
  #url: string | undefined;
  #code = 0;
  #finish: (code: number) => void = () => undefined;
  /** Resolves with the exit code when all workers have ended. */
  readonly over: Promise<number>;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#slots = Array.from({ length: deps.count }, (_, index) => ({
      index,
      process: undefined,
      startedAt: 0,
      listens: false,
      record: NO_STARTS,
      restart: undefined,
    }));
    this.#watch = new WorkerWatch(deps.clock, this.#slots, (slot) => this.#onHung(slot));
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  get slots(): readonly WorkerSlot[] {
    return this.#slots;
  }

  /** Undefined until the first worker listens. */
  get url(): string | undefined {
    return this.#url;
  }

  get leaving(): boolean {
    return this.#leaving !== undefined;
  }

  start(): void {
    const [first] = this.#slots;
    if (first) this.#fork(first);
    this.#watch.start();
  }

  /** Lets all workers drain. */
  leave(how: string, { atOnce = false, code = 0 } = {}): void {
    if (this.#leaving) return;
    this.#leaving = { type: 'leave', how, atOnce };
    this.#code = Math.max(this.#code, code);
    this.#deps.events.emit({ type: 'client.gone', how });
    for (const slot of this.#slots) {
      slot.restart?.cancel();
      slot.process?.send(this.#leaving);
    }
    this.#deps.clock.schedule(this.#deps.longestDrainMs, () => this.#killAll(), { keepAlive: false });
    this.#finishIfOver();
  }

  /** Ends all workers at once. Resolves when they have ended. */
  async stop(): Promise<void> {
    this.leave('stopped', { atOnce: true, code: 1 });
    for (const { process } of this.#slots) process?.send({ type: 'stop' });
    this.#deps.clock.schedule(STOP_MS, () => this.#killAll());
    await this.over;
  }

  /** Forwards SIGHUP to all workers. */
  renew(): void {
    for (const { process } of this.#slots) process?.send({ type: 'renew' });
  }

  #killAll(): void {
    for (const { process } of this.#slots) process?.kill();
  }

  #fork(slot: WorkerSlot): void {
    const { clock, fork, events, count } = this.#deps;
    slot.restart = undefined;
    slot.startedAt = clock.monotonic();
    slot.listens = false;
    const port = this.#isAnyListening ? 0 : portOf(this.#url);
    const process = fork(
      { index: slot.index, count, port },
      {
        onMessage: (message) => this.#receive(slot, message),
        onExit: (exit) => this.#onExit(slot, exit),
      },
    );
    slot.process = process;
    events.emit({ type: 'worker.started', worker: slot.index, workerPid: process.pid });
  }

  get #isAnyListening(): boolean {
    return this.#slots.some(({ listens }) => listens);
  }

  #receive(slot: WorkerSlot, message: ToPrimary): void {
    if (message.type === 'joined') {
      if (this.#leaving) slot.process?.send(this.#leaving);
    } else if (message.type === 'pong') this.#watch.receive(slot);
    else if (message.type === 'listening') this.#onListening(slot, message.url);
    this.#deps.onMessage(slot, message);
  }

  #onListening(slot: WorkerSlot, url: string): void {
    slot.listens = true;
    slot.record = { ...slot.record, failedStarts: 0 };
    const isFirst = this.#url === undefined;
    this.#url = url;
    if (!isFirst) return;
    this.#deps.onListening(url);
    if (this.#leaving) return;
    for (const other of this.#slots) if (other !== slot) this.#fork(other);
  }

  #onHung({ index, process }: WorkerSlot): void {
    const message = `Worker ${index} has not answered for ${toSeconds(MAX_SILENCE_MS)} s, and is killed.`;
    this.#deps.events.emit({ type: 'worker.hung', worker: index, workerPid: process?.pid, message });
    process?.kill();
  }

  #onExit(slot: WorkerSlot, exit: WorkerExit): void {
    const { clock, events, onEnded, report } = this.#deps;
    const workerPid = slot.process?.pid;
    const run = { listened: slot.listens, aliveMs: clock.monotonic() - slot.startedAt };
    slot.process = undefined;
    slot.listens = false;
    this.#watch.receive(slot);
    onEnded(slot);
    if (this.#leaving) {
      if (run.listened || !isInterrupted(exit)) this.#code = Math.max(this.#code, codeOf(exit));
      this.#finishIfOver();
      return;
    }
    if (this.#url === undefined) {
      // A worker that ends by itself has printed the reason.
      if (exit.signal !== null) report(`the first worker ${howOf(exit)} before it listened`);
      this.leave('the first worker has ended', { code: codeOf(exit) });
      return;
    }
    const decision = decideRestart(slot.record, run);
    slot.record = decision.record;
    const fields = { worker: slot.index, workerPid, message: `Worker ${slot.index} ${howOf(exit)}.` };
    events.emit({ type: codeOf(exit) === 0 ? 'worker.ended' : 'worker.died', ...fields });
    if ('giveUp' in decision) {
      report(`worker ${slot.index} cannot be started: ${decision.giveUp}, and ${howOf(exit)} the last time`);
      this.leave('a worker cannot be started', { code: 1 });
    } else slot.restart = clock.schedule(decision.restartMs, () => this.#fork(slot));
  }

  #finishIfOver(): void {
    if (this.#slots.every(({ process }) => process === undefined)) this.#finish(this.#code);
  }
}

const codeOf = ({ code }: WorkerExit): number => code ?? 1;

/** A signal to the whole process group ends a worker that is starting: it has no handler yet. */
const isInterrupted = ({ signal }: WorkerExit): boolean => signal === 'SIGINT' || signal === 'SIGTERM';

const howOf = ({ code, signal }: WorkerExit): string =>
  signal === null ? `ended with exit code ${code}` : `was killed by ${signal}`;

/** The port of a URL; 0 where it has none, as the URL of a unix socket. */
function portOf(url: string | undefined): number {
  return url !== undefined && URL.canParse(url) ? Number(new URL(url).port) : 0;
}
