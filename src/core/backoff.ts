import type { Clock } from './clock.ts';

/**
 * How long to wait before the next try: anything up to a limit that doubles with each, so that many who failed together do not
 * come back together.
 * @param attempt - 1 for the first wait.
 * @returns milliseconds.
 */
export const fullJitter = (
  clock: Pick<Clock, 'random'>,
  attempt: number,
  baseMs: number,
  maxMs: number,
): number => clock.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));
