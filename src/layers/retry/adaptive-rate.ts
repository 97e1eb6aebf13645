import { ProxyError, unsentReason } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { AcceptedRate, cubicRate, MIN_RATE, throttledRate } from './rate-curve.ts';

/**
 * The wish for a longer pause is passed up to the caller: nobody else is kept waiting for so long.
 */
const MAX_PAUSE_MS = 20_000;
/**
 * A caller whose time is over in this moment reads that the server throttles, rather than that its
 * time is over.
 */
const REFUSE_BEFORE_DEADLINE_MS = 50;
/**
 * Turns that are withheld at most, after many rejections at once or many notifications, which wait
 * for none.
 */
const MAX_DEBT = -1;
/**
 * Requests per second that are assumed where the first ones of a process are throttled: no
 * published quota of MCP on AWS is lower.
 */
const FIRST_RATE = 3;
/** Tokens are fractions; rounding must not cost a turn. */
const ROUNDING = 1e-9;

export interface AdaptiveRateDeps {
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
}

export interface AdaptiveTurn {
  /** Before the others: a request that was throttled, or one that opens a session. */
  readonly ahead: boolean;
  /** What the caller's own time limit leaves, in milliseconds. */
  readonly remainingMs: number;
}

interface AdaptiveWaiter {
  readonly grant: () => void;
  readonly refuse: (error: unknown) => void;
}

/**
 * The rate of requests that the server accepts from one profile, learned as in the adaptive retry
 * mode of the AWS SDKs: a token bucket that does not exist before the first throttling, whose rate
 * is cut then and grows along a cubic curve while requests are accepted.
 */
export class AdaptiveRate {
  readonly #deps: AdaptiveRateDeps;
  readonly #accepted: AcceptedRate;
  /** In order of arrival. A Set forgets a cancelled waiter in one step, however many wait. */
  readonly #waiting = new Set<AdaptiveWaiter>();
  readonly #ahead = new Set<AdaptiveWaiter>();
  /** Requests per second; undefined while the server has never throttled, when nothing waits. */
  #rate: number | undefined;
  /** The rate at which the server throttled last. */
  #lastMaxRate = 0;
  #throttledAt = 0;
  #tokens = 0;
  /** When `#tokens` was true; in the future during a pause that the server asked for. */
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
    return this.#ahead.size + this.#waiting.size;
  }

  /**
   * A turn now (undefined), or a promise of one. The promise rejects with the signal's reason, with
   * what `refuseWaiting` was given, or with ProxyError rate-limited shortly before the caller's
   * time is over.
   */
  take(signal: AbortSignal, { ahead, remainingMs }: AdaptiveTurn): Promise<void> | undefined {
    if (this.#rate === undefined) return undefined;
    this.#refill();
    const behind = this.#ahead.size > 0 || (!ahead && this.#waiting.size > 0);
    if (!behind && this.#waitMs() === 0) {
      this.#tokens--;
      return undefined;
    }
    if (this.#leaving) return Promise.reject(this.#leaving);
    if (signal.aborted) return Promise.reject(unsentReason(signal.reason));
    return new Promise((resolve, reject) => {
      const queue = ahead ? this.#ahead : this.#waiting;
      const { clock } = this.#deps;
      const limit = Number.isFinite(remainingMs)
        ? clock.schedule(Math.max(0, remainingMs - REFUSE_BEFORE_DEADLINE_MS), () =>
            waiter.refuse(this.#tooLong()),
          )
        : undefined;
      const leave = (): void => {
        limit?.cancel();
        signal.removeEventListener('abort', cancel);
        queue.delete(waiter);
        if (this.waiting === 0) this.#cancelTimer();
      };
      const waiter: AdaptiveWaiter = {
        grant: () => {
          leave();
          resolve();
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      const cancel = (): void => waiter.refuse(unsentReason(signal.reason));
      queue.add(waiter);
      signal.addEventListener('abort', cancel, { once: true });
      this.#schedule();
    });
  }

  /** Something that waits for no turn is sent: it counts at the server all the same. */
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
      // Sent together with what was throttled: it shows how many of those the server took.
      this.#lastMaxRate = Math.max(this.#lastMaxRate, acceptedRate);
      this.#setRate(Math.max(this.#rate, throttledRate(this.#lastMaxRate)));
      return;
    }
    // A rate that nobody uses up has not been shown to be accepted.
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
      // So many at once fill what the server counts within a second: that has to pass first.
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

  /**
   * Rejects everybody who waits, and whoever would have to wait from now on: the process is ending.
   */
  refuseWaiting(error: ProxyError): void {
    this.#leaving = error;
    for (const waiter of [...this.#ahead, ...this.#waiting]) waiter.refuse(error);
  }

  #setRate(rate: number): void {
    this.#rate = Math.max(MIN_RATE, rate);
    this.#reschedule();
  }

  /** As many turns as a second has may be saved up, and one at least. */
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
      const [oldest] = this.#ahead.size > 0 ? this.#ahead : this.#waiting;
      this.#tokens--;
      oldest?.grant();
    }
    this.#schedule();
  }

  #tooLong(): ProxyError {
    const retryAfterMs = Math.ceil(this.#waitMs());
    const { waiting } = this;
    const rate = Math.round((this.#rate ?? MIN_RATE) * 10) / 10;
    return new ProxyError(
      'rate-limited',
      `The server is throttling: it accepts about ${rate} requests per second, and ${waiting} are waiting. The turn of this one did not come within its own time limit, so it was not sent. Send fewer requests at once, or raise --timeout and --tool-timeout.`,
      { sent: 'no', retryAfterMs, details: { limit: rate, waiting } },
    );
  }
}
