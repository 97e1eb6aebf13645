import { causeText, ProxyError, shuttingDown } from '../core/errors/errors.ts';

/** An estimate: the end of a call cannot be predicted. */
const RETRY_AFTER_MS = 1_000;

const TIMER_DELAY_MS = 500;

export interface PoolState {
  readonly sessions: number;
  readonly maxSessions: number;
  readonly callsPerSession: number;
  /** Other waiting callers. */
  readonly waiting: number;
  readonly waitMs: number;
  /** How long this call has waited. */
  readonly waitedMs: number;
  /** Sessions that are being opened. */
  readonly opening: number;
  /** The limit over all pools, where that is what is full. */
  readonly maxTotalSessions: number | undefined;
  /** Why another could not be opened. */
  readonly failure: unknown;
}

export function noCapacity(at: PoolState): ProxyError {
  const { sessions, maxSessions, callsPerSession, waiting, waitMs, maxTotalSessions, failure, opening } = at;
  // A suspended process waits longer than configured; report the actual time beyond a timer's usual
  // delay.
  const late = at.waitedMs - waitMs > TIMER_DELAY_MS;
  const seconds = late ? Math.ceil(at.waitedMs / 100) / 10 : waitMs / 1_000;
  const limited = Number.isFinite(callsPerSession);
  const calls = limited ? `, each carries --calls-per-session ${callsPerSession}` : '';
  const total = maxTotalSessions === undefined ? '' : `, --max-total-sessions ${maxTotalSessions} is reached`;
  const slow = opening === 0 ? '' : `, ${opening} more ${opening === 1 ? 'is' : 'are'} being opened`;
  const failed = failure === undefined ? '' : `, another could not be opened (${causeText(failure)})`;
  const after = seconds > 0 ? `within ${seconds} s, ` : '';
  const waited =
    waitMs > 0
      ? `within ${seconds} s (--session-wait)`
      : `${after}and --session-wait 0 permits no wait for one in use`;
  return new ProxyError(
    'no-session',
    `No session had room ${waited}: ${sessions} of --max-sessions ${maxSessions} are open${calls}${total}${slow}${failed}, and ${waiting} other calls wait. This call was not sent. Try again, or raise the limit that is reached.`,
    {
      sent: 'no',
      retryAfterMs: RETRY_AFTER_MS,
      details: {
        sessions,
        maxSessions,
        ...(limited ? { callsPerSession } : {}),
        ...(maxTotalSessions === undefined ? {} : { maxTotalSessions }),
        waiting,
        waitSeconds: seconds,
      },
    },
  );
}

/** The session limit is reached, so a client's first session with a profile cannot be opened. */
export function quotaExceeded(maxTotalSessions: number, sessions: number): ProxyError {
  return new ProxyError(
    'no-session',
    `No session can be opened: ${sessions} of --max-total-sessions ${maxTotalSessions} are open, over all profiles and clients. This call was not sent. Raise that limit, or try again when one of them has been closed.`,
    { sent: 'no', retryAfterMs: RETRY_AFTER_MS, details: { sessions, maxTotalSessions } },
  );
}

export function notOpened(maxSessions: number, cause: unknown): ProxyError {
  const retryAfterMs = cause instanceof ProxyError ? cause.retryAfterMs : undefined;
  return new ProxyError(
    'no-session',
    `No session is open, and a new one could not be opened: ${causeText(cause)}. This call was not sent. Try again, or reconnect the MCP server in your client.`,
    {
      sent: 'no',
      retryAfterMs: retryAfterMs ?? RETRY_AFTER_MS,
      details: { sessions: 0, maxSessions },
      cause,
    },
  );
}

/** The errors that callers of a pool get. */
export interface PoolErrors {
  /** The wait of a caller is over. */
  noCapacity(state: PoolState): Error;
  /** Nothing is open, and opening failed. */
  notOpened(maxSessions: number, cause: unknown): Error;
  /** The limit over all pools is reached. */
  quotaExceeded(maxTotalSessions: number, sessions: number): Error;
  /** The pool ends. */
  closing(): Error;
}

/** Errors that name the options of the command line. */
export const PROXY_POOL_ERRORS: PoolErrors = { noCapacity, notOpened, quotaExceeded, closing: shuttingDown };
