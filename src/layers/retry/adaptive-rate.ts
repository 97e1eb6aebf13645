import { ProxyError } from '../../core/errors/errors.ts';
import type { Client } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { AheadQueue, type Share, shareOf } from '../../core/pipeline/fair-queue.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { type Waiter, WaitQueue } from '../../core/time/wait-queue.ts';
import { AcceptedRate, cubicRate, MIN_RATE, throttledRate } from './rate-curve.ts';

/** A longer requested pause is returned to the caller; others are not delayed by it. */
const MAX_PAUSE_MS = 20_000;
/** Refused shortly before the deadline, so that the error names the throttling. */
const REFUSE_BEFORE_DEADLINE_MS = 50;
/** Bound for withheld turns, after many rejections or notifications at once. */
const MAX_DEBT = -1;
/** Assumed rate where the first requests are throttled: no published MCP quota on AWS is lower. */
const FIRST_RATE = 3;
/** Tolerance for rounding of fractional tokens. */
const ROUNDING = 1e-9;

export interface AdaptiveRateDeps {
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
}

export interface AdaptiveTurn {
  /** Served first: throttled requests, and those that open a session. */
  readonly ahead: boolean;
  /** The caller's remaining time in milliseconds. */
  readonly remainingMs: number;
  /** Clients take turns. */
  readonly client?: Client | undefined;
}

interface AdaptivePlace {
  readonly ahead: boolean;
  readonly share: Share | undefined;
}

/**
 * The rate that the server accepts from one profile, learned as in the AWS SDKs' adaptive retry
 * mode: a token bucket that exists after the first throttling; its rate is cut then, and grows
 * along a cubic curve.
 */
