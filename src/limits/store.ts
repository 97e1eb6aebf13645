import type { BucketLimit, RateAnswer, RateCommand } from './rate-bucket.ts';
import type { FleetView, ReplicaHeartbeat } from './replica-table.ts';

export interface EnterLeases {
  readonly limit: number;
  readonly leaseUs: number;
  /** How long this replica keeps its place without another word; 0: it does not wait. */
  readonly patienceUs: number;
  /** Whether it waits for more than these. */
  readonly more: boolean;
  readonly leases: readonly string[];
}

/** A limit less the shares of missing replicas, and the configured one. */
export interface SharedLimit extends BucketLimit {
  readonly configured?: BucketLimit;
}

/** The answer of a bucket, and what another replica takes for its limit. */
export interface SharedRateAnswer extends RateAnswer {
  /** `rate/burst` of the last caller, where it was another limit. */
  readonly otherLimit: string | undefined;
}

/** The parts of the process that a store reports to. */
export interface StoreDeps {
  /** The name of this replica. */
  readonly replica: string;
  /** Called with a key when another replica has given back a lease of it. */
  readonly onFree: (key: string) => void;
  /** Called with each error of the connection, and with undefined when there is a new one. */
  readonly onError: (error: Error | undefined) => void;
  readonly random: () => number;
}

/** The shared state of the replicas. Each method is one operation, which rejects where it fails. */
export interface LimitStore {
  /** Resolves with the first connection, and rejects with the first error before it. */
  connected(): Promise<void>;
  rate(key: string, limit: SharedLimit, command: RateCommand): Promise<SharedRateAnswer>;
  /** Returns how many leases were granted, in the order of their names. */
  enter(key: string, request: EnterLeases): Promise<number>;
  release(key: string, leases: readonly string[]): Promise<void>;
  renew(key: string, leaseUs: number, leases: readonly string[]): Promise<void>;
  /** This replica does not wait any more. */
  quit(key: string): Promise<void>;
  /** States that this replica is alive. Returns what it has to know of the others. */
  beat(heartbeat: ReplicaHeartbeat): Promise<FleetView>;
  /** Runs the operations of a key on a scratch key beside it. Resolves where all are possible. */
  probe(key: string): Promise<void>;
  /** Ends the connections at once. */
  close(): void;
}
