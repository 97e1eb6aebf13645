import { flagOf, integer, type OptionValues, text, timeLimit } from '../../config/option.ts';
import { isDeadlineError, ProxyError, unsentReason } from '../../core/errors/errors.ts';
import { statedVersion, withErrorData } from '../../core/jsonrpc/message.ts';
import {
  type BodySink,
  type Call,
  type Handler,
  type HttpFacts,
  type Layer,
  type Reply,
  tapEmit,
} from '../../core/pipeline/call.ts';
import { addWait } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { type Failure, failureOfError, failureOfReply, isThrottled } from '../../core/pipeline/failure.ts';
import type { PerProfile } from '../../core/pipeline/per-profile.ts';
import { awaitTurn } from '../../core/pipeline/rate-turn.ts';
import { sleep } from '../../core/time/waits.ts';
import type { AdaptiveRate } from './adaptive-rate.ts';
import { classifyFailure, decideNotificationRetry, decideRetry, type RetryLimits } from './decision.ts';
import { type HintDeps, hintsHold, hintsOf } from './hints.ts';

export const retryOptions = {
  retries: integer({
    group: 'Resilience',
    placeholder: 'n',
    min: 0,
    max: 10,
    fallback: 2,
    help: 'maximum number of retries of a request that did not run or is safe to repeat; 0 = none',
  }),
  retryMode: text({
    group: 'Resilience',
    placeholder: 'mode',
    choices: ['adaptive', 'standard'],
    fallback: 'adaptive',
    help: 'adaptive: retry throttled requests within their time limit, at the rate that the server accepts; standard: retry at most --retries times',
  }),
  retryBaseDelay: timeLimit({
    group: 'Resilience',
    fallback: 0.1,
    help: 'longest wait before the first retry; the limit doubles with each retry, and the wait is random up to the limit',
  }),
  retryMaxDelay: timeLimit({
    group: 'Resilience',
    fallback: 2,
    help: 'longest wait before any retry; a Retry-After of up to 20 s from the server is obeyed instead',
  }),
} as const;

/**
 * Returns the problems of the retry options taken together.
 * @param from - the flag or variable that each value came from; absent for defaults.
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
  // Names the given option first, not a default.
  return from.retryMaxDelay === undefined
    ? [`${base} must be a number <= ${max} (${retryMaxDelay}), not "${retryBaseDelay}"`]
    : [`${max} must be a number >= ${base} (${retryBaseDelay}), not "${retryMaxDelay}"`];
}

export interface RetryDeps extends HintDeps {
  readonly options: RetryLimits;
  readonly events: Events;
  /** True in the stack that opens sessions; elsewhere `initialize` passes unretried. */
  readonly opening?: boolean;
  /** The learned rate by profile; undefined in standard mode. */
  readonly rates?: Pick<PerProfile<AdaptiveRate>, 'of'> | undefined;
}

type AttemptOutcome = { readonly reply: Reply } | { readonly error: unknown };

/**
 * Retries requests where that is safe and can help, and throttled notifications and responses,
 * which the server depends on.
 */
export function retry(deps: RetryDeps): Layer {
  const { options, clock, events, opening = false, rates } = deps;
  return (next) =>
    async function retry(call) {
      const { message, signal } = call;
      const rate = rates?.of(call.profile);
      if (message.kind !== 'request') return sendNotification(deps, next, call, rate);
      if (message.method === 'initialize' && !opening) return next(call);
      const started = clock.monotonic();
      let mayHaveRun = false;
      let previous: AttemptOutcome | undefined;
      let throttled = 0;
      let sentAt = started;
      // Pings never wait: clients use them as a health check.
      const paced = message.method === 'ping' ? undefined : rate;
      for (let attempt = 1; ; attempt++) {
        const turn = paced?.take(signal, {
          remainingMs: call.deadline.remainingMs,
          ahead: opening || attempt > 1,
          client: call.client,
        });
        if (turn) {
          const waiting = (): number => paced?.waiting ?? 0;
          const refusal = await awaitTurn(turn, call, { events, clock, by: 'server', waiting }).then(
            () => undefined,
            (error: unknown) => ({ error }),
          );
          if (refusal && signal.aborted) throw mayHaveRun ? signal.reason : unsentReason(signal.reason);
          if (refusal) return unwrap(previous ?? refusal);
        }
        if (turn || attempt > 1) sentAt = clock.monotonic();
        let responded = false;
        const markResponded = (): void => {
          responded = true;
        };
        let outcome: AttemptOutcome;
        try {
          outcome = { reply: await next(tapFirstMessage(markResponded, call)) };
        } catch (error) {
          outcome = { error };
        }
        const failure =
          'reply' in outcome ? failureOfReply(outcome.reply, clock.now()) : failureOfError(outcome.error);
        if (paced) reportToRate(paced, outcome, failure, sentAt);
        if (failure && isThrottled(failure)) {
          const { method } = message;
          const { retryAfterMs } = failure;
          events.emit({ type: 'server.throttled', profile: call.profile, method, retryAfterMs });
        }
        // A request that an earlier attempt may have run must not be reported as unsent.
        if (signal.aborted && 'error' in outcome) {
          const { error } = outcome;
          const hidesRun = mayHaveRun && !(error instanceof ProxyError && error.sent === 'maybe');
          throw afterFailure(hidesRun ? signal.reason : error, previous);
        }
        if (signal.aborted && mayHaveRun) throw signal.reason;
        if (!failure || signal.aborted) return unwrap(outcome);
        // The earlier failure is more useful than the open breaker.
        if (failure.how === 'circuit-open' && previous) return unwrap(previous);
        const kind = classifyFailure(failure);
        const decision = decideRetry({
          method: message.method,
          annotations: await hintsOf(kind, message, call, deps),
          stateless: statedVersion(message) !== undefined,
          attempt: attempt - throttled,
          elapsedMs: clock.monotonic() - started,
          responded,
          failure,
          limits: options,
          remainingMs: call.deadline.remainingMs,
          random: clock.random(),
        });
        const last = describeLast(outcome, failure, {
          attempt,
          beyond: attempt > options.retries + 1,
          mayHaveRun,
        });
        if ('giveUp' in decision) return unwrap(last);
        previous = last;
        if (isThrottled(failure) && options.adaptive) throttled++;
        mayHaveRun ||= kind !== 'not-sent' && kind !== 'turned-away';
        const { afterMs } = decision;
        const { method, id } = message;
        events.emit({
          type: 'call.retried',
          profile: call.profile,
          call: call.record?.number,
          method,
          id: String(id),
          attempt,
          afterMs,
          reason: kind,
        });
        const slept = sleep(clock, afterMs, signal);
        await addWait(call.record, 'backoffMs', clock, slept).catch((reason: unknown) => {
          throw afterFailure(mayHaveRun ? reason : unsentReason(reason, 'it waited to be sent again'), last);
        });
        const holds = await hintsHold(kind, message, call, deps);
        if (signal.aborted) throw afterFailure(signal.reason, last);
        if (!holds) return unwrap(last);
      }
    };
}

