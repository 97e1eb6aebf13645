import { unsentReason } from '../errors/errors.ts';
import { CallController } from './call-signal.ts';
import type { Clock } from './clock.ts';

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
 * Like `abortable`, for a wait before anything is sent: an abort rejects with the "not sent" form
 * of its reason, so the caller knows that a retry is safe.
 */
export async function abortableUnsent<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await abortable(work, signal);
  } catch (error) {
    throw signal.aborted ? unsentReason(signal.reason) : error;
  }
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
