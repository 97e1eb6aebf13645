/** One session of a client. Times are in seconds. */
export interface SessionState {
  /** A hash of its id, as in events. */
  readonly session: string;
  readonly client: string;
  /** `active` while at least one call is in flight on it. */
  readonly state: 'active' | 'idle';
  readonly ageS: number;
  readonly idleS: number;
  /** Tool calls that the session pool gave it; 0 without a pool. */
  readonly borrowCount: number;
  /** True for the session that carries everything except spread tool calls. */
  readonly primary: boolean;
}

export interface ConnectionState {
  readonly lane: string;
  readonly used: number;
  readonly idle: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
}

/** The state of one profile at this moment. */
export interface ProfileState {
  /** "" is the default chain. */
  readonly profile: string;
  readonly connections: readonly ConnectionState[];
  readonly sessions: readonly SessionState[];
  readonly breaker: {
    readonly state: 'closed' | 'open' | 'half-open';
    readonly failures: number;
    readonly cause: string | undefined;
  };
  /** Undefined without --max-concurrent. */
  readonly backpressure:
    | { readonly active: number; readonly queued: number; readonly totalRejected: number }
    | undefined;
  /** Calls that wait for their turn under --rate-limit or the rate that the server accepts. */
  readonly rateWaiting: number;
  /** Requests per second that the server accepts, once it has throttled. */
  readonly learnedRate: number | undefined;
}

/** The state of the proxy at this moment. */
export interface ProxyState {
  readonly endpoint: string;
  readonly service: string;
  readonly region: string;
  readonly profiles: readonly ProfileState[];
}

/** The state of the listener at this moment. */
export interface ListenerState {
  readonly url: string;
  readonly connections: number;
  readonly requests: number;
  readonly streams: number;
}
