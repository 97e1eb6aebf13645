import { setImmediate as turn } from 'node:timers/promises';
import type { Clock, Timer } from '../../src/core/time/clock.ts';

interface Pending {
  readonly due: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A clock that moves only when the test advances it. */
export class FakeClock implements Clock {
  #monotonic = 0;
  #wall: number;
  #scheduled = 0;
  readonly #pending = new Set<Pending>();
  readonly #random: () => number;

  constructor({ now = Date.UTC(2026, 0, 2, 3, 4, 5), random = () => 0.5 } = {}) {
    this.#wall = now;
    this.#random = random;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  random(): number {
    return this.#random();
  }

  schedule(ms: number, fire: () => void): Timer {
    const pending = { due: this.#monotonic + Math.max(0, ms), order: this.#scheduled++, fire };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  /** Timers that are neither fired nor cancelled: what a unit leaves behind when it leaks. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Moves the wall clock alone, as NTP or a waking laptop does. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /**
   * Moves time on, firing what falls due in its order; what a timer sets off has run before the
   * next one fires.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#monotonic + ms;
    await turn();
    for (let next = this.#next(target); next !== undefined; next = this.#next(target)) {
      this.#moveTo(next.due);
      this.#pending.delete(next);
      next.fire();
      // A macrotask, not one microtask: chains of promises of any length have then come to rest.
      await turn();
    }
    this.#moveTo(target);
    await turn();
  }

  #moveTo(time: number): void {
    this.#wall += Math.max(0, time - this.#monotonic);
    this.#monotonic = Math.max(time, this.#monotonic);
  }

  #next(until: number): Pending | undefined {
    const due = [...this.#pending].filter((pending) => pending.due <= until);
    return due.sort((a, b) => a.due - b.due || a.order - b.order)[0];
  }
}
