import { fullJitter } from '../core/backoff.ts';
import type { BodySink, Call, Emit, Handler, HttpFacts, Layer, Reply } from '../core/call.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { type ErrorReason, ProxyError, unsentReason } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import { type Failure, failureOfError, failureOfReply, isThrottled } from '../core/failure.ts';
import { claimOf, paramsOf, type Request, withErrorData } from '../core/message.ts';
import { flagOf, integer, type OptionValues, timeLimit } from '../core/options.ts';
import { isRepeatableMethod } from '../core/repeatable.ts';
import type { ToolAnnotations, Tools } from '../core/tools.ts';

export const retryOptions = {
  retries: integer({
    group: 'Resilience',
    placeholder: 'n',
    min: 0,
    max: 10,
    fallback: 2,
    help: 'repeats of a request that did not run, or may run twice without harm; 0 = none',
  }),
  retryBaseDelay: timeLimit({
    group: 'Resilience',
    fallback: 0.1,
    help: 'longest wait before the first repeat; doubles with each, and a random part of it is waited',
  }),
  retryMaxDelay: timeLimit({
    group: 'Resilience',
    fallback: 2,
    help: "longest wait before any repeat; a server's Retry-After of up to 20 s is obeyed instead",
  }),
} as const;

/**
 * What no option can say alone.
 * @param from - the flag or variable that each value came from; absent where the default stands.
 */
export function retryProblems(
  {
    retryBaseDelay,
    retryMaxDelay,
  }: Pick<OptionValues<typeof retryOptions>, 'retryBaseDelay' | 'retryMaxDelay'>,
  from: Readonly<Record<string, string>>,
): string[] {
  if (retryMaxDelay >= retryBaseDelay) return [];
  const base = from.retryBaseDelay ?? flagOf('retryBaseDelay');
  const max = from.retryMaxDelay ?? flagOf('retryMaxDelay');
  // Named first is what was given: nobody is told to mend a default.
  return from.retryMaxDelay === undefined
    ? [`${base} must be a number <= ${max} (${retryMaxDelay}), not "${retryBaseDelay}"`]
    : [`${max} must be a number >= ${base} (${retryBaseDelay}), not "${retryMaxDelay}"`];
}

