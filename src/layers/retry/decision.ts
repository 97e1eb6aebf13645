import type { ErrorReason } from '../../core/errors/errors.ts';
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

/** Longer than this, a caller is better told than kept waiting: clients give up after 60 s. */
const MAX_RETRY_AFTER_MS = 20_000;
/**
 * Several proxies that start together throttle each other, and a client that gets no tools at its
 * start stays without them: these go on for so long, whatever --retries says.
 */
const START_BUDGET_MS = 20_000;
const START_METHODS: ReadonlySet<string> = new Set(['initialize', 'server/discover', 'tools/list']);
/**
 * Asks which revisions the server speaks. A client takes any error for "an old server", and never
 * asks again: what may pass in a moment is waited out. Not a fault of the server itself (500): that
 * is how some old servers meet a method that they do not know, and their clients would wait for it
 * at every start.
 */
const PROBE = 'server/discover';
/**
 * The least wait between those attempts, so that a small --retry-base-delay does not become a
 * flood.
 */
const MIN_START_DELAY_MS = 250;

/**
 * Where a request has no time limit, throttling is ridden out for so long: as long as the default
 * of --tool-timeout.
 */
const MAX_THROTTLED_MS = 300_000;
/** Clients give up on these after 30 s, and should read the reason before that. */
const HANDSHAKE: ReadonlySet<string> = new Set(['initialize', 'server/discover']);

/** What a failure says about the request, as far as sending it again goes. */
export type FailureKind =
  /** Not a byte left. */
  | 'not-sent'
  /** The server, or something before it, turned it away unread: there were too many. */
  | 'turned-away'
  /** Something between here and the server had no good answer from it, or not in time. */
  | 'unavailable'
  /** It left, and no answer came. */
  | 'interrupted'
  /** The server met a fault of its own. */
  | 'broken'
  /** Another attempt would end the same, or mending it is another's work. */
  | 'final';

const KINDS: Readonly<Record<ErrorReason | 'answered', FailureKind | 'by status'>> = {
  'connect-failed': 'not-sent',
  'connection-lost': 'interrupted',
  'http-status': 'by status',
  answered: 'by status',
  // Mended, where that is possible, by those who know the session, the keys and the clock.
  'session-lost': 'final',
  'subscription-lost': 'final',
  'auth-rejected': 'final',
  'no-credentials': 'final',
  'invalid-region': 'final',
  'unusable-answer': 'final',
  redirected: 'final',
  timeout: 'final',
  // Limits of our own: another attempt would only press on them.
  'no-session': 'final',
  'tools-unknown': 'final',
  'tool-refused': 'final',
  'unknown-profile': 'final',
  'unknown-tool': 'final',
  'restart-needed': 'final',
  'not-opened': 'final',
  'client-refused': 'final',
  'header-mismatch': 'final',
  'message-too-large': 'final',
  'listener-full': 'final',
  'rate-limited': 'final',
  'circuit-open': 'final',
  overloaded: 'final',
  'too-many-waiting': 'final',
  'shutting-down': 'final',
  'parse-error': 'final',
  'invalid-request': 'final',
  'line-too-long': 'final',
  internal: 'final',
};

export function classifyFailure(failure: Failure): FailureKind {
  const kind = KINDS[failure.how];
  if (kind !== 'by status') return kind;
  if (isTurnedAway(failure)) return 'turned-away';
  if (isColdStart(failure.status, failure.message)) return 'unavailable';
  switch (failure.status) {
    // By the letter the request did not arrive in time; but some gateways say so of a server that
    // is slow to answer.
    case 408:
    case 502:
    case 503:
    case 504:
      return 'unavailable';
    case 500:
      return 'broken';
    default:
      return 'final';
  }
}

export interface FailedAttempt {
  readonly method: string;
  /** Of the tool, for tools/call; undefined where nothing is known. */
  readonly annotations: Pick<ToolAnnotations, 'readOnly' | 'idempotent'> | undefined;
  /**
   * It claims a revision without sessions, where a request whose stream broke is the client's to
   * send, under another id.
   */
  readonly stateless: boolean;
  /** 1 when the first attempt has failed. */
  readonly attempt: number;
  readonly elapsedMs: number;
  /** The attempt has already brought the client something: progress, a log line, a question. */
  readonly responded: boolean;
  readonly failure: Failure;
  readonly limits: RetryLimits;
  /** What the caller's own time limit leaves, in milliseconds. */
  readonly remainingMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export type RetryDecision =
  | { readonly afterMs: number }
  | { readonly giveUp: 'final' | 'may-have-run' | 'asked-to-wait-longer' | 'attempts-spent' | 'out-of-time' };

/** Whether a failed request is sent again, and when. Pure. */
export function decideRetry(failed: FailedAttempt): RetryDecision {
  const { failure, limits, attempt } = failed;
  const kind = classifyFailure(failure);
  if (kind === 'final') return { giveUp: 'final' };
  if (!isSafe(kind, failed)) return { giveUp: 'may-have-run' };
  const asked = failure.retryAfterMs ?? 0;
  if (asked > MAX_RETRY_AFTER_MS) return { giveUp: 'asked-to-wait-longer' };
  const { baseDelayMs, maxDelayMs } = limits;
  // On top of what the server asked for: others were told the same time.
  const jitter = fullJitter({ random: () => failed.random }, attempt, baseDelayMs, maxDelayMs);
  const afterMs = Math.round(asked + jitter);
  // Why it failed, and when to come again, is worth more to its caller than that the time is over.
  if (afterMs >= failed.remainingMs) return { giveUp: 'out-of-time' };
  if (isPaced(failure) && limits.adaptive && limits.retries > 0) {
    const budgetMs = HANDSHAKE.has(failed.method) ? START_BUDGET_MS : MAX_THROTTLED_MS;
    if (failed.elapsedMs + afterMs > budgetMs) return { giveUp: 'attempts-spent' };
    // The learned rate spaces the attempts, so that the wait before the turn stays short.
    return {
      afterMs: Math.round(asked + fullJitter({ random: () => failed.random }, 1, baseDelayMs, maxDelayMs)),
    };
  }
  if (attempt <= limits.retries) return { afterMs };
  const patient =
    limits.retries > 0 &&
    // Who else uses the resource is done with it in a moment.
    (meaningOf(failure.errorType) === 'conflict' || START_METHODS.has(failed.method)) &&
    (kind === 'turned-away' || kind === 'unavailable' || (failed.method === PROBE && kind !== 'broken'));
  const later = Math.max(afterMs, MIN_START_DELAY_MS);
  if (!patient || failed.elapsedMs + later > START_BUDGET_MS) return { giveUp: 'attempts-spent' };
  return { afterMs: later };
}

/**
 * Rejected for the rate of requests. LimitExceededException may also be a limit on resources, which
 * no waiting lifts.
 */
const isPaced = (failure: Failure): boolean =>
  isThrottled(failure) && failure.errorType !== 'LimitExceededException';

/** Whether a throttled notification or response is sent again, and when. Pure. */
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

/** True where sending it again cannot run anything twice, or where that does no harm. */
function isSafe(kind: FailureKind, { method, annotations, stateless, responded }: FailedAttempt): boolean {
  if (kind === 'not-sent') return true;
  // Who has sent something about a request has begun with it.
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
      // A tool that failed on the server may have done half of its work, whatever it says of
      // itself.
      return isIdempotentMethod(method);
  }
}
