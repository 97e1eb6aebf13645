import { causeText } from '../../core/errors/errors.ts';

/** Why a session pool refused or failed. */
export type SessionPoolReason =
  /** `start` has not been called. */
  | 'not-started'
  /** `shutdown` has been called. */
  | 'shutting-down'
  /** No session became free in time. */
  | 'exhausted'
  /** The maximum number of keys or sessions is in use. */
  | 'limit-reached'
  /** The tenant has borrowed its maximum number of sessions. */
  | 'tenant-limit'
  /** The rate limit would delay the borrow for too long. */
  | 'rate-limited'
  /** A session could not be opened. */
  | 'connect-failed'
  /** Opening sessions failed too often, so no attempt is made. */
  | 'circuit-open'
  /** The lease was returned before, or its session was closed by `shutdown`. */
  | 'returned'
  /** An argument of a call is invalid. */
  | 'invalid-argument'
  /** A function that the program provided threw, or returned something unusable. */
  | 'callback-failed'
  /** A package that the pool needs is missing, or has another major version. */
  | 'missing-peer';

/** The facts of an error besides its reason, its field and its message. */
export interface SessionPoolFacts {
  /** Milliseconds after which a retry can succeed. */
  readonly retryAfterMs?: number | undefined;
  /** The cause. */
  readonly cause?: unknown;
}

/** An error of `SessionPool` or `PoolManager`. Match `reason`, not the text. */
export class SessionPoolError extends Error {
  override readonly name = 'SessionPoolError';
  /** Identifies the error. */
  readonly reason: SessionPoolReason;
  /** The option, argument or method that it is about. */
  readonly field: string;
  /** Milliseconds after which a retry can succeed; undefined if unknown. */
  readonly retryAfterMs: number | undefined;

  /** @param message - what happened and what to do. */
  constructor(
    reason: SessionPoolReason,
    field: string,
    message: string,
    { retryAfterMs, cause }: SessionPoolFacts = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }
}

export const notStarted = (): SessionPoolError =>
  new SessionPoolError('not-started', 'start', 'The session pool has not been started: call start() first.');

export const shuttingDown = (): SessionPoolError =>
  new SessionPoolError('shutting-down', 'shutdown', 'The session pool is shutting down.');

export const connectFailed = (cause: unknown): SessionPoolError =>
  new SessionPoolError('connect-failed', 'endpoint', `Failed to create session: ${causeText(cause)}`, {
    cause,
  });

/** A function of the program failed. @param how - what it did, as a predicate. */
export const callbackFailed = (field: string, how: string, cause?: unknown): SessionPoolError =>
  new SessionPoolError('callback-failed', field, `${field} ${how}`, { cause });
