import type { Clock } from '../../core/time/clock.ts';

/** Callers that wait until a pool is ready. */
export class ReadyWaiters {
  readonly #clock: Clock;
  readonly #isReady: () => boolean;
  readonly #waiting = new Set<(isReady: boolean) => void>();

  constructor(clock: Clock, isReady: () => boolean) {
    this.#clock = clock;
    this.#isReady = isReady;
  }

  /** Resolves with false when the time is over, or at `end`. Never rejects. */
  wait(seconds: number): Promise<boolean> {
    if (this.#isReady()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const leave = (isReady: boolean): void => {
        timer?.cancel();
        this.#waiting.delete(leave);
        resolve(isReady);
      };
      this.#waiting.add(leave);
      const timer = Number.isFinite(seconds)
        ? this.#clock.schedule(seconds * 1_000, () => leave(false))
        : undefined;
    });
  }

  /** The state of the pool has changed. */
  look(): void {
    if (this.#waiting.size === 0 || !this.#isReady()) return;
    for (const leave of [...this.#waiting]) leave(true);
  }

  end(): void {
    for (const leave of [...this.#waiting]) leave(false);
  }
}
