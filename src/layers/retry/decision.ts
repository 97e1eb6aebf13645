import type { ErrorReason } from '../../core/errors/errors.ts';
import { statusClassOf } from '../../core/errors/status-class.ts';
import { isColdStart, meaningOf } from '../../core/pipeline/error-type.ts';
import { type Failure, isThrottled, isTurnedAway } from '../../core/pipeline/failure.ts';
import { isIdempotentMethod } from '../../core/pipeline/idempotent.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import type { ToolAnnotations } from '../../core/tools/catalog.ts';

export interface RetryLimits {
  readonly retries: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /**
   * A throttled request is sent again for as long as its time limit allows, not only `retries`
   * times.
   */
  readonly adaptive: boolean;
}

/** A longer wait is refused: clients give up after 60 s. */
const MAX_RETRY_AFTER_MS = 20_000;
/**
 * Requests at the start are retried this long, whatever --retries says: proxies that start together
 * throttle each other, and a client that gets no tools stays without them.
 */
const START_BUDGET_MS = 20_000;
const START_METHODS: ReadonlySet<string> = new Set(['initialize', 'server/discover', 'tools/list']);
/**
 * The version probe. A client takes any error for "an old server", so temporary ones are retried,
 * except a 500: some old servers answer unknown methods so.
 */
const PROBE = 'server/discover';
/** Minimum wait between start attempts, whatever --retry-base-delay says. */
const MIN_START_DELAY_MS = 250;

/** Limit for retrying throttled requests without a time limit; as the default of --tool-timeout. */
const MAX_THROTTLED_MS = 300_000;
/** Clients give up on these after 30 s and should see the reason first. */
const HANDSHAKE: ReadonlySet<string> = new Set(['initialize', 'server/discover']);

/** The meaning of a failure for a retry. */
export type FailureKind =
  /** No byte was sent. */
  | 'not-sent'
  /** Rejected unread, because there were too many. */
  | 'turned-away'
  /** A gateway got no good answer from the server in time. */
  | 'unavailable'
  /** Sent, but no answer arrived. */
  | 'interrupted'
  /** The server failed. */
  | 'broken'
  /** A retry would fail the same way, or another component handles it. */
  | 'final';

/**
 * The reasons that are worth another attempt. All others are final: session, credential and clock
 * code has handled them where possible, and a retry of the proxy's own limits would only add load.
 */
const KINDS: Partial<Record<ErrorReason | 'answered', FailureKind | 'by status'>> = {
  'connect-failed': 'not-sent',
  'connection-lost': 'interrupted',
  'http-status': 'by status',
  answered: 'by status',
};

export function classifyFailure(failure: Failure): FailureKind {
  const kind = KINDS[failure.how] ?? 'final';
  if (kind !== 'by status') return kind;
  if (isTurnedAway(failure)) return 'turned-away';
  if (isColdStart(failure.status, failure.message)) return 'unavailable';
  const status = statusClassOf(failure.status ?? 0);
  // Throttling was judged above; an unspecified 5xx is shown to the client at once.
  return status === 'unavailable' || status === 'broken' ? status : 'final';
}

