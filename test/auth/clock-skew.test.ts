import { describe, expect, it } from 'vitest';
import { skewOf } from '../../src/auth/clock-skew.ts';

const HOUR = 3_600_000;

describe('the clock skew of a server', () => {
  it.each([
    ['Thu, 01 Jan 1970 01:00:00 GMT', HOUR],
    ['Thursday, 01-Jan-70 01:00:00 GMT', HOUR],
    ['', undefined],
    ['Thu, 01 Jan 1970 01:00:00', undefined],
    ['1970-01-01T01:00:00Z', undefined],
    ['Sat, 13 Sep 275760 00:00:01 GMT', undefined],
  ])('the clock skew of a server with the Date header %j is %s', (header, skew) => {
    expect(skewOf(header, 0)).toBe(skew);
  });
});
