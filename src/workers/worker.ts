import cluster from 'node:cluster';
import { shortKey } from '../core/jsonrpc/short-key.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { PeerFact, Peers, SharedAffinity } from '../core/pipeline/peers.ts';
import { heapShare } from '../core/system/heap-share.ts';
import { SizedMap } from '../core/system/sized-map.ts';
import type { Clock } from '../core/time/clock.ts';
import { SharedLimits } from '../limits/shared-limits.ts';
import { LimitClient } from './limit-client.ts';
import type { ReadinessAnswer, ToPrimary, ToWorker, WorkerQuery } from './messages.ts';
import type { WorkerReport } from './worker-report.ts';
import { PLACE_VARIABLE, readPlace, type WorkerPlace } from './worker-settings.ts';

/** Sessions of other workers whose affinity is kept: as many as each keeps of its own. */
const MAX_SESSIONS = 10_000;
const MAX_PUBLISHED_AFFINITY_BYTES = heapShare(16 * 1024 * 1024);
/** Facts that wait for a busy primary process; without them, workers are like replicas. */
const MAX_UNSENT_FACTS = 10_000;

/** Answers the queries of the primary process. */
export interface Reporter {
  report(): Promise<WorkerReport>;
  page(): Promise<WorkerReport>;
  readiness(): Promise<ReadinessAnswer>;
}

/** The parts of a serving process that the primary process controls. */
export interface Controlled {
  leave(how: string, atOnce?: boolean): void;
  stop(): void;
  renew(): void;
}

/** Reads the place of this worker, which its environment states, and removes it from there. */
export function takePlace(env: NodeJS.ProcessEnv): WorkerPlace {
  const place = readPlace(env[PLACE_VARIABLE] ?? '');
  // A credential_process is not a worker.
  delete env[PLACE_VARIABLE];
  return place;
}

/** A worker's end of the channel to the primary process. */
export class Worker {
  readonly place: WorkerPlace;
  /** Undefined without --status, and until the worker can answer queries. */
  #reporter: Reporter | undefined;
  readonly #listeners = new Set<(fact: PeerFact) => void>();
  #unsent = 0;
  readonly #affinities = new SizedMap<SharedAffinity>({
    maxEntries: MAX_SESSIONS,
    maxBytes: MAX_PUBLISHED_AFFINITY_BYTES,
  });
  readonly #limits = new LimitClient((message) => this.#send(message));

  constructor(place: WorkerPlace) {
    this.place = place;
  }

  /** The limits that all workers share. */
  readonly openLimits = (endpoint: URL, clock: Clock, events: Events): SharedLimits =>
    new SharedLimits({
      where: 'the primary process',
      open: this.#limits.open,
      endpoint,
      minReplicas: this.place.count,
      clock,
      events,
    });

  /**
   * The primary process creates a unix socket while it handles the request to listen. Messages keep
   * their order, so that nothing but the socket is created between these two.
   */
  readonly listenPrivately = (listen: () => void): void => {
    this.#send({ type: 'binding' });
    listen();
    this.#send({ type: 'bound' });
  };

  /** The other workers, which the primary process informs. */
  readonly peers: Peers = {
    publish: (fact) => {
      if (this.#unsent >= MAX_UNSENT_FACTS) return;
      const sent = (): void => {
        this.#unsent--;
      };
      this.#unsent++;
      if (!this.#send({ type: 'fact', fact }, sent)) sent();
    },
    subscribe: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
    recallAffinity: (session) => this.#affinities.get(shortKey(session)),
  };

  /** Reports the address on which this worker listens. */
  readonly listening = (url: string): void => {
    this.#send({ type: 'listening', url });
  };

  /** Sets what answers the queries of the primary process for its status address. */
  report(reporter: Reporter): void {
    this.#reporter = reporter;
  }

  /** Sends everything measured for the last time. Resolves when it is sent. */
  reportLast(report: WorkerReport): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#send({ type: 'last-report', report }, () => resolve())) resolve();
    });
  }

  #learn(fact: PeerFact): void {
    if (fact.fact === 'affinity') {
      const { cookie = '', ids } = fact.affinity;
      const bytes = cookie.length + Object.values(ids).join('').length;
      this.#affinities.set(shortKey(fact.session), fact.affinity, bytes);
    }
    for (const listener of this.#listeners) listener(fact);
  }

  async #answer(id: number, what: WorkerQuery): Promise<void> {
    const value = await this.#reporter?.[what]();
    this.#send({ type: 'reply', id, value });
  }

  /** Executes the commands of the primary process from now on. */
  obey(controlled: Controlled): void {
    // Node would end the process at once; calls in flight may finish.
    process.prependOnceListener('disconnect', () => {
      if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
      controlled.leave('the primary process has ended', true);
    });
    process.on('message', (message: ToWorker) => {
      switch (message.type) {
        case 'leave':
          controlled.leave(message.how, message.atOnce);
          break;
        case 'stop':
          controlled.stop();
          process.exit(1);
          break;
        case 'renew':
          controlled.renew();
          break;
        case 'fact':
          this.#learn(message.fact);
          break;
        case 'ping':
          this.#send({ type: 'pong' });
          break;
        case 'query':
          void this.#answer(message.id, message.what);
          break;
        default:
          this.#limits.receive(message);
      }
    });
    this.#send({ type: 'joined' });
  }

  #send(message: ToPrimary, sent: () => void = () => undefined): boolean {
    if (!process.connected) return false;
    // The callback takes the error of a channel that closes meanwhile.
    process.send?.(message, undefined, undefined, sent);
    return true;
  }
}
