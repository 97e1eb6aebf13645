import { causeText } from '../../core/errors/errors.ts';
import { toSeconds } from '../../core/time/clock.ts';
import type { PoolErrors, PoolState } from '../../pool/errors.ts';
import { connectFailed, SessionPoolError, shuttingDown } from './errors.ts';

/** An estimate: the end of a lease cannot be predicted. */
const RETRY_AFTER_MS = 1_000;

function exhausted(state: PoolState): SessionPoolError {
  const { sessions, maxSessions, waiting, waitMs, waitedMs, maxTotalSessions, failure, opening } = state;
  const seconds = waitMs > 0 ? waitMs / 1_000 : toSeconds(waitedMs);
  const total = maxTotalSessions === undefined ? '' : `, maxTotalSessions ${maxTotalSessions} is reached`;
  const slow = opening === 0 ? '' : `, ${opening} more ${opening === 1 ? 'is' : 'are'} being opened`;
  const failed = failure === undefined ? '' : `, another could not be opened (${causeText(failure)})`;
  return new SessionPoolError(
    'exhausted',
    maxTotalSessions === undefined ? 'maxSessions' : 'maxTotalSessions',
    `No session was free within ${seconds} s (borrowTimeout): ${sessions} of maxSessions ${maxSessions} are open${total}${slow}${failed}, and ${waiting} other callers wait.`,
    { retryAfterMs: RETRY_AFTER_MS, cause: failure },
  );
}

/** The errors of the engine, in the names of a session pool. */
export const SESSION_POOL_ERRORS: PoolErrors = {
  noCapacity: exhausted,
  notOpened: (_max, cause) => (cause instanceof SessionPoolError ? cause : connectFailed(cause)),
  quotaExceeded: (max, used) =>
    new SessionPoolError(
      'limit-reached',
      'maxTotalSessions',
      `No session can be opened: ${used} of maxTotalSessions ${max} are open.`,
      { retryAfterMs: RETRY_AFTER_MS },
    ),
  closing: shuttingDown,
};
