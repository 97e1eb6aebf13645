import { isTimeout } from '../../core/errors/errors.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortableUnsent } from '../../core/time/waits.ts';

/** A caller with less time left does not start another attempt. */
const MIN_ATTEMPT_MS = 250;

interface RunningAttempt<T> {
  readonly attempt: Promise<T>;
  readonly stop: CallController;
  waiters: number;
}

/** How one caller waits. */
export interface WaitOptions {
  readonly clock: Clock;
  readonly ms: number;
  /** Whether a caller with time left joins another attempt after a timeout. */
  readonly retriesTimeout: boolean;
  /** Creates the error for a caller whose time is over. */
  readonly refusal: () => Error;
}

/**
 * A single flight for opening: all callers share the running attempt, and it ends with its last
 * waiter.
 */
export class SharedOpening<T> {
  readonly #closing: AbortSignal;
  #running: RunningAttempt<T> | undefined;

  /** @param closing - ends every attempt. */
  constructor(closing: AbortSignal) {
    this.#closing = closing;
  }

  get running(): Promise<T> | undefined {
    return this.#running?.attempt;
  }

  /** Returns the running attempt, or starts one. Does not count as waiting: `wait` does. */
  join(open: (until: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running) return this.#running.attempt;
    const closing = this.#closing;
    const stop = new CallController();
    const onClose = (): void => stop.abort(closing.reason);
    closing.addEventListener('abort', onClose, { once: true });
    if (closing.aborted) onClose();
    const attempt = open(stop.signal).finally(() => {
      closing.removeEventListener('abort', onClose);
      if (this.#running === running) this.#running = undefined;
    });
    const running: RunningAttempt<T> = { attempt, stop, waiters: 0 };
    this.#running = running;
    return attempt;
  }

  /**
   * Waits for the promise of `begin`: a running attempt, a new one, or something that exists
   * already. The last waiter that leaves ends the attempt, so that the next caller starts a new
   * one.
   * @throws the reason of `signal`, for a request that was not sent; the refusal; the error of the
   * attempt.
   */
  async wait(
    begin: () => Promise<T>,
    signal: AbortSignal,
    { clock, ms, retriesTimeout, refusal }: WaitOptions,
  ): Promise<T> {
    const leaving = new CallController();
    const leave = (): void => leaving.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    const until = clock.monotonic() + ms;
    const timer = clock.schedule(ms, () => leaving.abort(refusal()), { keepAlive: false });
    try {
      for (;;) {
        try {
          return await this.#waitOnce(begin(), leaving.signal);
        } catch (error) {
          const over = leaving.signal.aborted || this.#closing.aborted || !retriesTimeout;
          if (over || !isTimeout(error) || until - clock.monotonic() < MIN_ATTEMPT_MS) throw error;
        }
      }
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', leave);
    }
  }

  async #waitOnce(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const running = this.#running?.attempt === work ? this.#running : undefined;
    if (!running) return abortableUnsent(work, signal);
    running.waiters++;
    // Synchronously: a client may cancel a call and send the next one in the same turn.
    const leave = (): void => {
      running.waiters--;
      if (running.waiters === 0 && this.#running === running) this.abandon(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    try {
      return await abortableUnsent(work, signal);
    } finally {
      signal.removeEventListener('abort', leave);
      if (!signal.aborted) running.waiters--;
    }
  }

  /** Ends the running attempt unless a caller waits for it. */
  abandonUnwaited(reason: unknown): void {
    if (this.#running?.waiters === 0) this.abandon(reason);
  }

  /** Ends the running attempt; the next caller starts another. */
  abandon(reason: unknown): void {
    this.#running?.stop.abort(reason);
    this.#running = undefined;
  }
}
