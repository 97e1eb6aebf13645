import { isDeadlineError, ProxyError, unsentReason } from '../../core/errors/errors.ts';
import { type Request, statedVersion, withErrorData } from '../../core/jsonrpc/message.ts';
import { type Call, type Handler, type Pass, type Reply, withEmit } from '../../core/pipeline/call.ts';
import { addWait } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { type Failure, failureOfError, failureOfReply, isThrottled } from '../../core/pipeline/failure.ts';
import type { PerProfile } from '../../core/pipeline/per-profile.ts';
import { awaitTurn } from '../../core/pipeline/rate-turn.ts';
import { sleep } from '../../core/time/waits.ts';
import type { AdaptiveRate } from './adaptive-rate.ts';
import { classifyFailure, decideRetry, type RetryLimits } from './decision.ts';
import { type HintDeps, hintsHold, hintsOf } from './hints.ts';

export interface RetryDeps extends HintDeps {
  readonly options: RetryLimits;
  readonly events: Events;
  /** True in the stack that opens sessions; elsewhere `initialize` passes unretried. */
  readonly opening?: boolean;
  /** The learned rate by profile; undefined in standard mode. */
  readonly rates?: Pick<PerProfile<AdaptiveRate>, 'of'> | undefined;
}

export type AttemptOutcome = { readonly reply: Reply } | { readonly error: unknown };

/** One request with its attempts. */
export class RetriedCall {
  readonly #deps: RetryDeps;
  readonly #next: Handler;
  readonly #call: Call;
  readonly #message: Request;
  readonly #rate: AdaptiveRate | undefined;
  readonly #started: number;
  /** Undefined for an attempt that was sent at once. */
  #sentAt: number | undefined;
  #attempt = 1;
  #throttled = 0;
  #mayHaveRun = false;
  /** The client has received something of the attempt. */
  #responded = false;
  #previous: AttemptOutcome | undefined;

  constructor(deps: RetryDeps, next: Handler, call: Call, message: Request, rate: AdaptiveRate | undefined) {
    this.#deps = deps;
    this.#next = next;
    this.#call = call;
    this.#message = message;
    this.#rate = rate;
    this.#started = deps.clock.monotonic();
  }

