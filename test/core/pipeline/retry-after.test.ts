import { describe, expect, it } from 'vitest';
import { retryAfterOf } from '../../../src/core/pipeline/retry-after.ts';

const NOW = Date.UTC(2026, 7, 14, 12, 0, 0);

describe('Retry-After', () => {
  it.each([
    ['seconds', '120', 120_000],
    ['no wait', '0', 0],
    ['blanks around', ' 2 ', 2_000],
    ['fractions, which some servers send', '0.25', 250],
    ['more than a number holds', '9'.repeat(400), Number.MAX_SAFE_INTEGER],
    ['a date', 'Fri, 14 Aug 2026 12:00:30 GMT', 30_000],
    ['a date in the form of RFC 850', 'Friday, 14-Aug-26 12:00:30 GMT', 30_000],
    ['a date in the form of asctime, which is GMT', 'Fri Aug 14 12:00:30 2026', 30_000],
    ['a date that has passed', 'Fri, 14 Aug 2026 11:00:00 GMT', 0],
    ['nothing', '', undefined],
    ['a negative number, which is no date either', '-5', undefined],
    ['words', 'soon', undefined],
    ['words that start like a date', 'Fri, whenever', undefined],
    ['an ISO date, which HTTP does not know', '2026-08-14T12:00:30Z', undefined],
  ])('Retry-After is read from %s', (_what, value, ms) => {
    expect(retryAfterOf({ 'retry-after': value }, NOW)).toBe(ms);
  });

  it('Retry-After is undefined if the header is absent', () => {
    expect(retryAfterOf({}, NOW)).toBeUndefined();
  });

  it('Retry-After is the first of several', () => {
    expect(retryAfterOf({ 'retry-after': ['3', '9'] }, NOW)).toBe(3_000);
  });

  it("Retry-After with a date is counted from the server's own clock", () => {
    const headers = { 'retry-after': 'Fri, 14 Aug 2026 15:00:30 GMT', date: 'Fri, 14 Aug 2026 15:00:00 GMT' };
    expect(retryAfterOf(headers, NOW)).toBe(30_000);
  });
});
