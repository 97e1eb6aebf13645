import { expect, it } from 'vitest';
import { applyRate, newBucket, type RateCommand } from '../../src/limits/rate-bucket.ts';

const LIMIT = { ratePerSecond: 10, burst: 5 };
const TAKE: RateCommand = { name: 'take', count: 9, maxWaitUs: 30_000_000, rejoin: 0 };

it('the shared bucket gives saved turns up to the burst, then reserves one per interval', () => {
  const first = applyRate(newBucket(0), LIMIT, TAKE, 10_000_000);
  expect(first.answer.granted).toBe(5);
  const second = applyRate(first.state, LIMIT, TAKE, 10_000_000);
  const third = applyRate(second.state, LIMIT, TAKE, 10_000_000);
  expect([second.answer.waitUs, third.answer.waitUs]).toEqual([100_000, 200_000]);
});

it('a pause of the shared bucket delays a reserved turn by the length of the pause', () => {
  const taken = applyRate(newBucket(0, 0), LIMIT, TAKE, 0);
  const { reserved = { readyAt: 0, shift: 0 } } = taken.answer;
  const paused = applyRate(taken.state, LIMIT, { name: 'pause', us: 2_000_000 }, 50_000);
  const claim: RateCommand = { name: 'claim', reserved, maxWaitUs: 30_000_000 };
  const early = applyRate(paused.state, LIMIT, claim, 100_000);
  expect([early.answer.granted, early.answer.waitUs]).toEqual([0, 2_000_000]);
  expect(applyRate(early.state, LIMIT, claim, 2_100_000).answer.granted).toBe(1);
});

it('two processes that take their shares after the store has recovered stay within the rate together', () => {
  let state = newBucket(0);
  const rejoin = { ...TAKE, rejoin: 2 };
  const grants: number[] = [];
  let due = 0;
  // One has returned, the other still uses its share of 5 per second.
  for (let now = 0; now <= 2_000_000; now += 10_000) {
    if (now < due) continue;
    const taken = applyRate(state, LIMIT, rejoin, now);
    state = taken.state;
    expect(taken.answer.granted).toBe(0);
    due = taken.answer.reserved?.readyAt ?? Number.POSITIVE_INFINITY;
    grants.push(due);
  }
  expect(grants.slice(0, 5)).toEqual([200_000, 400_000, 600_000, 800_000, 1_000_000]);
  // Both have returned.
  const both = [0, 100_000, 200_000, 300_000].map((now) => {
    const taken = applyRate(state, LIMIT, rejoin, 3_000_000 + now);
    state = taken.state;
    return taken.answer.waitUs;
  });
  expect(both).toEqual([200_000, 200_000, 200_000, 200_000]);
});
