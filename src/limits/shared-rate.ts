import { ProxyError } from '../core/errors/errors.ts';
import { AheadQueue, type Share } from '../core/pipeline/fair-queue.ts';
import type { RateLimiter, RateTurn } from '../core/pipeline/limits.ts';
import { type Clock, type Timer, toSeconds } from '../core/time/clock.ts';
import { type Waiter, WaitQueue } from '../core/time/wait-queue.ts';
import type { BucketLimit, RateAnswer, RateCommand, Reservation } from './rate-bucket.ts';
import { LOCAL, type StoreLink } from './store-link.ts';

/** Longest wait. Clients time out after 60 s, and should receive the reason before. */
const MAX_WAIT_MS = 30_000;
/** Added to the predicted wait, because other replicas may take turns meanwhile. */
const LATE_MS = 1_000;
/** Upper bound for a pause that a server requests. */
const MAX_PAUSE_MS = 300_000;
/** Turns that one operation takes: with more, one replica could take the burst of all others. */
const MAX_TAKEN = 32;

export interface SharedRateDeps {
  readonly key: string;
  readonly limit: BucketLimit;
  readonly link: StoreLink;
  readonly clock: Clock;
  /** Reports, once, that another replica has another limit. */
  readonly onOtherLimit: (other: string) => void;
}

interface SharedRatePlace {
  readonly ahead: boolean;
  readonly share: Share | undefined;
  readonly since: number;
  readonly longestMs: number;
}

/**
 * A rate that replicas share. Callers wait here in their fair order; this process has at most one
 * turn reserved in the store, so that replicas take turns as well.
 */
