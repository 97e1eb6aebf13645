/** One session of a client. Times are in seconds. */
export interface SessionState {
  /** A hash of its id, as in events. */
  readonly session: string;
  /** The client that the session belongs to. */
  readonly client: string;
  /** `active` while at least one call is in flight on it. */
  readonly state: 'active' | 'idle';
  /** Since it was opened. */
  readonly ageS: number;
  /** Since the end of its last call; 0 while it is active. */
  readonly idleS: number;
  /** Tool calls that the session pool gave it; 0 without a pool. */
  readonly borrowCount: number;
  /** True for the session that carries everything except spread tool calls. */
  readonly primary: boolean;
}

/** The connections of one kind at this moment. */
export interface ConnectionState {
  /** `request`, `control` (messages that never wait behind requests) or `stream`. */
  readonly lane: string;
  /** Connections that carry a request. */
  readonly used: number;
  /** Connections that are kept for the next request. */
  readonly idle: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
}

/** The state of one profile at this moment. */
export interface ProfileState {
  /** "" is the default chain. */
  readonly profile: string;
  /** Connections by lane; empty before the first request. */
  readonly connections: readonly ConnectionState[];
  /** The open sessions of all clients. */
  readonly sessions: readonly SessionState[];
  /** The circuit breaker of opening sessions, with the last failure. */
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

/** A user of an identity map at this moment. */
export interface UserState {
  /** The name of its token, or `user:` and its subject. */
  readonly name: string;
  /** The name of its rule. */
  readonly rule: string;
  /** The AWS account that signs its requests; undefined before the first one. */
  readonly account: string | undefined;
  /** The role that signs its requests; undefined before the first one, and for a user. */
  readonly role: string | undefined;
  /** Requests that are being served. */
  readonly requests: number;
  /** Open connections to the server. */
  readonly connections: number;
  /** The circuit breaker of opening sessions. */
  readonly breaker: 'closed' | 'open' | 'half-open';
}

/** The state of the proxy at this moment. */
export interface ProxyState {
  /** The URL of the server, without secrets. */
  readonly endpoint: string;
  /** The service of the signature; empty where nothing is signed. */
  readonly service: string;
  /** The region of the signature; empty where nothing is signed. */
  readonly region: string;
  /**
   * Whether --limits is in use: `shared` through Redis, or `local` to this process because Redis
   * cannot be used. Undefined without --limits and before the first call.
   */
  readonly limits: 'shared' | 'local' | undefined;
  /** One entry for each configured profile. */
  readonly profiles: readonly ProfileState[];
  /**
   * The users of an identity map that are served, the latest first, at most 100; undefined without
   * a map.
   */
  readonly users?: readonly UserState[] | undefined;
  /** Their number. */
  readonly userCount?: number | undefined;
}

/** The state of the listener at this moment. */
export interface ListenerState {
  /** Its URL. */
  readonly url: string;
  /** Open connections of clients. */
  readonly connections: number;
  /** Requests that are being served. */
  readonly requests: number;
  /** Open streams. */
  readonly streams: number;
}
