import { isTimeout } from '../../core/errors/errors.ts';
import { abortableUnsent } from '../../core/time/before-sending.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';

/** A caller with less time left does not begin another attempt, which it would cut at once. */
const MIN_ATTEMPT_MS = 250;

interface RunningAttempt<T> {
  readonly attempt: Promise<T>;
  readonly stop: CallController;
  waiters: number;
}

/** How long one caller waits, and for what. */
export interface WaitOptions {
  readonly clock: Clock;
  readonly ms: number;
  /** Whether a caller with time left joins another attempt after one that hung. */
  readonly retriesTimeout: boolean;
  /** What a caller is refused with that has waited so long. */
  readonly refusal: () => Error;
}

/**
 * An attempt to open something anew that all callers share while it runs, and that ends with its
 * last waiter.
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

  /**
   * The attempt that runs, or a new one. For a caller that does not wait: `wait` counts its
   * callers.
   */
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
   * Waits for what `begin` returns: the attempt that runs, one that it joins, or something that is
   * there already. The last waiter that leaves ends the attempt, so that the next caller gets a new
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
    // At once: a client may cancel a call and send the next one in the same turn.
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

  /** Ends the attempt that runs, unless a caller waits for it. */
  abandonUnwaited(reason: unknown): void {
    if (this.#running?.waiters === 0) this.abandon(reason);
  }

  /** What is being opened is not wanted any more: the next caller starts another attempt. */
  abandon(reason: unknown): void {
    this.#running?.stop.abort(reason);
    this.#running = undefined;
  }
}
