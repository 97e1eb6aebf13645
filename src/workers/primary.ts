import cluster from 'node:cluster';
import { SOCKET_MASK } from '../client/http/open-server.ts';
import type { WorkerObserver, WorkerProcess } from './supervisor.ts';
import { UnacknowledgedConnections } from './unacknowledged-connections.ts';
import { PLACE_VARIABLE, placeText, type WorkerPlace } from './worker-settings.ts';

/** @param hidden - variables that no worker inherits. */
export function createFork(hidden: ReadonlySet<string>) {
  // By default, one worker would get nearly all connections on Linux. Windows keeps its default.
  if (process.platform !== 'win32') cluster.schedulingPolicy = cluster.SCHED_RR;
  const [, exec, ...args] = process.argv;
  cluster.setupPrimary({ exec, args });
  const withheld = Object.fromEntries([...hidden].map((name) => [name, undefined]));
  const listening = new Set<unknown>();
  return (place: WorkerPlace, observer: WorkerObserver): WorkerProcess => {
    const worker = cluster.fork({ ...withheld, [PLACE_VARIABLE]: placeText(place) });
    const mask = new SocketMask();
    new UnacknowledgedConnections(worker, () => listening.size > 0);
    worker.on('listening', () => listening.add(worker));
    for (const end of ['disconnect', 'exit']) worker.prependListener(end, () => listening.delete(worker));
    worker.on('message', (message) => {
      mask.observe(message);
      observer.onMessage(message);
    });
    worker.on('error', () => undefined);
    worker.on('exit', (code, signal) => {
      mask.restore();
      observer.onExit({ code, signal: signal ?? null });
    });
    return {
      pid: worker.process.pid,
      send: (message) => worker.isConnected() && worker.send(message, () => undefined),
      kill: () => void worker.process.kill('SIGKILL'),
    };
  };
}

/** Unix sockets that the primary process creates for a worker are private to the user. */
class SocketMask {
  #former: number | undefined;

  observe({ type }: { readonly type: string }): void {
    if (type === 'binding') this.#former ??= process.umask(SOCKET_MASK);
    else if (type === 'bound') this.restore();
  }

  restore(): void {
    if (this.#former !== undefined) process.umask(this.#former);
    this.#former = undefined;
  }
}
