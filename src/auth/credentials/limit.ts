import type { Clock } from '../../core/time/clock.ts';

/**
 * Settles as `work` does, or rejects with `late()` after `ms` milliseconds. For work that takes no
 * signal: it goes on unseen, and what it comes to no longer matters.
 */
export function within<T>(clock: Clock, ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(ms, () => reject(late()));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
