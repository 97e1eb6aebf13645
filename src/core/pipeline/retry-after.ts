import type { HttpFacts } from './call.ts';

/** An HTTP date starts with the name of its day; Date.parse alone would make a year of "-5". */
const LOOKS_LIKE_DATE = /^[A-Za-z]{3,9},? /;

const first = (value: string | string[] | undefined): string =>
  (Array.isArray(value) ? (value[0] ?? '') : (value ?? '')).trim();

/** RFC 9110 knows three forms; the one without a zone means GMT too. NaN where it is none. */
const dateOf = (value: string): number =>
  LOOKS_LIKE_DATE.test(value) ? Date.parse(/GMT$/.test(value) ? value : `${value} GMT`) : Number.NaN;

/**
 * Retry-After in milliseconds: seconds or an HTTP date; undefined where it is absent or unreadable.
 * A date is read on the server's clock where the answer shows it, because the two clocks need not
 * agree.
 * @param now - wall clock of this machine.
 */
export function retryAfterOf(headers: HttpFacts['headers'], now: number): number | undefined {
  const value = first(headers['retry-after']);
  if (/^\d+(\.\d+)?$/.test(value)) return Math.min(Math.ceil(Number(value) * 1_000), Number.MAX_SAFE_INTEGER);
  const until = dateOf(value);
  if (Number.isNaN(until)) return undefined;
  const theirs = dateOf(first(headers.date));
  return Math.max(0, until - (Number.isNaN(theirs) ? now : theirs));
}
