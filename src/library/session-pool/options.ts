import type { Clock } from '../../core/time/clock.ts';
import type { McpProxy } from '../../proxy.ts';
import type { CreateProxyOptions } from '../create-proxy.ts';
import type { SessionPoolHooks } from './hooks.ts';
import type { IdentityOptions } from './identity.ts';
import type { PoolClient, PoolTransport, TransportContext } from './session.ts';

/** Limits the borrows per second, over all keys of the pool. */
export interface PoolRateLimit {
  /** Borrows per second, above 0. */
  readonly requestsPerSecond: number;
  /** Borrows at once after a pause. Default: those of one second, at least 1. */
  readonly burst?: number | undefined;
}

/** Limits the sessions that one tenant has borrowed. */
export interface TenantLimit {
  /** The maximum number of sessions of one tenant at once, from 1. Default: 5. */
  readonly maxConcurrent?: number | undefined;
  /** The header of a borrow that names its tenant, if `tenant` is not given. */
  readonly header?: string | undefined;
}

/** Changes the minimum number of sessions with the load. */
export interface AutoscaleOptions {
  /** Scale up when the average wait for a session is longer, in seconds. Default: 0.05. */
  readonly scaleUpThreshold?: number | undefined;
  /** Scale down when a session was idle for so long, in seconds. Default: 120. */
  readonly scaleDownIdle?: number | undefined;
  /** The least time between two changes, in seconds. Default: 30. */
  readonly cooldown?: number | undefined;
  /** The time between two decisions, in seconds. Default: 10. */
  readonly checkInterval?: number | undefined;
  /** Sessions per change. Default: 2. */
  readonly step?: number | undefined;
}

/** A bearer token, or headers, for one request. */
export type PoolAuth = string | Readonly<Record<string, string>>;

/** The options of a `SessionPool`. All times are in seconds. */
export interface SessionPoolOptions<C extends PoolClient = PoolClient> {
  /** The URL of the MCP server, or the ARN of an AgentCore runtime or gateway. */
  readonly endpoint?: string | URL | undefined;
  /**
   * The proxy that signs, or its options, such as `region`. Without effect where `auth` is given.
   */
  readonly proxy?: McpProxy | Omit<CreateProxyOptions, 'endpoint'> | undefined;
  /**
   * A bearer token, or a function that returns a token or headers for each request, in place of
   * SigV4.
   */
  readonly auth?:
    | string
    | ((request: { readonly endpoint: string }) => PoolAuth | Promise<PoolAuth>)
    | undefined;
  /** Headers of every request. Those of a borrow take precedence. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Creates the transport of a session. Default: `SigV4ClientTransport`. */
  readonly transportFactory?:
    | ((context: TransportContext) => PoolTransport | Promise<PoolTransport>)
    | undefined;
  /** Creates the client of a session. Default: the `Client` of the MCP SDK that is installed. */
  readonly clientFactory?: (() => C | Promise<C>) | undefined;
  /** Called with each new session before its first borrow. It fails the session where it throws. */
  readonly warmupHook?: ((client: C, signal: AbortSignal) => unknown) | undefined;
  /** Sessions of the key without an identity that are kept open. Default: 2. */
  readonly minSessions?: number | undefined;
  /** The maximum number of sessions of each key. Default: 10. */
  readonly maxSessions?: number | undefined;
  /** The maximum number of sessions of all keys. Default: 100, or `maxSessions` if that is more. */
  readonly maxTotalSessions?: number | undefined;
  /** The maximum number of keys. Default: 100. */
  readonly maxKeys?: number | undefined;
  /** The time after which an unused key is removed with its sessions; 0 = never. Default: 600. */
  readonly keyIdle?: number | undefined;
  /** The longest wait for a session; 0 = only for one that is opened. Default: `connectTimeout`. */
  readonly borrowTimeout?: number | undefined;
  /** The time limit of each attempt to open a session. Default: 10. */
  readonly connectTimeout?: number | undefined;
  /** How long `shutdown` waits for borrowed sessions. Default: 30. */
  readonly drainTimeout?: number | undefined;
  /**
   * The age at which a session is no longer borrowed, and is closed; 0 = no limit. Default: 3600.
   */
  readonly sessionLifetime?: number | undefined;
  /** The time before the end of the lifetime over which sessions are replaced. Default: 30. */
  readonly sessionRecycleWindow?: number | undefined;
  /**
   * The time after which an unused session above the minimum is closed; 0 = never. Default: 600.
   */
  readonly sessionIdle?: number | undefined;
  /** The time after which an unused session is probed; 0 = never. Default: 30. */
  readonly healthInterval?: number | undefined;
  /** The methods of a probe, in order. Default: ping, tools/list, skip. */
  readonly healthCheck?: readonly string[] | undefined;
  /** The time limit of each method of a probe. Default: 5. */
  readonly healthTimeout?: number | undefined;
  /** Probes a session in place of `healthCheck`; false = unhealthy. */
  readonly healthProbe?: ((client: C, signal: AbortSignal) => boolean | Promise<boolean>) | undefined;
  /** Further attempts to open a session. Default: 2. */
  readonly retryCount?: number | undefined;
  /** The longest wait before the first further attempt; it doubles each time. Default: 0.1. */
  readonly retryBaseDelay?: number | undefined;
  /** The longest wait before any further attempt. Default: 2. */
  readonly retryMaxDelay?: number | undefined;
  /** Failures in a row to open sessions of a key that open its circuit breaker. Default: 5. */
  readonly breakerThreshold?: number | undefined;
  /** How long the circuit breaker stays open before one attempt decides. Default: 30. */
  readonly breakerReset?: number | undefined;
  /** How long a list of tools is kept; 0 = never. Default: 300. */
  readonly toolCacheTtl?: number | undefined;
  /** Report `isDegraded` while fewer sessions than `minSessions` can be opened. Default: false. */
  readonly gracefulDegradation?: boolean | undefined;
  /** Limits the borrows per second. */
  readonly rateLimit?: PoolRateLimit | undefined;
  /** Limits the sessions of each tenant. */
  readonly tenantLimit?: TenantLimit | undefined;
  /** Changes `minSessions` with the load. */
  readonly autoscale?: AutoscaleOptions | undefined;
  /** Which headers separate the sessions of callers. */
  readonly identity?: IdentityOptions | undefined;
  /** Functions to call when something happens. */
  readonly hooks?: SessionPoolHooks | undefined;
  /** Default: the system clock. */
  readonly clock?: Clock | undefined;
}
