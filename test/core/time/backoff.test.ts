import { describe, expect, it } from 'vitest';
import { fullJitter, reconnectDelay } from '../../../src/core/time/backoff.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const half = new FakeClock({ random: () => 0.5 });
const limits = { baseMs: 1_000, maxMs: 30_000 };

it.each([
  [1, 500],
  [2, 1_000],
  [5, 8_000],
  [6, 15_000],
  [60, 15_000],
])('full jitter before try %i is anything up to a limit that doubles', (attempt, delay) => {
  expect(fullJitter(half, attempt, 1_000, 30_000)).toBe(delay);
});

describe('reconnectDelay', () => {
  it.each<[what: string, wishMs: number | undefined, empty: number, failed: boolean, delay: number]>([
    ['at the time that its server names', 2_500, 0, false, 2_500],
    [
      'at the time that its server names, however often it was empty, because that is polling',
      2_500,
      9,
      false,
      2_500,
    ],
    ['after a moment if its server names no time', undefined, 0, false, 500],
    ['later each time it was empty', undefined, 4, false, 4_000],
    ['not before 100 ms if its server names 0', 0, 0, false, 100],
    ['later each time it cannot be opened, and not before the time that its server names', 5, 3, true, 2_000],
    ['at the time that its server names if that is later than the backoff', 9_000, 2, true, 9_000],
    ['after five minutes at most', 86_400_000, 0, false, 300_000],
  ])('a stream reconnects %s', (_what, wishMs, empty, failed, delay) => {
    expect(reconnectDelay(half, { wishMs, empty, failed, ...limits })).toBe(delay);
  });
});
