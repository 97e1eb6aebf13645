import type { Clock } from './clock.ts';

/**
 * How long to wait before the next try: anything up to a limit that doubles with each, so that many
 * who failed together do not come back together.
 * @param attempt - 1 for the first wait.
 * @returns milliseconds.
 */
export const fullJitter = (
  clock: Pick<Clock, 'random'>,
  attempt: number,
  baseMs: number,
  maxMs: number,
): number => clock.random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));

/**
 * The least wait before a stream is asked for again: a server that names none, or 0, must not set
 * off a storm of requests.
 */
const MIN_RECONNECT_MS = 100;
/** A server's wish for a longer pause is taken for a mistake. */
const MAX_RECONNECT_MS = 300_000;

/**
 * How long to wait before a stream is asked for again: as long as its server wants, and longer the
 * more often it brought nothing.
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
  // Closing a stream with a wish when to come back is how servers make their clients poll: kept to
  // the letter, within reason.
  if (wish !== undefined && !failed) return Math.max(wish, MIN_RECONNECT_MS);
  return Math.max(wish ?? 0, MIN_RECONNECT_MS, backoff);
}