  /** Makes one attempt in its turn, and others after it. */
  send(): Promise<Reply> {
    const { signal, deadline, client } = this.#call;
    const { clock, opening = false } = this.#deps;
    const turn = this.#rate?.take(signal, {
      remainingMs: deadline.remainingMs,
      ahead: opening || this.#attempt > 1,
      client,
    });
    if (turn) return this.#sendAfter(turn);
    if (this.#attempt > 1) this.#sentAt = clock.monotonic();
    return this.#send();
  }

  async #sendAfter(turn: Promise<void>): Promise<Reply> {
    const { signal } = this.#call;
    const { clock, events } = this.#deps;
    const waiting = (): number => this.#rate?.waiting ?? 0;
    const refusal = await awaitTurn(turn, this.#call, { events, clock, by: 'server', waiting }).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    if (refusal && signal.aborted) throw this.#mayHaveRun ? signal.reason : unsentReason(signal.reason);
    if (refusal) return unwrap(this.#previous ?? refusal);
    this.#sentAt = clock.monotonic();
    return this.#send();
  }

  /** Not async: an async function that waits for the answer costs 600 bytes per call. */
  #send(): Promise<Reply> {
    this.#responded = false;
    let sent: Promise<Reply>;
    try {
      sent = this.#next(this.#tapped());
    } catch (error) {
      sent = Promise.reject(error);
    }
    return sent.then(
      (reply) => this.#judge({ reply }),
      (error: unknown) => this.#judge({ error }),
    );
  }

  /** The call, of which this sees the first message or byte that its client receives. */
  #tapped(): Call {
    const call = this.#call;
    const pass = call.httpContext?.pass;
    return withEmit(
      call,
      (message, origin) => {
        this.#responded = true;
        return call.emit(message, origin);
      },
      pass && this.#tapPass(pass),
    );
  }

  #tapPass(pass: Pass): Pass {
    return (head, isPlain) => {
      const sink = pass(head, isPlain);
      if (sink) this.#responded = true;
      return sink;
    };
  }

  /** The reply, unless another attempt may help. @throws the failure that no attempt can help. */
  #judge(outcome: AttemptOutcome): Reply | Promise<Reply> {
    const { signal, profile } = this.#call;
    const { clock, events } = this.#deps;
    const failure =
      'reply' in outcome ? failureOfReply(outcome.reply, clock.now()) : failureOfError(outcome.error);
    if (this.#rate) reportToRate(this.#rate, outcome, failure, this.#sentAt ?? this.#started);
    if (failure && isThrottled(failure)) {
      const { method } = this.#message;
      events.emit({ type: 'server.throttled', profile, method, retryAfterMs: failure.retryAfterMs });
    }
    // A request that an earlier attempt may have run must not be reported as unsent.
    if (signal.aborted && 'error' in outcome) {
      const { error } = outcome;
      const hidesRun = this.#mayHaveRun && !(error instanceof ProxyError && error.sent === 'maybe');
      throw afterFailure(hidesRun ? signal.reason : error, this.#previous);
    }
    if (signal.aborted && this.#mayHaveRun) throw signal.reason;
    if (!failure || signal.aborted) return unwrap(outcome);
    // The earlier failure is more useful than the open breaker.
    if (failure.how === 'circuit-open' && this.#previous) return unwrap(this.#previous);
    return this.#sendAgain(outcome, failure);
  }

  /** Sends it again after a pause, where that is safe. */
  async #sendAgain(outcome: AttemptOutcome, failure: Failure): Promise<Reply> {
    const { clock, events, options } = this.#deps;
    const [call, message, attempt] = [this.#call, this.#message, this.#attempt];
    const kind = classifyFailure(failure);
    const decision = decideRetry({
      method: message.method,
      annotations: await hintsOf(kind, message, call, this.#deps),
      stateless: statedVersion(message) !== undefined,
      attempt: attempt - this.#throttled,
      elapsedMs: clock.monotonic() - this.#started,
      responded: this.#responded,
      failure,
      limits: options,
      remainingMs: call.deadline.remainingMs,
      random: clock.random(),
    });
    const last = describeLast(outcome, failure, {
      attempt,
      beyond: attempt > options.retries + 1,
      mayHaveRun: this.#mayHaveRun,
    });
    if ('giveUp' in decision) return unwrap(last);
    this.#previous = last;
    if (isThrottled(failure) && options.adaptive) this.#throttled++;
    this.#mayHaveRun ||= kind !== 'not-sent' && kind !== 'turned-away';
    const { afterMs } = decision;
    events.emit({
      type: 'call.retried',
      profile: call.profile,
      call: call.record?.number,
      method: message.method,
      id: String(message.id),
      attempt,
      afterMs,
      reason: kind,
    });
    const slept = sleep(clock, afterMs, call.signal);
    await addWait(call.record, 'backoffMs', clock, slept).catch((reason: unknown) => {
      const shown = this.#mayHaveRun ? reason : unsentReason(reason, 'it waited to be sent again');
      throw afterFailure(shown, last);
    });
    const holds = await hintsHold(kind, message, call, this.#deps);
    if (call.signal.aborted) throw afterFailure(call.signal.reason, last);
    if (!holds) return unwrap(last);
    this.#attempt++;
    return this.send();
  }
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

/** Adds the earlier failure to an expired deadline: it is the likelier cause. */
function afterFailure(reason: unknown, previous: AttemptOutcome | undefined): unknown {
  const failure =
    previous && ('reply' in previous ? failureOfReply(previous.reply, 0) : failureOfError(previous.error));
  return isDeadlineError(reason) && failure
    ? reason.with(`An earlier attempt failed: ${asSentence(failure.message)}`)
    : reason;
}

export function unwrap(outcome: AttemptOutcome): Reply {
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
