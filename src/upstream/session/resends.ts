import type { Call } from '../../core/pipeline/call.ts';
import { fullJitter } from '../../core/time/backoff.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortableUnsent, sleep } from '../../core/time/waits.ts';
import { namesSession } from '../transport/lost-session.ts';
import { lostAgain } from './errors.ts';

/** Waits between re-sends: servers behind a load balancer may know different sessions. */
const BASE_MS = 100;
const MAX_MS = 2_000;
/** For messages without a time limit; clients give up after as long. */
const MAX_UNLIMITED_MS = 60_000;

/** Counts how often one call met a lost session, and decides when it is re-sent. */
export class Resends {
  readonly #clock: Clock;
  readonly #call: Call;
  readonly #beforeResend: ((call: Call) => Promise<void>) | undefined;
  #isSent = false;
  #losses = 0;
  /** When it met the first loss, on the monotonic clock. */
  #lostAt = 0;

  constructor(clock: Clock, call: Call, beforeResend: ((call: Call) => Promise<void>) | undefined) {
    this.#clock = clock;
    this.#call = call;
    this.#beforeResend = beforeResend;
  }

  /** Call this where an attempt was made without `beforeAttempt`. */
  markSent(): void {
    this.#isSent = true;
  }

  /** Called before each attempt, and awaited where it is a re-send of a request. */
  beforeAttempt(): Promise<void> | undefined {
    if (this.#isSent && this.#call.message.kind === 'request') return this.#beforeResend?.(this.#call);
    this.#isSent = true;
    return undefined;
  }

  /**
   * Resolves when the call may be re-sent on a new session; the first time at once.
   * @throws ProxyError session-lost, where no time is left, or only a status reports the loss.
   */
  async waitAfter(loss: unknown): Promise<void> {
    const clock = this.#clock;
    const { signal, deadline } = this.#call;
    if (++this.#losses === 1) {
      this.#lostAt = clock.monotonic();
      return;
    }
    if (!namesSession(loss)) throw lostAgain(loss, this.#losses);
    const waitMs = fullJitter(clock, this.#losses - 1, BASE_MS, MAX_MS);
    const spentMs = clock.monotonic() - this.#lostAt;
    const leftMs = Number.isFinite(deadline.remainingMs) ? deadline.remainingMs : MAX_UNLIMITED_MS - spentMs;
    if (waitMs >= leftMs) throw lostAgain(loss, this.#losses);
    await abortableUnsent(sleep(clock, waitMs, signal), signal);
  }
}
