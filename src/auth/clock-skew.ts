/**
 * A wrong time zone is off by 14 hours at most. Beyond, a server would choose how long the
 * signatures stay valid that it is given: whoever reads them later could use them until that time.
 */
export const MAX_CLOCK_CORRECTION_MS = 15 * 60 * 60 * 1_000;

/**
 * How far a server's clock is ahead of `now`, by its Date header; undefined where that is no HTTP
 * date. Pure.
 */
export function skewOf(dateHeader: string, now: number): number | undefined {
  // HTTP dates end in GMT; others would be read as local time.
  const date = / GMT$/.test(dateHeader) ? Date.parse(dateHeader) : Number.NaN;
  return Number.isFinite(date) ? date - now : undefined;
}

export const isCorrectable = (skewMs: number): boolean => Math.abs(skewMs) <= MAX_CLOCK_CORRECTION_MS;
