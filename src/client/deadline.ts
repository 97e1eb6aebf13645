import type { Deadline } from '../core/pipeline/call.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

/**
 * The time limit of one call. `hold` stops the countdown and keeps what remains; `restart` sets it
 * to the full limit.
 */
export class Countdown implements Deadline {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #expire: () => void;
  #left: number;
  #since = 0;
  #timer: Timer | undefined;
  #holds = 0;
  #over = false;

  /** @param ms - milliseconds; 0 = no limit. */
  constructor(clock: Clock, ms: number, expire: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#left = ms;
    this.#expire = expire;
    this.#run();
  }

  #run(): void {
    if (this.#over || this.#holds > 0 || this.#ms === 0) return;
    this.#since = this.#clock.monotonic();
    this.#timer = this.#clock.schedule(this.#left, () => {
      this.#over = true;
      this.#expire();
    });
  }

  #pause(): void {
    if (!this.#timer) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#left = Math.max(0, this.#left - (this.#clock.monotonic() - this.#since));
  }

  get remainingMs(): number {
    if (this.#ms === 0) return Number.POSITIVE_INFINITY;
    const running = this.#timer ? this.#clock.monotonic() - this.#since : 0;
    return Math.max(0, this.#left - running);
  }

  hold(): () => void {
    if (this.#holds++ === 0) this.#pause();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holds === 0) this.#run();
    };
  }

  restart(): void {
    this.#pause();
    this.#left = this.#ms;
    this.#run();
  }

  stop(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