/** Reports each attempt to the learned rate. */
function reportToRate(
  rate: AdaptiveRate,
  outcome: AttemptOutcome,
  failure: Failure | undefined,
  sentAt: number,
): void {
  if (failure && isThrottled(failure)) rate.throttled(sentAt, failure.retryAfterMs);
  else if ('reply' in outcome) rate.accepted(sentAt);
}

/**
 * Sends a notification or response, and retries it where throttled. It waits for no turn: calls in
 * flight depend on it.
 */
async function sendNotification(
  { options, clock }: RetryDeps,
  next: Handler,
  call: Call,
  rate: AdaptiveRate | undefined,
): Promise<Reply> {
  const started = clock.monotonic();
  for (let attempt = 1; ; attempt++) {
    const sentAt = attempt === 1 ? started : clock.monotonic();
    rate?.spend();
    let outcome: AttemptOutcome;
    try {
      outcome = { reply: await next(call) };
    } catch (error) {
      outcome = { error };
    }
    const failure =
      'reply' in outcome ? failureOfReply(outcome.reply, clock.now()) : failureOfError(outcome.error);
    if (!failure || !isThrottled(failure) || call.signal.aborted) return unwrap(outcome);
    rate?.throttled(sentAt, failure.retryAfterMs);
    const elapsedMs = clock.monotonic() - started;
    const decision = decideNotificationRetry({
      failure,
      attempt,
      elapsedMs,
      limits: options,
      random: clock.random(),
    });
    if ('giveUp' in decision) return unwrap(outcome);
    await sleep(clock, decision.afterMs, call.signal);
  }
}

/** The call with a callback for the first message or byte that its client receives. */
function tapFirstMessage(markResponded: () => void, call: Call): Call {
  const pass = call.httpContext?.pass;
  const responded =
    pass &&
    ((head: HttpFacts, isPlain?: boolean): BodySink | undefined => {
      const sink = pass(head, isPlain);
      if (sink) markResponded();
      return sink;
    });
  return tapEmit(call, markResponded, responded);
}

/** Adds the earlier failure to an expired deadline: it is the likelier cause. */
function afterFailure(reason: unknown, previous: AttemptOutcome | undefined): unknown {
  const failure =
    previous && ('reply' in previous ? failureOfReply(previous.reply, 0) : failureOfError(previous.error));
  return isDeadlineError(reason) && failure
    ? reason.with(`An earlier attempt failed: ${asSentence(failure.message)}`)
    : reason;
}

function unwrap(outcome: AttemptOutcome): Reply {
  if ('error' in outcome) throw outcome.error;
  return outcome.reply;
}

/** The final failure with the number of attempts and whether any may have run. */
function describeLast(
  outcome: AttemptOutcome,
  { retryAfterMs }: Failure,
  { attempt: attempts, beyond, mayHaveRun }: { attempt: number; beyond: boolean; mayHaveRun: boolean },
): AttemptOutcome {
  if ('reply' in outcome) {
    const { reply } = outcome;
    if (retryAfterMs === undefined || reply.kind !== 'answer') return outcome;
    // The client sees no header, so the error data contains it.
    return { reply: { ...reply, message: withErrorData(reply.message, { retryAfterMs }) } };
  }
  const { error } = outcome;
  if (attempts === 1 || !(error instanceof ProxyError)) return outcome;
  const earlier = mayHaveRun && error.sent !== 'maybe';
  // Explains attempts beyond --retries.
  const why = beyond ? ' (the requests of a start are repeated for 20 s, beyond --retries)' : '';
  const tried = `It was tried ${attempts} times${why}`;
  return {
    error: new ProxyError(
      error.reason,
      `${asSentence(error.message)} ${tried}${earlier ? ', and an earlier attempt may have run' : ''}.`,
      {
        sent: mayHaveRun ? 'maybe' : error.sent,
        fact: `${asSentence(error.fact)} ${tried}`,
        details: { ...error.details, attempts },
        cause: error,
        retryAfterMs: error.retryAfterMs,
      },
    ),
  };
}

const asSentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