export class SharedRate implements RateLimiter {
  readonly #deps: SharedRateDeps;
  readonly #order = new AheadQueue<Waiter<boolean, SharedRatePlace>, SharedRatePlace>(
    ({ ahead }) => ahead,
    ({ share }) => share,
  );
  readonly #queue = new WaitQueue<boolean, SharedRatePlace>({ order: this.#order });
  /** An operation is under way, or a turn is reserved. */
  #busy = false;
  #timer: Timer | undefined;
  /** Names the bucket that has given the last turns. */
  #born = 0;
  /** Monotonic; the reserved turn. */
  #nextAt = 0;
  /** Monotonic; whoever came before has waited for a reserved turn. */
  #delayedAt = Number.NEGATIVE_INFINITY;
  #leaving: ProxyError | undefined;
  /** Monotonic; the last local turn that was taken or reserved. */
  #localTurnAt = Number.NEGATIVE_INFINITY;
  /** Monotonic; the end of the last pause that this process has seen. */
  #pausedUntil = 0;

  constructor(deps: SharedRateDeps) {
    this.#deps = deps;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  take(
    signal: AbortSignal,
    { ahead = false, remainingMs = Number.POSITIVE_INFINITY, share }: RateTurn = {},
  ): Promise<boolean> {
    signal.throwIfAborted();
    if (this.#leaving) throw this.#leaving;
    const longestMs = Math.min(MAX_WAIT_MS, remainingMs);
    const place = { ahead, share, since: this.clock.monotonic(), longestMs };
    const foreseen = this.#foreseenMs(this.#order.turnsBefore(place));
    if (foreseen > longestMs) throw this.#tooLong(foreseen, longestMs);
    const limit = {
      clock: this.clock,
      ms: longestMs + LATE_MS,
      refusal: () => this.#tooLong(longestMs + LATE_MS, longestMs),
    };
    const turn = this.#queue.wait(signal, place, limit);
    this.#pump();
    return turn;
  }

  pause(ms: number): void {
    const us = Math.min(ms, MAX_PAUSE_MS) * 1_000;
    this.#pausedUntil = Math.max(this.#pausedUntil, this.clock.monotonic() + us / 1_000);
    void this.#run({ name: 'pause', us });
  }

  refuseWaiting(error: ProxyError): void {
    this.#leaving = error;
    this.#queue.refuse(() => error);
    if (!this.#timer) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#refund(1, true);
  }

  /** Serves those who wait, until none does or the next turn is reserved. */
  #pump(): void {
    if (this.#busy || this.waiting === 0) return;
    this.#busy = true;
    void this.#serve();
  }

  async #serve(): Promise<void> {
    while (this.waiting > 0) {
      const count = Math.min(this.waiting, MAX_TAKEN);
      const answer = await this.#run({ name: 'take', count, maxWaitUs: MAX_WAIT_MS * 1_000 });
      this.#grant(answer.granted);
      if (answer.reserved) {
        this.#wait(answer.reserved, answer.waitUs);
        return;
      }
      // No turn was reserved: all are too late.
      if (answer.granted === 0) this.#refuseLate(answer.waitUs / 1_000);
    }
    this.#busy = false;
  }

  /** Grants turns to waiting callers, and returns turns that are no longer needed. */
  #grant(granted: number): void {
    let left = granted;
    while (left > 0 && this.#queue.serve(({ since }) => since <= this.#delayedAt)) left--;
    if (left > 0) this.#refund(left, false);
  }

  #refund(count: number, reserved: boolean): void {
    void this.#run({ name: 'refund', count, born: this.#born, reserved });
  }

  #wait(reserved: Reservation, waitUs: number): void {
    const { epoch } = this.#deps.link;
    const ms = Math.ceil(waitUs / 1_000);
    this.#nextAt = this.clock.monotonic() + ms;
    if (this.#leaving) {
      this.#refund(1, true);
      return;
    }
    this.#refuseLate(ms);
    this.#timer = this.clock.schedule(ms, () => void this.#claim(reserved, epoch));
  }

  async #claim(reserved: Reservation, epoch: number): Promise<void> {
    const { link } = this.#deps;
    this.#timer = undefined;
    this.#delayedAt = this.clock.monotonic();
    if (epoch === link.epoch) {
      if (this.waiting > 0) {
        const answer = await this.#run({
          name: 'claim',
          reserved,
          maxWaitUs: MAX_PAUSE_MS * 1_000,
          maxLateUs: link.maxLateMs * 1_000,
        });
        this.#grant(answer.granted);
        if (answer.reserved) {
          this.#wait(answer.reserved, answer.waitUs);
          return;
        }
      } else this.#refund(1, true);
    }
    this.#busy = false;
    this.#pump();
  }

  /** Refuses those whose turn would come too late, as they would find out anyway. */
  #refuseLate(firstMs: number): void {
    const now = this.clock.monotonic();
    const spacingMs = 1_000 / this.#deps.limit.ratePerSecond;
    this.#queue.refuse(({ since, longestMs }, position) => {
      const waitMs = firstMs + position * spacingMs;
      return now - since + waitMs > longestMs ? this.#tooLong(waitMs, longestMs) : undefined;
    });
  }

  /** In the store, or in this process's share where the store cannot be used. */
  async #run(command: RateCommand): Promise<RateAnswer> {
    const { link, key, limit: configured, onOtherLimit } = this.#deps;
    let sentAt = 0;
    const answer = await link.run(key, (store) => {
      sentAt = this.clock.monotonic();
      return store.rate(key, { ...link.membership.connectedLimit(configured), configured }, command);
    });
    if (answer === LOCAL) return this.#runLocally(command);
    this.#born = answer.born;
    if (answer.otherLimit !== undefined) onOtherLimit(answer.otherLimit);
    if (answer.granted === 0 || this.clock.monotonic() - sentAt <= link.maxLateMs) return answer;
    // This process was paused, or the answer was: others have used the time since.
    if (command.name === 'take') this.#refund(answer.granted, false);
    return { ...answer, granted: 0 };
  }

  /** A missed turn does not count later: the times of turns belong to the replicas in order. */
  #runLocally(command: RateCommand): RateAnswer {
    const { link, limit } = this.#deps;
    const { membership } = link;
    const now = this.clock.monotonic();
    const none = { granted: 0, waitUs: 0, reserved: undefined, born: 0 };
    switch (command.name) {
      case 'take': {
        const turns = membership.localTurns(limit.ratePerSecond);
        const { period } = turns;
        const since = Math.max(this.#localTurnAt + period / 2, this.#pausedUntil);
        const first = membership.localTurnFrom(since, turns);
        if (first > now) {
          const waitUs = Math.ceil((first - now) * 1_000);
          if (waitUs > command.maxWaitUs) return { ...none, waitUs };
          this.#localTurnAt = first;
          return { ...none, waitUs, reserved: { readyAt: first, shift: 0, born: 0 } };
        }
        const granted = Math.min(command.count, 1 + Math.floor((now - first) / period));
        this.#localTurnAt = first + (granted - 1) * period;
        membership.noteLocalTurn();
        return { ...none, granted };
      }
      case 'claim': {
        const { readyAt } = command.reserved;
        const late = now - readyAt;
        const isVoid = membership.isHeld || now < this.#pausedUntil || late > link.maxLateMs;
        if (isVoid) return none;
        if (late < 0) return { ...none, waitUs: -late * 1_000, reserved: command.reserved };
        membership.noteLocalTurn();
        return { ...none, granted: 1 };
      }
      case 'refund':
      case 'pause':
        return none;
    }
  }

  #foreseenMs(before: number): number {
    const untilNext = this.#timer ? Math.max(0, this.#nextAt - this.clock.monotonic()) : 0;
    return untilNext + (before / this.#deps.limit.ratePerSecond) * 1_000;
  }

  #tooLong(waitMs: number, longestMs: number): ProxyError {
    const { ratePerSecond, burst } = this.#deps.limit;
    const { waiting } = this;
    const retryAfterMs = Math.ceil(waitMs);
    return new ProxyError(
      'rate-limited',
      `Too many requests for --rate-limit ${ratePerSecond} (--rate-burst ${burst}), which several processes share: ${waiting} are waiting here. This one would be sent in ${toSeconds(retryAfterMs)} s, and the longest wait is ${toSeconds(longestMs)} s${longestMs < MAX_WAIT_MS ? ', which is what its own time limit leaves' : ''}, so it was not sent. Send fewer requests, raise --rate-limit, or try again then.`,
      { sent: 'no', retryAfterMs, details: { limit: ratePerSecond, burst, waiting } },
    );
  }
}