export interface FailedAttempt {
  readonly method: string;
  /** The tool's annotations; undefined where unknown. */
  readonly annotations: Pick<ToolAnnotations, 'readOnly' | 'idempotent'> | undefined;
  /**
   * True in the stateless era, where the client re-sends a request whose stream broke, under
   * another id.
   */
  readonly stateless: boolean;
  /** 1 when the first attempt has failed. */
  readonly attempt: number;
  readonly elapsedMs: number;
  /** True where the client has already received a message of this attempt. */
  readonly responded: boolean;
  readonly failure: Failure;
  readonly limits: RetryLimits;
  /** The caller's remaining time in milliseconds. */
  readonly remainingMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export type RetryDecision =
  | { readonly afterMs: number }
  | { readonly giveUp: 'final' | 'may-have-run' | 'asked-to-wait-longer' | 'attempts-spent' | 'out-of-time' };

/** Decides whether and when a failed request is retried. Pure. */
export function decideRetry(failed: FailedAttempt): RetryDecision {
  const { failure, limits, attempt } = failed;
  const kind = classifyFailure(failure);
  if (kind === 'final') return { giveUp: 'final' };
  if (!isSafe(kind, failed)) return { giveUp: 'may-have-run' };
  const asked = failure.retryAfterMs ?? 0;
  if (asked > MAX_RETRY_AFTER_MS) return { giveUp: 'asked-to-wait-longer' };
  const { baseDelayMs, maxDelayMs } = limits;
  // Added to the server's time, because other clients got the same.
  const jitter = fullJitter({ random: () => failed.random }, attempt, baseDelayMs, maxDelayMs);
  const afterMs = Math.round(asked + jitter);
  // The failure is more useful to the caller than an expired deadline.
  if (afterMs >= failed.remainingMs) return { giveUp: 'out-of-time' };
  if (isPaced(failure) && limits.adaptive && limits.retries > 0) {
    const budgetMs = HANDSHAKE.has(failed.method) ? START_BUDGET_MS : MAX_THROTTLED_MS;
    if (failed.elapsedMs + afterMs > budgetMs) return { giveUp: 'attempts-spent' };
    // The learned rate spaces the attempts, so this wait stays short.
    return {
      afterMs: Math.round(asked + fullJitter({ random: () => failed.random }, 1, baseDelayMs, maxDelayMs)),
    };
  }
  if (attempt <= limits.retries) return { afterMs };
  const patient =
    limits.retries > 0 &&
    // The conflicting request is done in a moment.
    (meaningOf(failure.errorType) === 'conflict' || START_METHODS.has(failed.method)) &&
    (kind === 'turned-away' || kind === 'unavailable' || (failed.method === PROBE && kind !== 'broken'));
  const later = Math.max(afterMs, MIN_START_DELAY_MS);
  if (!patient || failed.elapsedMs + later > START_BUDGET_MS) return { giveUp: 'attempts-spent' };
  return { afterMs: later };
}

/**
 * True for rate limits. LimitExceededException may also be a resource limit, which does not pass.
 */
const isPaced = (failure: Failure): boolean =>
  isThrottled(failure) && failure.errorType !== 'LimitExceededException';

/** Decides whether and when a throttled notification or response is retried. Pure. */
export function decideNotificationRetry({
  failure,
  attempt,
  elapsedMs,
  limits,
  random,
}: Pick<FailedAttempt, 'failure' | 'attempt' | 'elapsedMs' | 'limits' | 'random'>): RetryDecision {
  if (limits.retries === 0) return { giveUp: 'final' };
  const asked = failure.retryAfterMs ?? 0;
  if (asked > MAX_RETRY_AFTER_MS) return { giveUp: 'asked-to-wait-longer' };
  const backoff = fullJitter({ random: () => random }, attempt, limits.baseDelayMs, limits.maxDelayMs);
  const afterMs = Math.round(Math.max(asked, MIN_START_DELAY_MS) + backoff);
  return elapsedMs + afterMs > START_BUDGET_MS ? { giveUp: 'attempts-spent' } : { afterMs };
}

/** True where a retry cannot run anything twice, or does no harm. */
function isSafe(kind: FailureKind, { method, annotations, stateless, responded }: FailedAttempt): boolean {
  if (kind === 'not-sent') return true;
  // A server that sent a message has started the request.
  if (responded) return false;
  const harmless =
    isIdempotentMethod(method) ||
    (method === 'tools/call' && (annotations?.readOnly || annotations?.idempotent) === true);
  switch (kind) {
    case 'turned-away':
      return true;
    case 'unavailable':
      return harmless;
    case 'interrupted':
      return harmless && (!stateless || method === PROBE);
    default:
      // A failed tool may have done half of its work, whatever its annotations.
      return isIdempotentMethod(method);
  }
}
