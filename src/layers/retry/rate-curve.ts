/**
 * The constants of the AWS SDKs' adaptive retry mode, which took them from the congestion control
 * CUBIC (RFC 9438).
 */
const BETA = 0.7;
const SCALE = 0.4;
/** Minimum rate: a recovered server must be noticed. */
export const MIN_RATE = 0.5;
/** Upper bound of the rate, as a multiple of the accepted rate. */
const MAX_GROWTH = 2;

/** The rate after the server has throttled at `maxRate` requests per second. Pure. */
export const throttledRate = (maxRate: number): number => Math.max(MIN_RATE, maxRate * BETA);

/**
 * The rate after `sinceS` seconds without throttling: quickly back to where the server throttled
 * last, slowly past it, then faster. Pure.
 */
export function cubicRate(sinceS: number, lastMaxRate: number, acceptedRate: number): number {
  const plateauS = Math.cbrt((lastMaxRate * (1 - BETA)) / SCALE);
  const rate = SCALE * (sinceS - plateauS) ** 3 + lastMaxRate;
  return Math.max(MIN_RATE, Math.min(rate, MAX_GROWTH * Math.max(acceptedRate, MIN_RATE)));
}

const WINDOW_MS = 1_000;

/** Counts accepted requests of the last second in two windows, in constant memory. */
export class AcceptedRate {
  #since: number;
  #count = 0;
  #before = 0;

  /** @param now - monotonic, as in every method here. */
  constructor(now: number) {
    this.#since = now;
  }

  count(now: number): void {
    this.#turn(now);
    this.#count++;
  }

  /** Requests per second. */
  at(now: number): number {
    this.#turn(now);
    return this.#count + this.#before * (1 - (now - this.#since) / WINDOW_MS);
  }

  #turn(now: number): void {
    const passed = now - this.#since;
    if (passed < WINDOW_MS) return;
    this.#before = passed < 2 * WINDOW_MS ? this.#count : 0;
    this.#count = 0;
    this.#since = passed < 2 * WINDOW_MS ? this.#since + WINDOW_MS : now;
  }
}
