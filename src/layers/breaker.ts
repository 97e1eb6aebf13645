import { integer, timeLimit } from '../config/option.ts';
import { type ErrorReason, errorRow, type Fault } from '../core/errors/error-table.ts';
import { causeText, ProxyError } from '../core/errors/errors.ts';
import { isTemporary } from '../core/errors/status-class.ts';
import type { Layer } from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import { type Failure, failureOfError, failureOfReply, isTurnedAway } from '../core/pipeline/failure.ts';
import { type Clock, toSeconds } from '../core/time/clock.ts';

export const breakerOptions = {
  breakerThreshold: integer({
    group: 'Resilience',
    placeholder: 'n',
    min: 1,
    fallback: 5,
    help: 'consecutive failures to open a session after which the circuit breaker opens and refuses further attempts',
  }),
  breakerReset: timeLimit({
    group: 'Resilience',
    fallback: 30,
    above: true,
    help: 'how long the circuit breaker stays open before one attempt decides whether to close it',
  }),
} as const;

export interface BreakerLimits {
  readonly threshold: number;
  readonly resetMs: number;
}

/** Identifies one attempt, so that a late one is not taken for the probe. */
export type BreakerAttempt = Readonly<Record<never, never>>;

export type BreakerState =
  | { readonly is: 'closed'; readonly failures: number }
  | { readonly is: 'open'; readonly failures: number; readonly cause: string; readonly until: number }
  | {
      readonly is: 'half-open';
      readonly failures: number;
      readonly cause: string;
      /** The only attempt that is allowed. */
      readonly probe: BreakerAttempt;
      /** When another attempt may be the probe, in case this one hangs. */
      readonly until: number;
    };

export type BreakerInput =
  | { readonly is: 'asks'; readonly attempt: BreakerAttempt; readonly now: number }
  | { readonly is: 'succeeded' }
  | { readonly is: 'failed'; readonly attempt: BreakerAttempt; readonly now: number; readonly cause: string }
  /** Cancelled, or refused for a reason that says nothing about the server. */
  | { readonly is: 'abandoned'; readonly attempt: BreakerAttempt; readonly now: number };

/** Returns the next state. Pure. */
function nextState(state: BreakerState, input: BreakerInput, limits: BreakerLimits): BreakerState {
  switch (input.is) {
    case 'asks':
      if (state.is === 'closed' || input.now < state.until) return state;
      return {
        is: 'half-open',
        failures: state.failures,
        cause: state.cause,
        probe: input.attempt,
        until: input.now + limits.resetMs,
      };
    case 'succeeded':
      // Also a late success shows that the server works.
      return { is: 'closed', failures: 0 };
    case 'failed': {
      const late = state.is === 'open' || (state.is === 'half-open' && state.probe !== input.attempt);
      if (late) return state;
      const failures = state.failures + 1;
      if (state.is === 'closed' && failures < limits.threshold) return { is: 'closed', failures };
      return { is: 'open', failures, cause: input.cause, until: input.now + limits.resetMs };
    }
    case 'abandoned': {
      if (state.is !== 'half-open' || state.probe !== input.attempt) return state;
      // Expired at once, so that the next caller probes.
      return { is: 'open', failures: state.failures, cause: state.cause, until: input.now };
    }
  }
}

/** Whether this attempt is allowed. Pure. */
const admits = (state: BreakerState, attempt: BreakerAttempt): boolean =>
  state.is === 'closed' || (state.is === 'half-open' && state.probe === attempt);

export interface BreakerOptions extends BreakerLimits {
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
}

/** An estimate while a probe runs; most end soon. */
const RETRY_AFTER_MS = 1_000;
/** Long texts were reported in full by the failed attempt. */
const MAX_CAUSE_CHARACTERS = 300;

/** Tracks failures to open sessions of one profile, and refuses attempts that would fail. */
export class Breaker {
  readonly clock: Clock;
  readonly #limits: BreakerLimits;
  readonly #profile: string;
  readonly #events: Events;
  #state: BreakerState = { is: 'closed', failures: 0 };

