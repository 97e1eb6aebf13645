import { flagOf, integer, type OptionValues, text, timeLimit } from '../../config/option.ts';
import type { Call, Handler, Layer, Reply } from '../../core/pipeline/call.ts';
import { failureOfError, failureOfReply, isThrottled } from '../../core/pipeline/failure.ts';
import { sleep } from '../../core/time/waits.ts';
import type { AdaptiveRate } from './adaptive-rate.ts';
import { decideNotificationRetry } from './decision.ts';
import { type AttemptOutcome, RetriedCall, type RetryDeps, unwrap } from './retried-call.ts';

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

/**
 * Retries requests where that is safe and can help, and throttled notifications and responses,
 * which the server depends on.
 */
export function retry(deps: RetryDeps): Layer {
  const { opening = false, rates } = deps;
  return (next) =>
    function retry(call) {
      const { message } = call;
      const rate = rates?.of(call.profile);
      if (message.kind !== 'request') return sendNotification(deps, next, call, rate);
      if (message.method === 'initialize' && !opening) return next(call);
      // Pings never wait: clients use them as a health check.
      const paced = message.method === 'ping' ? undefined : rate;
      return new RetriedCall(deps, next, call, message, paced).send();
    };
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
