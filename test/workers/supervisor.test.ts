import { describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import type { ToWorker } from '../../src/workers/messages.ts';
import { Supervisor, type WorkerObserver } from '../../src/workers/supervisor.ts';
import type { WorkerPlace } from '../../src/workers/worker-settings.ts';
import { FakeClock } from '../support/fake-clock.ts';

interface FakeWorker extends WorkerObserver {
  readonly place: WorkerPlace;
  /** Without pings. */
  readonly received: ToWorker['type'][];
  /** Does not answer pings. */
  hangs: boolean;
  listen(): void;
}

function setUp(count = 2) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const reports: string[] = [];
  const killed: number[] = [];
  const events = new Events();
  const logged: ProxyEvent[] = [];
  events.subscribe((event) => logged.push(event), { detailed: false, secrets: false });
  const supervisor = new Supervisor({
    count,
    clock,
    events,
    fork: (place, observer) => {
      const received: ToWorker['type'][] = [];
      const at = workers.length;
      const listen = () => observer.onMessage({ type: 'listening', url: 'http://127.0.0.1:8080/mcp' });
      const worker = { ...observer, place, received, listen, hangs: false };
      workers.push(worker);
      return {
        pid: at,
        send: ({ type }) => {
          if (type !== 'ping') received.push(type);
          else if (!worker.hangs) setImmediate(() => observer.onMessage({ type: 'pong' }));
          return true;
        },
        kill: () => void killed.push(at),
      };
    },
    onMessage: () => undefined,
    onEnded: () => undefined,
    onListening: () => undefined,
    report: (message) => reports.push(message),
    longestDrainMs: 40_000,
  });
  supervisor.start();
  const worker = (at: number): FakeWorker => {
    const found = workers[at];
    if (!found) throw new Error(`there is no worker ${at}`);
    return found;
  };
  return { clock, supervisor, workers, worker, reports, killed, logged };
}

describe('the supervisor of workers', () => {
  it('the supervisor starts the further workers when the first one listens', () => {
    const { workers, worker } = setUp(3);
    expect(workers.map(({ place }) => place.index)).toEqual([0]);
    worker(0).listen();
    expect(workers.map(({ place }) => place.index)).toEqual([0, 1, 2]);
  });

  it('the supervisor ends with the code of a first worker that ends before it listens', async () => {
    const { supervisor, worker, reports } = setUp();
    worker(0).onExit({ code: 1, signal: null });
    expect(await supervisor.over).toBe(1);
    expect(reports).toEqual([]);
  });

  it('the supervisor reports a first worker that is killed before it listens', async () => {
    const { supervisor, worker, reports } = setUp();
    worker(0).onExit({ code: null, signal: 'SIGKILL' });
    expect(await supervisor.over).toBe(1);
    expect(reports).toEqual(['the first worker was killed by SIGKILL before it listened']);
  });

  it('the supervisor gives a new worker the place of the dead one', async () => {
    const { worker, workers, clock } = setUp();
    worker(0).listen();
    worker(1).listen();
    worker(0).onExit({ code: 1, signal: null });
    expect(workers).toHaveLength(2);
    await clock.advance(100);
    expect(worker(2).place).toEqual({ index: 0, count: 2, port: 0 });
  });

  it('the supervisor gives the former port to a worker that starts where none listens', async () => {
    const { worker, clock } = setUp();
    worker(0).listen();
    worker(0).onExit({ code: 1, signal: null });
    await clock.advance(100);
    expect(worker(2).place.port).toBe(8_080);
  });

  it('the supervisor sends leave to a worker that was starting, and starts no other worker', async () => {
    const { supervisor, worker, workers, clock } = setUp();
    worker(0).listen();
    worker(0).onExit({ code: 1, signal: null });
    supervisor.leave('SIGTERM');
    supervisor.leave('SIGTERM');
    expect(worker(1).received).toEqual(['leave']);
    worker(1).onMessage({ type: 'joined' });
    expect(worker(1).received).toEqual(['leave', 'leave']);
    await clock.advance(1_000);
    expect(workers).toHaveLength(2);
    worker(1).onExit({ code: 0, signal: null });
    expect(await supervisor.over).toBe(0);
  });

  it.each([
    ['SIGINT', 0],
    ['SIGTERM', 0],
    ['SIGKILL', 1],
  ])(
    'the supervisor ends with the right code where %s ended a worker that was starting',
    async (signal, code) => {
      const { supervisor, worker } = setUp();
      worker(0).listen();
      supervisor.leave('SIGINT');
      worker(1).onExit({ code: null, signal });
      worker(0).onExit({ code: 0, signal: null });
      expect(await supervisor.over).toBe(code);
    },
  );

  it('the supervisor kills a worker that does not end within the longest drain', async () => {
    const { supervisor, worker, clock, killed } = setUp();
    worker(0).listen();
    supervisor.leave('SIGTERM');
    await clock.advance(39_999);
    expect(killed).toEqual([]);
    await clock.advance(1);
    expect(killed).toEqual([0, 1]);
  });

  it('the supervisor kills a worker that hangs, names it in the log, and replaces it', async () => {
    const { worker, workers, clock, killed, logged } = setUp();
    worker(0).listen();
    worker(1).listen();
    await clock.advance(10_000);
    worker(1).hangs = true;
    await clock.advance(16_000);
    expect(killed).toEqual([1]);
    expect(logged.filter(({ type }) => type === 'worker.hung')).toEqual([
      {
        type: 'worker.hung',
        worker: 1,
        workerPid: 1,
        message: 'Worker 1 has not answered for 15 s, and is killed.',
      },
    ]);
    worker(1).onExit({ code: null, signal: 'SIGKILL' });
    await clock.advance(100);
    expect(workers).toHaveLength(3);
    expect(worker(2).place.index).toBe(1);
    await clock.advance(60_000);
    expect(killed).toEqual([1]);
  });
});
