import type { ListenerState, ProxyState } from '../../core/pipeline/proxy-state.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { Metrics } from './catalog.ts';
import type { History } from './history.ts';

export interface ProxyMetricsDeps {
  readonly clock: Clock;
  readonly version: string;
  /** The configured profiles; "" is the default chain. */
  readonly profiles: readonly string[];
  readonly state: () => ProxyState;
  /** Undefined without a listener. */
  readonly listener?: (() => ListenerState | undefined) | undefined;
  /** Whether the server is known to have a tool of this name. */
  readonly isTool: (name: string, profile: string) => boolean;
}

/** An error of recent calls, with the advice in its message. */
export interface RecentError {
  /** When it occurred last, in milliseconds since 1970. */
  readonly at: number;
  /** How often it occurred while it is kept. */
  readonly times: number;
  readonly method: string;
  readonly tool: string;
  readonly reason: string;
  readonly message: string;
}

/** The state of a profile's credentials, from events. */
export interface CredentialFacts {
  providerName: string;
  expiresAt: number | undefined;
}

/** Everything that is measured, for a snapshot. */
export interface Measured {
  readonly deps: ProxyMetricsDeps;
  readonly metrics: Metrics;
  readonly history: History;
  readonly startedAt: number;
  readonly credentials: ReadonlyMap<string, CredentialFacts>;
  readonly recentErrors: ReadonlyMap<string, readonly RecentError[]>;
}
