import { CallController } from './call-signal.ts';
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

export interface Timer {
  cancel(): void;
}

/** Node runs a longer timer at once, which would turn "no hurry" into "now". */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds as seconds with one decimal, for texts. */
export const toSeconds = (ms: number): number => Math.round(ms / 100) / 10;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  schedule(ms, fire, { keepAlive = true } = {}) {
    const timer = setTimeout(fire, Math.min(Math.max(0, ms), MAX_TIMER_MS));
    if (!keepAlive) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/**
 * Waits `ms` milliseconds on the given clock.
 * @throws the signal's reason as soon as it aborts.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Settles as `work` does, or rejects with the signal's reason if that comes first. The work goes
 * on, so one caller can leave what others share.
 */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      work.catch(() => undefined);
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    // Every call goes through here: `finally` would cost it two promises more.
    work.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

/**
 * Resolves with `work`, or with undefined after `ms` milliseconds; never rejects. The work itself
 * goes on.
 */
export function settleWithin<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = clock.schedule(ms, () => resolve(undefined));
    const settle = (value: T | undefined): void => {
      timer.cancel();
      resolve(value);
    };
    work.then(settle, () => settle(undefined));
  });
}

/**
 * Runs work under its own signal, which aborts only after `ms` milliseconds. For work that several
 * callers share. Does not keep the process alive.
 */
export async function withTimeout<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new CallController();
  const timer = clock.schedule(ms, () => controller.abort(new Error(`no answer within ${ms / 1_000} s`)), {
    keepAlive: false,
  });
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
  }
}
