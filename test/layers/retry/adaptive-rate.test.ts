import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { AdaptiveRate } from '../../../src/layers/retry/adaptive-rate.ts';
import { AcceptedRate, cubicRate, MIN_RATE, throttledRate } from '../../../src/layers/retry/rate-curve.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { settle } from '../../support/make-call.ts';

const never = new AbortController().signal;
const ANY_TIME = { ahead: false, remainingMs: Number.POSITIVE_INFINITY };

function setUp() {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const rate = new AdaptiveRate({ profile: '', clock, events });
  const granted: unknown[] = [];
  const take = (
    name: unknown,
    turn: Partial<typeof ANY_TIME> = {},
    signal = new AbortController().signal,
  ): Promise<void> => {
    const taken = (rate.take(signal, { ...ANY_TIME, ...turn }) ?? Promise.resolve()).then(() => {
      granted.push(name);
    });
    taken.catch(() => undefined);
    return taken;
  };
  return { clock, rate, seen, granted, take };
}

describe('a server that never throttles', () => {
  it('a server that never throttles causes no wait, whatever the load', () => {
    const { clock, rate } = setUp();
    for (let call = 0; call < 10_000; call++) {
      expect(rate.take(never, ANY_TIME)).toBeUndefined();
      rate.accepted(clock.monotonic());
    }
    expect(rate.ratePerSecond).toBeUndefined();
    expect(clock.timers).toBe(0);
  });
});

describe('the first throttling', () => {
  it('a first throttling cuts the rate below what the server accepted within the last second', () => {
    const { clock, rate, seen } = setUp();
    for (let call = 0; call < 10; call++) rate.accepted(clock.monotonic());
    rate.throttled(clock.monotonic(), undefined);
    expect(rate.ratePerSecond).toBeCloseTo(7);
    expect(seen).toMatchObject([{ type: 'rate.learned', ratePerSecond: rate.ratePerSecond }]);
  });

  it('a first throttling cuts once for all requests that were sent together', async () => {
    const { clock, rate } = setUp();
    const sentAt = clock.monotonic();
    await clock.advance(10);
    for (let call = 0; call < 10; call++) rate.accepted(sentAt);
    for (let call = 0; call < 13; call++) rate.throttled(sentAt, undefined);
    expect(rate.ratePerSecond).toBeCloseTo(7);
  });

  it('a first throttling also counts later answers to earlier requests', async () => {
    const { clock, rate } = setUp();
    const sentAt = clock.monotonic();
    await clock.advance(10);
    rate.throttled(sentAt, undefined);
    for (let call = 0; call < 20; call++) rate.accepted(sentAt);
    expect(rate.ratePerSecond).toBeCloseTo(14);
  });
});

describe('after a throttling', () => {
  it('requests after a throttling go in order at the learned rate, and priority requests first', async () => {
    const { clock, rate, granted, take } = setUp();
    rate.throttled(clock.monotonic(), undefined);
    for (const name of [0, '', -1]) void take(name);
    void take('ahead', { ahead: true });
    expect(rate.waiting).toBe(4);
    await clock.advance(2_000);
    expect(granted).toEqual(['ahead', 0, '', -1]);
    expect(clock.timers).toBe(0);
  });

  it('requests after a throttling wait for the time that the server requested', async () => {
    const { clock, rate, granted, take } = setUp();
    rate.throttled(clock.monotonic(), 5_000);
    void take(0);
    await clock.advance(4_999);
    expect(granted).toEqual([]);
    await clock.advance(1_000);
    expect(granted).toEqual([0]);
  });

  it('a request whose time is over after a throttling names the throttling', async () => {
    const { clock, rate, take } = setUp();
    rate.throttled(clock.monotonic(), 10_000);
    const taken = take(0, { remainingMs: 1_000 });
    await clock.advance(1_000);
    const error: unknown = await taken.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'rate-limited', sent: 'no' });
    expect((error as ProxyError).message).toContain('--tool-timeout');
    expect([rate.waiting, clock.timers]).toEqual([0, 0]);
  });

  it('a request cancelled after a throttling leaves the queue, and the next one moves up', async () => {
    const { clock, rate, granted, take } = setUp();
    rate.throttled(clock.monotonic(), undefined);
    const leaving = new AbortController();
    const left = take(0, {}, leaving.signal);
    void take('');
    leaving.abort(new Error('cancelled'));
    await expect(left).rejects.toThrow('cancelled');
    await clock.advance(500);
    expect(granted).toEqual(['']);
    expect(clock.timers).toBe(0);
  });

  it('requests queued after a throttling are refused when the process ends', async () => {
    const { clock, rate, take } = setUp();
    rate.throttled(clock.monotonic(), undefined);
    const ending = new ProxyError('shutting-down', 'ending', { sent: 'no' });
    const taken = [take(0), take('')];
    rate.refuseWaiting(ending);
    for (const each of [...taken, take(-1)]) await expect(each).rejects.toBe(ending);
    expect([rate.waiting, clock.timers]).toEqual([0, 0]);
  });

  it('the learned rate grows while it is used up, and not while it is unused', async () => {
    const { clock, rate, take } = setUp();
    for (let call = 0; call < 10; call++) rate.accepted(clock.monotonic());
    rate.throttled(clock.monotonic(), undefined);
    const cut = rate.ratePerSecond ?? 0;
    await clock.advance(60_000);
    rate.accepted(clock.monotonic());
    expect(rate.ratePerSecond).toBe(cut);
    for (let second = 0; second < 10; second++) {
      for (let call = 0; call < 100; call++) {
        void take(call).then(() => rate.accepted(clock.monotonic()));
      }
      await clock.advance(1_000);
    }
    await settle();
    expect(rate.ratePerSecond).toBeGreaterThan(2 * cut);
  });
});

describe('the rate curve', () => {
  it.each([
    [10, 7],
    [1, 0.7],
    [0, MIN_RATE],
  ])('the rate curve cuts %f requests per second to %f', (rate, cut) => {
    expect(throttledRate(rate)).toBeCloseTo(cut);
  });

  it('the rate curve starts at the cut rate, returns to the old one, and grows to twice the accepted rate', () => {
    expect(cubicRate(0, 10, 10)).toBeCloseTo(7);
    expect(cubicRate(Math.cbrt(7.5), 10, 10)).toBeCloseTo(10);
    expect(cubicRate(100, 10, 12)).toBe(24);
    expect(cubicRate(100, 10, 0)).toBe(1);
  });

  it('the rate meter counts what was accepted within the last second', () => {
    const accepted = new AcceptedRate(0);
    for (let at = 0; at < 1_000; at += 100) accepted.count(at);
    expect(accepted.at(999)).toBe(10);
    expect(accepted.at(1_500)).toBe(5);
    expect(accepted.at(3_000)).toBe(0);
  });
});
