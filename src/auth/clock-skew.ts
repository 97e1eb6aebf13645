/**
 * A wrong time zone is 14 hours off at most. A larger correction would let a server choose a
 * signature that others can use later.
 */
export const MAX_CLOCK_CORRECTION_MS = 15 * 60 * 60 * 1_000;

/**
 * How far the clock of the server is ahead of `now`, read from its Date header; undefined if that
 * is not an HTTP date. Pure.
 */
export function skewOf(dateHeader: string, now: number): number | undefined {
  // HTTP dates end in GMT. Date.parse reads others as local time.
  const date = / GMT$/.test(dateHeader) ? Date.parse(dateHeader) : Number.NaN;
  return Number.isFinite(date) ? date - now : undefined;
}

export const isCorrectable = (skewMs: number): boolean => Math.abs(skewMs) <= MAX_CLOCK_CORRECTION_MS;
