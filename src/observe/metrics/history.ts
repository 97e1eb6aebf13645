import type { Clock } from '../../core/time/clock.ts';
import { Histogram, OPERATION_BOUNDS } from './families.ts';

export const HISTORY_STEP_MS = 5_000;
/** A quarter of an hour. */
export const HISTORY_STEPS = 180;

interface Step {
  number: number;
  calls: number;
  errors: number;
  durations: Histogram;
}

/** One step of a chart. */
export interface HistoryPoint {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly callsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Seconds. */
  readonly p50: number;
  readonly p95: number;
}

/** Calls and their durations of the last quarter of an hour, in steps; of constant size. */
export class History {
  readonly #clock: Clock;
  readonly #steps: (Step | undefined)[] = new Array(HISTORY_STEPS).fill(undefined);
  readonly #first: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#first = this.#now();
  }

  #now(): number {
    return Math.floor(this.#clock.monotonic() / HISTORY_STEP_MS);
  }

  /**
   * @param seconds - undefined where nothing was done: a refusal is no fast call.
   * @param at - the end of the call (monotonic).
   */
  add(seconds: number | undefined, isError: boolean, at: number): void {
    const step = this.#stepOf(Math.floor(at / HISTORY_STEP_MS));
    step.calls++;
    if (isError) step.errors++;
    if (seconds !== undefined) step.durations.observe(seconds);
  }

  /** Adds calls that have just ended. */
  addAll(durations: Histogram, errors: number): void {
    const step = this.#stepOf(this.#now());
    step.calls += durations.count;
    step.errors += errors;
    step.durations.addAll(durations);
  }

  #stepOf(number: number): Step {
    let step = this.#steps[number % HISTORY_STEPS];
    if (step?.number !== number) {
      step = { number, calls: 0, errors: 0, durations: new Histogram(OPERATION_BOUNDS) };
      this.#steps[number % HISTORY_STEPS] = step;
    }
    return step;
  }

  /** The complete steps, oldest first. */
  points(): HistoryPoint[] {
    const now = this.#now();
    const from = Math.max(this.#first, now - HISTORY_STEPS + 1);
    const points: HistoryPoint[] = [];
    for (let number = from; number < now; number++) {
      const found = this.#steps[number % HISTORY_STEPS];
      const step = found?.number === number ? found : undefined;
      const seconds = HISTORY_STEP_MS / 1_000;
      points.push({
        at: this.#clock.now() - (now - number) * HISTORY_STEP_MS,
        callsPerSecond: (step?.calls ?? 0) / seconds,
        errorsPerSecond: (step?.errors ?? 0) / seconds,
        p50: step?.durations.quantile(0.5) ?? 0,
        p95: step?.durations.quantile(0.95) ?? 0,
      });
    }
    return points;
  }
}