  constructor({ clock, events, profile, ...limits }: BreakerOptions) {
    this.clock = clock;
    this.#events = events;
    this.#profile = profile;
    this.#limits = limits;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** True where an attempt would be refused at this moment. */
  get refuses(): boolean {
    const state = this.#state;
    return state.is !== 'closed' && this.clock.monotonic() < state.until;
  }

  /** @throws ProxyError circuit-open */
  enter(): BreakerAttempt {
    const attempt: BreakerAttempt = {};
    this.#apply({ is: 'asks', attempt, now: this.clock.monotonic() });
    if (!admits(this.#state, attempt)) {
      const refusal = this.#refusal();
      const { retryAfterMs = 0 } = refusal;
      this.#events.emit({ type: 'breaker.refused', profile: this.#profile, retryAfterMs });
      throw refusal;
    }
    return attempt;
  }

  succeeded(): void {
    this.#apply({ is: 'succeeded' });
  }

  failed(attempt: BreakerAttempt, cause: string): void {
    this.#apply({
      is: 'failed',
      attempt,
      cause: cause.slice(0, MAX_CAUSE_CHARACTERS),
      now: this.clock.monotonic(),
    });
  }

  abandoned(attempt: BreakerAttempt): void {
    this.#apply({ is: 'abandoned', attempt, now: this.clock.monotonic() });
  }

  #apply(input: BreakerInput): void {
    const before = this.#state;
    this.#state = nextState(before, input, this.#limits);
    this.#report(before, this.#state);
  }

  #report(before: BreakerState, after: BreakerState): void {
    if (before === after) return;
    const [profile, from] = [this.#profile, before.is];
    if (after.is === 'open' && from !== 'open') {
      const { failures, cause } = after;
      this.#events.emit({ type: 'breaker.opened', profile, from, failures, cause });
    } else if (after.is === 'half-open' && from !== 'closed') {
      this.#events.emit({ type: 'breaker.half-opened', profile, from });
    } else if (after.is === 'closed' && from !== 'closed') {
      this.#events.emit({ type: 'breaker.closed', profile, from });
    }
  }

  #refusal(): ProxyError {
    const state = this.#state;
    const { threshold, resetMs } = this.#limits;
    const { failures } = state;
    const cause = state.is === 'closed' ? '' : state.cause;
    const leftMs = state.is === 'open' ? Math.ceil(state.until - this.clock.monotonic()) : RETRY_AFTER_MS;
    const when =
      state.is === 'open'
        ? `no attempt is made for another ${toSeconds(leftMs)} s (--breaker-reset ${toSeconds(resetMs)})`
        : 'one attempt decides now whether more are made';
    return new ProxyError(
      'circuit-open',
      `Opening a session failed ${failures} times in a row (--breaker-threshold ${threshold}), so ${when}. This request was not sent. The last failure: ${cause}`,
      { sent: 'no', retryAfterMs: leftMs, details: { failures, cause, breaker: state.is } },
    );
  }
}

/**
 * The faults that count against the server. Refused credentials do not: the next caller may have
 * better ones and should see the refusal. Unsent requests do not either.
 */
const COUNTED: ReadonlySet<Fault> = new Set<Fault>(['network', 'server', 'bug']);

/** Faults of a server that works. */
const NOT_COUNTED: ReadonlySet<ErrorReason> = new Set<ErrorReason>(['line-too-long', 'subscription-lost']);

/** Whether this failure counts against the server. Pure. */
export function countsAsFailure(failure: Failure): boolean {
  const { how, status = 0 } = failure;
  if (how !== 'answered' && how !== 'http-status') {
    return COUNTED.has(errorRow(how).fault) && !NOT_COUNTED.has(how);
  }
  // A throttling server works; an open breaker would cut the retries short.
  if (isTurnedAway(failure) || status === 401 || status === 403) return false;
  return how === 'http-status' || isTemporary(status);
}

/** True for a timeout before anything was sent. */
const isUnsent = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'timeout' && error.sent === 'no';

/** Guards the opening of sessions. Open sessions are not affected. */
export function breaker(circuit: Breaker): Layer {
  return (next) =>
    async function breaker(call) {
      if (call.message.kind !== 'request') return next(call);
      const attempt = circuit.enter();
      const judge = (failure: Failure): void => {
        if (countsAsFailure(failure)) circuit.failed(attempt, failure.message);
        else circuit.abandoned(attempt);
      };
      try {
        const reply = await next(call);
        const failure = failureOfReply(reply, circuit.clock.now());
        if (failure) judge(failure);
        else circuit.succeeded();
        return reply;
      } catch (error) {
        const failure = failureOfError(error);
        if (isUnsent(error)) circuit.abandoned(attempt);
        else if (failure) judge(failure);
        else if (call.signal.aborted) circuit.abandoned(attempt);
        else circuit.failed(attempt, causeText(error));
        throw error;
      }
    };
}
