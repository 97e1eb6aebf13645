import type { PeerFact } from '../core/pipeline/peers.ts';
import type { LimitStore } from '../limits/store.ts';
import type { WorkerReport } from './worker-report.ts';

/** The operations of shared limits that the primary process runs for its workers. */
export type LimitOperation = Exclude<keyof LimitStore, 'connected' | 'close'>;

/** `page`: a report with the AWS identities that sign, for the status page. */
export type WorkerQuery = 'report' | 'page' | 'readiness';

/** Why requests would fail now; null if they would be served. */
export interface ReadinessAnswer {
  readonly reason: string | null;
}

/** A message from the primary process to a worker. */
export type ToWorker =
  /** Drain and end. `atOnce` skips --drain-delay. */
  | { readonly type: 'leave'; readonly how: string; readonly atOnce: boolean }
  /** End now. */
  | { readonly type: 'stop' }
  /** The reaction to SIGHUP. */
  | { readonly type: 'renew' }
  /** Answer with a `pong`. */
  | { readonly type: 'ping' }
  /** Answer with a `reply`. */
  | { readonly type: 'query'; readonly id: number; readonly what: WorkerQuery }
  | { readonly type: 'fact'; readonly fact: PeerFact }
  | { readonly type: 'limit.result'; readonly id: number; readonly value: unknown }
  /** A lease of this key is free, and it is this worker's turn. */
  | { readonly type: 'limit.free'; readonly key: string };

/** A message from a worker to the primary process. */
export type ToPrimary =
  /** Messages reach the worker from now on. */
  | { readonly type: 'joined' }
  /** The next address that the worker listens on, until `bound`, is a private unix socket. */
  | { readonly type: 'binding' }
  | { readonly type: 'bound' }
  | { readonly type: 'listening'; readonly url: string }
  /** The primary process forwards it to all other workers. */
  | { readonly type: 'fact'; readonly fact: PeerFact }
  | { readonly type: 'pong' }
  | { readonly type: 'reply'; readonly id: number; readonly value: unknown }
  /** Everything that a worker has measured, when it ends. */
  | { readonly type: 'last-report'; readonly report: WorkerReport }
  | {
      readonly type: 'limit.run';
      readonly id: number;
      readonly operation: LimitOperation;
      readonly args: readonly unknown[];
    };

/** Sends a message; false where the other process has gone. */
export type SendMessage<T> = (message: T) => boolean;
