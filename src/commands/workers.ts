import cluster from 'node:cluster';
import { availableParallelism, hostname } from 'node:os';
import { removeStale } from '../client/http/open-server.ts';
import { causeText } from '../core/errors/errors.ts';
import { Events } from '../core/pipeline/events.ts';
import { plainText } from '../core/system/plain-text.ts';
import { systemClock } from '../core/time/clock.ts';
import { logEvents } from '../observe/log.ts';
import type { LogLevel } from '../observe/options.ts';
import type { Settings } from '../settings.ts';
import { LimitServer } from '../workers/limit-server.ts';
import { workerCount } from '../workers/options.ts';
import { createFork } from '../workers/primary.ts';
import { Supervisor } from '../workers/supervisor.ts';
import { takePlace, Worker } from '../workers/worker.ts';
import { resourceOfWorker, settingsOfWorker } from '../workers/worker-settings.ts';
import type { PrimaryStatus } from './primary-status.ts';
import type { LoadedParts } from './serve.ts';
import type { RunningStatus } from './status-server.ts';

/** Added to the drain time of a worker: it closes connections and flushes logs afterwards. */
const DRAIN_MARGIN_MS = 10_000;

/** The settings and parts with which a worker serves. */
export interface WorkerParts {
  /** Its share of the settings. */
  readonly settings: Settings;
  readonly parts: Pick<LoadedParts, 'openLimits' | 'worker' | 'serveStatus'>;
  readonly obey: Worker['obey'];
}

/**
 * Runs the workers of --workers in the primary process, or joins it as a worker.
 * @returns the exit code of the primary process, or the parts of a worker.
 */
export async function runWorkers(settings: Settings): Promise<number | WorkerParts> {
  if (!cluster.isWorker) return supervise(settings);
  const worker = new Worker(takePlace(process.env));
  const { env } = process;
  env.OTEL_RESOURCE_ATTRIBUTES = resourceOfWorker(
    env.OTEL_RESOURCE_ATTRIBUTES ?? '',
    worker.place,
    hostname(),
  );
  const { listenPrivately, listening, peers } = worker;
  const { limits, endpoint } = settings;
  return {
    settings: settingsOfWorker(settings, worker.place),
    parts: {
      worker: { listenPrivately, listening, peers },
      serveStatus: async (deps) => {
        const { reportStatus } = await import('./worker-status.ts');
        return reportStatus(worker, deps);
      },
      // With --limits, workers share their limits through Redis like other processes.
      ...(limits === undefined
        ? { openLimits: (events) => worker.openLimits(endpoint, systemClock, events) }
        : {}),
    },
    obey: (controlled) => worker.obey(controlled),
  };
}

async function supervise(settings: Settings): Promise<number> {
  const { workers = '', listener, fromFile, logLevel, logFile, logFormat } = settings;
  const { address, drainDelayMs = 0, drainTimeout = 0 } = listener ?? {};
  if (address && 'socketPath' in address) await removeStale(address.socketPath).catch(() => false);
  const count = workerCount(workers, settings, availableParallelism());
  const events = new Events();
  const log = logEvents(events, { level: logLevel as LogLevel, file: logFile, format: logFormat });
  const report = (message: string): void => {
    process.stderr.write(plainText(`mcp-sigv4-proxy: ${message}\n`));
  };
  const limits = new LimitServer(systemClock, (worker, key) =>
    supervisor.slots[Number(worker)]?.process?.send({ type: 'limit.free', key }),
  );
  const supervisor = new Supervisor({
    count,
    clock: systemClock,
    events,
    fork: createFork(fromFile),
    onMessage: (slot, message) => {
      if (message.type === 'fact') {
        for (const other of supervisor.slots) if (other !== slot) other.process?.send(message);
        return;
      }
      if (message.type !== 'limit.run') {
        status?.receive(slot, message);
        return;
      }
      const { id, operation, args } = message;
      const value = limits.run(String(slot.index), operation, args);
      slot.process?.send({ type: 'limit.result', id, value });
    },
    onEnded: (slot) => {
      limits.forget(String(slot.index));
      status?.removeWorker(slot);
    },
    onListening: (url) => {
      if (process.stderr.isTTY) report(`listening on ${url} with ${count} workers (press Ctrl-C to end)`);
    },
    report,
    longestDrainMs: drainDelayMs + drainTimeout * 1_000 + DRAIN_MARGIN_MS,
  });
  passSignals(supervisor, () => log.reopen());
  process.on('uncaughtException', (error) => {
    events.emit({ type: 'internal.fault', where: 'an uncaught exception', message: causeText(error) });
    supervisor.leave('an internal fault', { atOnce: true, code: 1 });
  });
  let status: PrimaryStatus | undefined;
  let running: RunningStatus | undefined;
  if (settings.status !== undefined) {
    const { PrimaryStatus: Opened } = await import('./primary-status.ts');
    status = new Opened(settings, supervisor);
    try {
      running = await status.open(settings, events);
    } catch (error) {
      report(causeText(error));
      return 1;
    }
    if (process.stderr.isTTY) report(`status at ${running.url}`);
  }
  supervisor.start();
  const code = await supervisor.over;
  await running?.close();
  await log.flush();
  return code;
}

function passSignals(supervisor: Supervisor, reopen: () => void): void {
  const hangsUp = process.platform === 'win32';
  if (!hangsUp) {
    process.on('SIGHUP', () => {
      reopen();
      supervisor.renew();
    });
  }
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', ...(hangsUp ? (['SIGHUP'] as const) : [])] as const) {
    process.on(signal, () => {
      if (++signals === 1) supervisor.leave(signal);
      else void supervisor.stop().then(() => process.exit(1));
    });
  }
}
