/** The only source of time, timers and randomness, so that tests control all three. */
export interface Clock {
  /**
   * Wall clock, milliseconds since the Unix epoch. For signing dates and expiry only: it can jump.
   */
  now(): number;
  /** Milliseconds that never go backwards. For every duration and deadline. */
  monotonic(): number;
  /**
   * Runs `fire` once after `ms` milliseconds, unless cancelled.
   * @param options.keepAlive - false lets the process exit while the timer is pending.
   */
  schedule(ms: number, fire: () => void, options?: { keepAlive?: boolean }): Timer;
  /** Uniform in [0, 1). */
  random(): number;
}

/** A timer that has not fired yet. */
export interface Timer {
  /** Stops the timer; has no effect after it has fired. */
  cancel(): void;
}

/** Node runs a longer timer at once, which would turn "no hurry" into "now". */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds as seconds with one decimal, for texts. */
export const toSeconds = (ms: number): number => Math.round(ms / 100) / 10;

/** The clock, the timers and the random numbers of Node. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  schedule(ms, fire, { keepAlive = true } = {}) {
    const timer = setTimeout(fire, Math.min(Math.max(0, ms), MAX_TIMER_MS));
    if (!keepAlive) timer.unref();
    return new SystemTimer(timer);
  },
};

/** A class, because thousands of calls may wait, each with a timer or two. */
class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout;
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}
