import { expect, it } from 'vitest';
import { applyRate, newBucket, type RateCommand } from '../../src/limits/rate-bucket.ts';

const LIMIT = { ratePerSecond: 10, burst: 5 };
const TAKE: RateCommand = { name: 'take', count: 9, maxWaitUs: 30_000_000 };

it('the shared bucket gives saved turns up to the burst, then reserves one per interval', () => {
  const first = applyRate(newBucket(0, LIMIT), LIMIT, TAKE, 10_000_000);
  expect(first.answer.granted).toBe(5);
  const second = applyRate(first.state, LIMIT, TAKE, 10_000_000);
  const third = applyRate(second.state, LIMIT, TAKE, 10_000_000);
  expect([second.answer.waitUs, third.answer.waitUs]).toEqual([100_000, 200_000]);
});

it('a pause of the shared bucket delays a reserved turn by the length of the pause', () => {
  const taken = applyRate(newBucket(0, LIMIT), LIMIT, TAKE, 0);
  const { reserved = { readyAt: 0, shift: 0, born: 0 } } = taken.answer;
  const paused = applyRate(taken.state, LIMIT, { name: 'pause', us: 2_000_000 }, 50_000);
  const claim: RateCommand = { name: 'claim', reserved, maxWaitUs: 30_000_000, maxLateUs: 250_000 };
  const early = applyRate(paused.state, LIMIT, claim, 100_000);
  expect([early.answer.granted, early.answer.waitUs]).toEqual([0, 2_000_000]);
  expect(applyRate(early.state, LIMIT, claim, 2_100_000).answer.granted).toBe(1);
});

it('a turn that is claimed too late is void, and returns to the bucket', () => {
  const taken = applyRate(newBucket(0, LIMIT), LIMIT, TAKE, 0);
  const { reserved = { readyAt: 0, shift: 0, born: 0 } } = taken.answer;
  expect(reserved.readyAt).toBe(100_000);
  const claim: RateCommand = { name: 'claim', reserved, maxWaitUs: 30_000_000, maxLateUs: 250_000 };
  const late = applyRate(taken.state, LIMIT, claim, 400_000);
  expect(late.answer).toMatchObject({ granted: 0, reserved: undefined });
  expect(applyRate(late.state, LIMIT, TAKE, 400_000).answer.granted).toBe(4);
});

it('a turn and a refund of a bucket that the store has lost are void', () => {
  const taken = applyRate(newBucket(0, LIMIT), LIMIT, TAKE, 0);
  const { reserved = { readyAt: 0, shift: 0, born: 0 } } = taken.answer;
  const claim: RateCommand = { name: 'claim', reserved, maxWaitUs: 30_000_000, maxLateUs: 250_000 };
  const anew = newBucket(90_000, LIMIT);
  expect(applyRate(anew, LIMIT, claim, 110_000).answer).toMatchObject({ granted: 0, reserved: undefined });
  const refunded = applyRate(anew, LIMIT, { name: 'refund', count: 3, born: 0, reserved: false }, 90_000);
  expect(applyRate(refunded.state, LIMIT, TAKE, 90_000).answer.granted).toBe(0);
});

it.each([
  [10, 100_000],
  [1, 1_000_000],
  [0.25, 1_000_000],
])('the first turn of a new bucket with %s per second comes after %s us', (ratePerSecond, us) => {
  const limit = { ratePerSecond, burst: 1 };
  const first = applyRate(newBucket(0, limit), limit, TAKE, 0).answer;
  expect([first.granted, first.waitUs]).toEqual([0, us]);
});

it('turns that ended processes have reserved delay the others only until their own times', () => {
  let state = newBucket(0, LIMIT);
  // Ten processes end with a reserved turn each, while another one keeps the bucket busy.
  for (let ended = 0; ended < 10; ended++) state = applyRate(state, LIMIT, TAKE, 0).state;
  for (let now = 0; now < 5_000_000; now += 100_000) {
    const { answer, state: next } = applyRate(state, LIMIT, TAKE, now);
    state = next;
    if (!answer.reserved) continue;
    const claim = { name: 'claim', reserved: answer.reserved, maxWaitUs: 1e9, maxLateUs: 250_000 } as const;
    state = applyRate(state, LIMIT, claim, answer.reserved.readyAt).state;
    now = answer.reserved.readyAt;
  }
  const last = applyRate(state, LIMIT, TAKE, 6_000_000);
  expect(last.answer.waitUs).toBeLessThanOrEqual(100_000);
});
