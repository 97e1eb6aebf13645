import { decimal, integer } from '../config/option.ts';
import { ProxyError, unsentReason } from '../core/errors/errors.ts';
import { asksForPause } from '../core/errors/status-class.ts';
import type { Call, Layer, Reply } from '../core/pipeline/call.ts';
import { errorTypeOf, isRejectedUnread } from '../core/pipeline/error-type.ts';
import type { Events } from '../core/pipeline/events.ts';
import { AheadQueue, type Share, shareOf } from '../core/pipeline/fair-queue.ts';
import type { LimiterSet, RateLimiter, RateTurn } from '../core/pipeline/limits.ts';
import { awaitTurn } from '../core/pipeline/rate-turn.ts';
import { retryAfterOf } from '../core/pipeline/retry-after.ts';
import { type Clock, type Timer, toSeconds } from '../core/time/clock.ts';
import { type Waiter, type WaitLimit, WaitQueue } from '../core/time/wait-queue.ts';

export const rateLimitOptions = {
  rateLimit: decimal({
    group: 'Backpressure',
    placeholder: 'per second',
    min: 0,
    above: true,
    fallback: undefined,
    defaultText: 'off',
    help: 'maximum number of requests per second and profile, retries included; further requests wait in order, up to 30 s',
  }),
  rateBurst: integer({
    group: 'Backpressure',
    needs: 'rateLimit',
    placeholder: 'n',
    min: 1,
    fallback: undefined,
    defaultText: 'what --rate-limit allows in one second, at least 1',
    help: 'maximum number of requests that --rate-limit allows at once after a pause',
  }),
} as const;

/** The default burst: one second's worth. */
export const burstOf = (rate: number, burst: number | undefined): number =>
  burst ?? Math.max(1, Math.floor(rate));

/** Longest wait: clients give up after 60 s and should see the reason first. */
const MAX_WAIT_MS = 30_000;
/** A turn that comes so much later than was foreseen is refused: others have come between. */
const LATE_MS = 1_000;
/** Upper bound for a pause that a server requests. */
const MAX_PAUSE_MS = 300_000;
/** Tolerance for rounding of fractional tokens. */
const ROUNDING = 1e-9;

export interface TokenBucketOptions {
  readonly ratePerSecond: number;
  readonly burst: number;
  readonly clock: Clock;
}

interface RatePlace {
  readonly ahead: boolean;
  readonly share: Share | undefined;
  readonly since: number;
  readonly longestMs: number;
}

/**
 * A token bucket: starts full, refills at a steady rate, serves in order, and pauses on request of
 * the server.
 */