export interface RetryLimits {
  readonly retries: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/** Longer than this, a caller is better told than kept waiting: clients give up after 60 s. */
const LONGEST_RETRY_AFTER_MS = 20_000;
/**
 * Several proxies that start together throttle each other, and a client that gets no tools at its start stays without them: these go
 * on for so long, whatever --retries says.
 */
const START_BUDGET_MS = 20_000;
const START_METHODS: ReadonlySet<string> = new Set(['initialize', 'server/discover', 'tools/list']);
/**
 * Asks which revisions the server speaks. A client takes any error for "an old server", and never asks again: what may pass in a
 * moment is waited out. Not a fault of the server itself (500): that is how some old servers meet a method that they do not know, and
 * their clients would wait for it at every start.
 */
const PROBE = 'server/discover';
/** The least wait between those attempts, so that a small --retry-base-delay does not become a flood. */
const START_LEAST_DELAY_MS = 250;

/** What a failure says about the request, as far as sending it again goes. */
export type FailureKind =
  /** Not a byte left. */
  | 'not-sent'
  /** The server, or something before it, turned it away unread: too many, or it took too long to arrive. */
  | 'turned-away'
  /** Something between here and the server had no good answer from it. */
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

export function kindOf(failure: Failure): FailureKind {
  const kind = KINDS[failure.how];
  if (kind !== 'by status') return kind;
  if (isThrottled(failure)) return 'turned-away';
  switch (failure.status) {
    case 408:
      return 'turned-away';
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
  /** It claims a revision without sessions, where a request whose stream broke is the client's to send, under another id. */
  readonly claims: boolean;
  /** 1 when the first attempt has failed. */
  readonly attempt: number;
  readonly elapsedMs: number;
  /** The attempt has already brought the client something: progress, a log line, a question. */
  readonly heard: boolean;
  readonly failure: Failure;
  readonly limits: RetryLimits;
  /** What the caller's own time limit leaves, in milliseconds. */
  readonly leftMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export type RetryDecision =
  | { readonly afterMs: number }
  | { readonly giveUp: 'final' | 'may-have-run' | 'asked-to-wait-longer' | 'attempts-spent' | 'out-of-time' };

/** Whether a failed request is sent again, and when. Pure. */
export function decideRetry(failed: FailedAttempt): RetryDecision {
  const { failure, limits, attempt } = failed;
  const kind = kindOf(failure);
  if (kind === 'final') return { giveUp: 'final' };
  if (!isSafe(kind, failed)) return { giveUp: 'may-have-run' };
  const asked = failure.retryAfterMs ?? 0;
  if (asked > LONGEST_RETRY_AFTER_MS) return { giveUp: 'asked-to-wait-longer' };
  const { baseDelayMs, maxDelayMs } = limits;
  // On top of what the server asked for: others were told the same time.
  const jitter = fullJitter({ random: () => failed.random }, attempt, baseDelayMs, maxDelayMs);
  const afterMs = Math.round(asked + jitter);
  // Why it failed, and when to come again, is worth more to its caller than that the time is over.
  if (afterMs >= failed.leftMs) return { giveUp: 'out-of-time' };
  if (attempt <= limits.retries) return { afterMs };
  const patient =
    limits.retries > 0 &&
    START_METHODS.has(failed.method) &&
    (kind === 'turned-away' || kind === 'unavailable' || (failed.method === PROBE && kind !== 'broken'));
  const later = Math.max(afterMs, START_LEAST_DELAY_MS);
  if (!patient || failed.elapsedMs + later > START_BUDGET_MS) return { giveUp: 'attempts-spent' };
  return { afterMs: later };
}

/** True where sending it again cannot run anything twice, or where that does no harm. */
function isSafe(kind: FailureKind, { method, annotations, claims, heard }: FailedAttempt): boolean {
  if (kind === 'not-sent') return true;
  // Who has sent something about a request has begun with it.
  if (heard) return false;
  const harmless =
    isRepeatableMethod(method) ||
    (method === 'tools/call' && (annotations?.readOnly || annotations?.idempotent) === true);
  switch (kind) {
    case 'turned-away':
      return true;
    case 'unavailable':
      return harmless;
    case 'interrupted':
      return harmless && (!claims || method === PROBE);
    default:
      // A tool that failed on the server may have done half of its work, whatever it says of itself.
      return isRepeatableMethod(method);
  }
}

export interface RetryDeps {
  readonly options: RetryLimits;
  readonly clock: Clock;
  readonly events: Events;
  /** What is known of the tools that this call may name; asked only when it matters. */
  readonly toolsOf: (call: Call) => Pick<Tools, 'annotationsOf'> | Promise<Pick<Tools, 'annotationsOf'>>;
  /** True in the stack that opens sessions; elsewhere `initialize` passes, because that stack repeats it. */
  readonly opening?: boolean;
}

type Outcome = { readonly reply: Reply } | { readonly error: unknown };

/** Sends a request again where that is safe and can help. Notifications and responses pass: nobody waits for them. */
export function retry(deps: RetryDeps): Layer {
  const { options, clock, events, opening = false } = deps;
  return (next) =>
    async function retry(call) {
      const { message, signal } = call;
      if (message.kind !== 'request' || (message.method === 'initialize' && !opening)) return next(call);
      const started = clock.monotonic();
      let mayHaveRun = false;
      let previous: Outcome | undefined;
      for (let attempt = 1; ; attempt++) {
        let heard = false;
        const hear = (): void => {
          heard = true;
        };
        const outcome = await attemptOf(next, heardBy(hear, call));
        const failure =
          'reply' in outcome ? failureOfReply(outcome.reply, clock.now()) : failureOfError(outcome.error);
        // Of a request that an earlier attempt may have run, nobody may say that it was not sent.
        if (signal.aborted && mayHaveRun) throw signal.reason;
        if (!failure || signal.aborted) return settled(outcome);
        // The breaker has had enough of what came before: that is what the caller wants to hear.
        if (failure.how === 'circuit-open' && previous) return settled(previous);
        const kind = kindOf(failure);
        const decision = decideRetry({
          method: message.method,
          annotations: await annotationsOf(kind, message, () => deps.toolsOf(call)),
          claims: claimOf(message) !== undefined,
          attempt,
          elapsedMs: clock.monotonic() - started,
          heard,
          failure,
          limits: options,
          leftMs: call.deadline.left,
          random: clock.random(),
        });
        const last = lastOf(outcome, failure, attempt, mayHaveRun);
        if ('giveUp' in decision) return settled(last);
        previous = last;
        mayHaveRun ||= kind !== 'not-sent' && kind !== 'turned-away';
        const { afterMs } = decision;
        const { method, id } = message;
        events.emit({ type: 'call.retried', method, id: String(id), attempt, afterMs, reason: kind });
        await sleep(clock, afterMs, signal).catch((reason: unknown) => {
          throw mayHaveRun ? reason : unsentReason(reason);
        });
      }
    };
}

/** The same call, with word of the first that its client gets to see of an answer. */
function heardBy(hear: () => void, call: Call): Call {
  const emit: Emit = (below, origin) => {
    hear();
    return call.emit(below, origin);
  };
  const { passage } = call;
  const pass = passage?.pass;
  if (!pass) return { ...call, emit };
  const heard = (head: HttpFacts): BodySink => {
    hear();
    return pass(head);
  };
  return { ...call, emit, passage: { ...passage, pass: heard } };
}

async function attemptOf(next: Handler, call: Call): Promise<Outcome> {
  try {
    return { reply: await next(call) };
  } catch (error) {
    return { error };
  }
}

function settled(outcome: Outcome): Reply {
  if ('error' in outcome) throw outcome.error;
  return outcome.reply;
}

async function annotationsOf(
  kind: FailureKind,
  request: Request,
  tools: () => ReturnType<RetryDeps['toolsOf']>,
): Promise<ToolAnnotations | undefined> {
  if (request.method !== 'tools/call' || (kind !== 'unavailable' && kind !== 'interrupted')) return undefined;
  const { name } = paramsOf(request);
  if (typeof name !== 'string') return undefined;
  try {
    return (await tools()).annotationsOf(name);
  } catch {
    // Who cannot say what a tool is must not hide why its call failed.
    return undefined;
  }
}

/** The last failure, as the caller shall see it: with how often it was tried, and the truth about all attempts. */
function lastOf(outcome: Outcome, { retryAfterMs }: Failure, attempts: number, mayHaveRun: boolean): Outcome {
  if ('reply' in outcome) {
    const { reply } = outcome;
    if (retryAfterMs === undefined || reply.kind !== 'answer') return outcome;
    // The header that said so ends here; the one who has to wait reads the error.
    return { reply: { ...reply, message: withErrorData(reply.message, { retryAfterMs }) } };
  }
  const { error } = outcome;
  if (attempts === 1 || !(error instanceof ProxyError)) return outcome;
  const earlier = mayHaveRun && error.sent !== 'maybe';
  return {
    error: new ProxyError(
      error.reason,
      `${error.message}${/[.!?]$/.test(error.message) ? '' : '.'} It was tried ${attempts} times${earlier ? ', and an earlier attempt may have run' : ''}.`,
      {
        sent: mayHaveRun ? 'maybe' : error.sent,
        details: { ...error.details, attempts },
        cause: error,
        ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      },
    ),
  };
}