export class AdaptiveRate {
  readonly #deps: AdaptiveRateDeps;
  readonly #accepted: AcceptedRate;
  readonly #order = new AheadQueue<Waiter<void, AdaptivePlace>, AdaptivePlace>(
    ({ ahead }) => ahead,
    ({ share }) => share,
  );
  readonly #queue = new WaitQueue<void, AdaptivePlace>({
    order: this.#order,
    onLeave: () => {
      if (this.waiting === 0) this.#cancelTimer();
    },
  });
  /** Requests per second; undefined before the first throttling. */
  #rate: number | undefined;
  /** The rate at which the server throttled last. */
  #lastMaxRate = 0;
  #throttledAt = 0;
  #tokens = 0;
  /** The time of `#tokens`; in the future during a pause. */
  #asOf = 0;
  #timer: Timer | undefined;
  #leaving: ProxyError | undefined;

  constructor(deps: AdaptiveRateDeps) {
    this.#deps = deps;
    this.#accepted = new AcceptedRate(deps.clock.monotonic());
  }

  /** Requests per second that are sent at most; undefined before the first throttling. */
  get ratePerSecond(): number | undefined {
    return this.#rate;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Takes a turn (undefined), or returns a promise of one. It rejects with the signal's reason, at
   * shutdown, or shortly before the caller's deadline.
   */
  take(signal: AbortSignal, { ahead, remainingMs, client }: AdaptiveTurn): Promise<void> | undefined {
    if (this.#rate === undefined) return undefined;
    this.#refill();
    const place = { ahead, share: client && shareOf(client) };
    const behind = this.#order.turnsBefore(place) > 0;
    if (!behind && this.#waitMs() === 0) {
      this.#tokens--;
      return undefined;
    }
    if (this.#leaving) return Promise.reject(this.#leaving);
    const { clock } = this.#deps;
    const ms = Math.max(0, remainingMs - REFUSE_BEFORE_DEADLINE_MS);
    const limit = Number.isFinite(ms) ? { clock, ms, refusal: () => this.#tooLong() } : undefined;
    const turn = this.#queue.wait(signal, place, limit);
    this.#schedule();
    return turn;
  }

  /** Counts a message that does not wait for a turn. */
  spend(): void {
    if (this.#rate === undefined) return;
    this.#refill();
    this.#tokens = Math.max(MAX_DEBT, this.#tokens - 1);
  }

  /** The server accepted a request that was sent at `sentAt` (monotonic). */
  accepted(sentAt: number): void {
    const now = this.#deps.clock.monotonic();
    this.#accepted.count(now);
    if (this.#rate === undefined) return;
    this.#refill();
    const acceptedRate = this.#accepted.at(now);
    if (sentAt < this.#throttledAt) {
      // Sent together with throttled requests: shows how many of them the server accepted.
      this.#lastMaxRate = Math.max(this.#lastMaxRate, acceptedRate);
      this.#setRate(Math.max(this.#rate, throttledRate(this.#lastMaxRate)));
      return;
    }
    // An unused rate has not been shown to be accepted.
    if (this.#tokens >= 1) return;
    const sinceS = (now - this.#throttledAt) / 1_000;
    this.#setRate(Math.max(this.#rate, cubicRate(sinceS, this.#lastMaxRate, acceptedRate)));
  }

  /** The server throttled a request that was sent at `sentAt` (monotonic). */
  throttled(sentAt: number, retryAfterMs: number | undefined): void {
    const { clock, events, profile } = this.#deps;
    const now = clock.monotonic();
    const first = this.#rate === undefined;
    if (first) this.#asOf = now;
    else this.#refill();
    if (retryAfterMs && retryAfterMs <= MAX_PAUSE_MS) this.#asOf = Math.max(this.#asOf, now + retryAfterMs);
    // Requests that went out together are throttled together: the rate is cut once for all of them.
    if (!first && sentAt < this.#throttledAt) {
      // A burst fills the server's window, which has to pass first.
      this.#tokens = Math.max(MAX_DEBT, this.#tokens - 1);
      this.#reschedule();
      return;
    }
    const acceptedRate = this.#accepted.at(now);
    const rate = this.#rate;
    this.#lastMaxRate =
      rate === undefined
        ? Math.max(acceptedRate, FIRST_RATE)
        : Math.max(MIN_RATE, Math.min(rate, Math.max(acceptedRate, throttledRate(rate))));
    this.#throttledAt = now;
    this.#tokens = Math.min(this.#tokens, 0);
    this.#setRate(throttledRate(this.#lastMaxRate));
    events.emit({ type: 'rate.learned', profile, ratePerSecond: this.#rate ?? 0, waiting: this.waiting });
  }

  /** Refuses all waiting callers, now and later, at shutdown. */
  refuseWaiting(error: ProxyError): void {
    this.#leaving = error;
    this.#queue.refuse(() => error);
    this.#cancelTimer();
  }

  #setRate(rate: number): void {
    this.#rate = Math.max(MIN_RATE, rate);
    this.#reschedule();
  }

  /** Saves up at most one second of turns, and at least one. */
  #refill(): void {
    const now = this.#deps.clock.monotonic();
    if (now <= this.#asOf) return;
    const rate = this.#rate ?? MIN_RATE;
    this.#tokens = Math.min(Math.max(1, rate), this.#tokens + ((now - this.#asOf) / 1_000) * rate);
    this.#asOf = now;
  }

  /** Milliseconds until the next turn. */
  #waitMs(): number {
    const missing = 1 - this.#tokens;
    const filling = missing > ROUNDING ? (missing / (this.#rate ?? MIN_RATE)) * 1_000 : 0;
    return Math.max(0, this.#asOf - this.#deps.clock.monotonic()) + filling;
  }

  #reschedule(): void {
    this.#cancelTimer();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer || this.waiting === 0) return;
    this.#timer = this.#deps.clock.schedule(Math.ceil(this.#waitMs()), () => this.#serve());
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #serve(): void {
    this.#cancelTimer();
    this.#refill();
    while (this.waiting > 0 && this.#waitMs() === 0) {
      this.#tokens--;
      this.#queue.serve(() => undefined);
    }
    this.#schedule();
  }

  #tooLong(): ProxyError {
    const retryAfterMs = Math.ceil(this.#waitMs());
    // The refused caller has left the queue already.
    const waiting = this.waiting + 1;
    const rate = Math.round((this.#rate ?? MIN_RATE) * 10) / 10;
    return new ProxyError(
      'rate-limited',
      `The server is throttling: it accepts about ${rate} requests per second, and ${waiting} are waiting. The turn of this one did not come within its own time limit, so it was not sent. Send fewer requests at once, or raise --timeout and --tool-timeout.`,
      { sent: 'no', retryAfterMs, details: { limit: rate, waiting } },
    );
  }
}