export class TokenBucket implements RateLimiter {
  readonly clock: Clock;
  readonly #options: TokenBucketOptions;
  readonly #order = new AheadQueue<Waiter<void, RatePlace>, RatePlace>(
    ({ ahead }) => ahead,
    ({ share }) => share,
  );
  readonly #queue = new WaitQueue<void, RatePlace>({
    order: this.#order,
    onLeave: () => {
      if (this.waiting === 0) this.#cancelTimer();
    },
  });
  #tokens: number;
  /** The time of `#tokens`; in the future during a pause. */
  #asOf: number;
  #timer: Timer | undefined;
  /** Set at shutdown: the error for new callers. */
  #leaving: ProxyError | undefined;

  constructor(options: TokenBucketOptions) {
    this.clock = options.clock;
    this.#options = options;
    this.#tokens = options.burst;
    this.#asOf = options.clock.monotonic();
  }

  get waiting(): number {
    return this.#queue.size;
  }

  take(
    signal: AbortSignal,
    { ahead = false, remainingMs = Number.POSITIVE_INFINITY, share }: RateTurn = {},
  ): Promise<void> | undefined {
    signal.throwIfAborted();
    const now = this.#refill();
    const longestMs = Math.min(MAX_WAIT_MS, remainingMs);
    const place = { ahead, share, since: now, longestMs };
    const wait = this.#waitMs(this.#order.turnsBefore(place) + 1, now);
    if (wait === 0) {
      this.#tokens--;
      return undefined;
    }
    if (this.#leaving) throw this.#leaving;
    if (wait > longestMs) throw this.#tooLong(wait, longestMs);
    const turn = this.#queue.wait(signal, place, share && this.#lateLimit(longestMs));
    this.#schedule(now);
    return turn;
  }

  /** For clients that take turns: others may come between. */
  #lateLimit(longestMs: number): WaitLimit {
    const ms = longestMs + LATE_MS;
    return { clock: this.clock, ms, refusal: () => this.#tooLong(ms, longestMs) };
  }

  /** The queue moves at the steady rate after the pause. */
  pause(ms: number): void {
    const now = this.#refill();
    const until = now + Math.min(ms, MAX_PAUSE_MS);
    if (until <= this.#asOf) return;
    this.#asOf = until;
    // A burst right after the pause would be throttled again.
    this.#tokens = Math.min(this.#tokens, 1);
    this.#queue.refuse(({ since, longestMs }, position) => {
      const wait = this.#waitMs(position + 1, now);
      return now - since + wait > longestMs ? this.#tooLong(wait, longestMs) : undefined;
    });
    this.#cancelTimer();
    this.#schedule(now);
  }

  refuseWaiting(error: ProxyError): void {
    this.#leaving = error;
    this.#queue.refuse(() => error);
    this.#cancelTimer();
  }

  #refill(): number {
    const { ratePerSecond, burst } = this.#options;
    const now = this.clock.monotonic();
    if (now > this.#asOf) {
      // Keeps the surplus fraction while callers wait; dropping it would make timer rounding slow
      // the queue.
      const room = this.waiting > 0 ? burst + 1 : burst;
      this.#tokens = Math.min(room, this.#tokens + ((now - this.#asOf) / 1_000) * ratePerSecond);
      this.#asOf = now;
    }
    return now;
  }

  /** Milliseconds until `position` more tokens are available. */
  #waitMs(position: number, now: number): number {
    const missing = position - this.#tokens;
    const filling = missing > ROUNDING ? (missing / this.#options.ratePerSecond) * 1_000 : 0;
    return Math.max(0, this.#asOf - now) + filling;
  }

  #schedule(now: number): void {
    if (this.#timer || this.waiting === 0) return;
    this.#timer = this.clock.schedule(Math.ceil(this.#waitMs(1, now)), () => this.#serve());
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #serve(): void {
    this.#cancelTimer();
    const now = this.#refill();
    while (this.waiting > 0 && this.#waitMs(1, now) === 0) {
      this.#tokens--;
      this.#queue.serve(() => undefined);
    }
    this.#schedule(now);
  }

  #tooLong(wait: number, longestMs: number): ProxyError {
    const { ratePerSecond, burst } = this.#options;
    const { waiting } = this;
    const retryAfterMs = Math.ceil(wait);
    const paused = Math.ceil(this.#asOf - this.clock.monotonic());
    const why =
      paused > 0
        ? `the server requested a pause, which ends in ${toSeconds(paused)} s, and ${waiting} are waiting`
        : `${waiting} are waiting`;
    return new ProxyError(
      'rate-limited',
      `Too many requests for --rate-limit ${ratePerSecond} (--rate-burst ${burst}): ${why}. This one would be sent in ${toSeconds(retryAfterMs)} s, and the longest wait is ${toSeconds(longestMs)} s${longestMs < MAX_WAIT_MS ? ', which is what its own time limit leaves' : ''}, so it was not sent. Send fewer requests, raise --rate-limit, or try again then.`,
      { sent: 'no', retryAfterMs, details: { limit: ratePerSecond, burst, waiting } },
    );
  }
}

/**
 * Takes a token for every attempt of a request. Notifications, responses and pings never wait.
 * @param buckets - by default one per profile: the server limits each account separately, and a
 * pause that it requests of one profile does not delay the others.
 * @param isAwaited - whether those in line wait for this, too, so that it goes before them.
 */
export function rateLimit(
  buckets: LimiterSet<RateLimiter>,
  events: Events,
  isAwaited: (call: Call) => boolean = () => false,
): Layer {
  return (next) =>
    async function rateLimit(call) {
      const { message, signal, profile } = call;
      if (message.kind !== 'request' || message.method === 'ping') return next(call);
      const found = buckets.of(profile, call);
      const bucket = found instanceof Promise ? await found : found;
      const { clock } = bucket;
      const waiting = (): number => bucket.waiting;
      let turn: Promise<unknown> | undefined;
      try {
        turn = bucket.take(signal, {
          ahead: isAwaited(call),
          remainingMs: call.deadline.remainingMs,
          share: shareOf(call.client),
        });
      } catch (error) {
        if (!signal.aborted) {
          const refused = { by: 'option', outcome: 'refused', ms: 0, waiting: waiting() } as const;
          events.emit({ type: 'rate.limited', profile, ...refused });
        }
        throw error;
      }
      if (turn) {
        await awaitTurn(turn, call, { events, clock, by: 'option', waiting });
        if (signal.aborted) throw unsentReason(signal.reason);
      }
      try {
        const reply = await next(call);
        applyPause(bucket, pauseOfReply(reply, bucket.clock));
        return reply;
      } catch (error) {
        applyPause(bucket, pauseOfError(error));
        throw error;
      }
    };
}

function applyPause(bucket: RateLimiter, ms: number | undefined): void {
  if (ms !== undefined && ms > 0) bucket.pause(ms);
}

function pauseOfReply({ http }: Reply, clock: Clock): number | undefined {
  if (!http) return undefined;
  const asks = asksForPause(http.status) || isRejectedUnread(errorTypeOf(http.headers));
  return asks ? retryAfterOf(http.headers, clock.now()) : undefined;
}

/** Only a pause of the server counts, not a limit of the proxy. */
function pauseOfError(error: unknown): number | undefined {
  if (!(error instanceof ProxyError) || error.reason !== 'http-status') return undefined;
  const { httpStatus, errorType } = error.details;
  const asks = asksForPause(Number(httpStatus)) || isRejectedUnread(String(errorType ?? ''));
  return asks ? error.retryAfterMs : undefined;
}
