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

describe('a stream is asked for again', () => {
  it.each<[what: string, wishMs: number | undefined, empty: number, failed: boolean, delay: number]>([
    ['when its server wants', 2_500, 0, false, 2_500],
    ['when its server wants, however often it brought nothing: that is polling', 2_500, 9, false, 2_500],
    ['after a moment, where its server names no time', undefined, 0, false, 500],
    ['later and later, where it brings nothing', undefined, 4, false, 4_000],
    ['no sooner than 100 ms, where its server wants it at once', 0, 0, false, 100],
    ['later and later, where it cannot be opened, and no sooner than its server wants', 5, 3, true, 2_000],
    ['when its server wants, where that is later than the backoff', 9_000, 2, true, 9_000],
    ['after five minutes at the most', 86_400_000, 0, false, 300_000],
  ])('%s', (_what, wishMs, empty, failed, delay) => {
    expect(reconnectDelay(half, { wishMs, empty, failed, ...limits })).toBe(delay);
  });
});
