import type { Clock } from './clock.ts';

/**
 * Returns the wait before the next attempt: a random part of a limit that doubles each time, so
 * that callers that failed together do not return together.
 * @param attempt - 1 for the first wait.
 * @returns milliseconds.
 */
export const fullJitter = (
  clock: Pick<Clock, 'random'>,
  attempt: number,
  baseMs: number,
  maxMs: number,
): number => clock.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));

/** A server that names no pause, or 0, must not cause a storm of requests. */
const MIN_RECONNECT_MS = 100;
/** A longer requested pause is taken for a mistake. */
const MAX_RECONNECT_MS = 300_000;

/**
 * Returns the wait before a stream is requested again: the server's wish, and longer the more often
 * the stream brought nothing.
 * @param wishMs - milliseconds of the stream's last `retry` field, if there was one.
 * @param empty - attempts in a row that brought no message; 0 for the first wait.
 * @param failed - the last attempt did not even open a stream: then the server's wish is the least.
 */
export function reconnectDelay(
  clock: Pick<Clock, 'random'>,
  {
    wishMs,
    empty,
    failed,
    baseMs,
    maxMs,
  }: { wishMs: number | undefined; empty: number; failed: boolean; baseMs: number; maxMs: number },
): number {
  const backoff = fullJitter(clock, Math.max(1, empty), baseMs, maxMs);
  const wish = wishMs === undefined ? undefined : Math.min(wishMs, MAX_RECONNECT_MS);
  // Servers make clients poll by closing the stream with a `retry` time: it is kept exactly, within
  // bounds.
  if (wish !== undefined && !failed) return Math.max(wish, MIN_RECONNECT_MS);
  return Math.max(wish ?? 0, MIN_RECONNECT_MS, backoff);
}
