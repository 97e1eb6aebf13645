import { describe, expect, it } from 'vitest';
import { Countdown } from '../../src/client/deadline.ts';
import { FakeClock } from '../support/fake-clock.ts';

function countdown(ms: number) {
  const clock = new FakeClock();
  const expired: number[] = [];
  const deadline = new Countdown(clock, ms, () => expired.push(clock.monotonic()));
  return { clock, expired, deadline };
}

describe('a countdown', () => {
  it('a countdown ends once, when its time is over', async () => {
    const { clock, expired } = countdown(100);
    await clock.advance(1_000);
    expect(expired).toEqual([100]);
  });

  it('a countdown of 0 never ends, whatever is done to it', async () => {
    const { clock, expired, deadline } = countdown(0);
    deadline.hold()();
    deadline.restart();
    await clock.advance(1_000_000);
    expect(expired).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('a countdown stops while held and continues with the rest', async () => {
    const { clock, expired, deadline } = countdown(100);
    await clock.advance(60);
    const release = deadline.hold();
    await clock.advance(10_000);
    expect(clock.timers).toBe(0);
    release();
    await clock.advance(1_000);
    expect(expired).toEqual([10_100]);
  });

  it('a countdown stops until every hold is released, and each counts once', async () => {
    const { clock, expired, deadline } = countdown(100);
    const [first, second] = [deadline.hold(), deadline.hold()];
    first();
    first();
    await clock.advance(1_000);
    expect(expired).toEqual([]);
    second();
    await clock.advance(100);
    expect(expired).toEqual([1_100]);
  });

  it('a countdown starts again when restarted, also while held', async () => {
    const { clock, expired, deadline } = countdown(100);
    await clock.advance(99);
    deadline.restart();
    await clock.advance(99);
    const release = deadline.hold();
    deadline.restart();
    await clock.advance(500);
    release();
    await clock.advance(99);
    expect(expired).toEqual([]);
    await clock.advance(1);
    expect(expired).toEqual([798]);
  });

  it('a stopped countdown never ends, also after a release or restart', async () => {
    const { clock, expired, deadline } = countdown(100);
    const release = deadline.hold();
    deadline.stop();
    release();
    deadline.restart();
    await clock.advance(1_000);
    expect(expired).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('a countdown that has ended does not end again', async () => {
    const { clock, expired, deadline } = countdown(100);
    await clock.advance(100);
    deadline.restart();
    deadline.hold()();
    await clock.advance(1_000);
    expect(expired).toEqual([100]);
    expect(clock.timers).toBe(0);
  });
});

it('a countdown returns its remaining time: less while it runs, equal while held, all after progress', async () => {
  const clock = new FakeClock();
  const deadline = new Countdown(clock, 1_000, () => undefined);
  await clock.advance(300);
  expect(deadline.remainingMs).toBe(700);
  const release = deadline.hold();
  await clock.advance(5_000);
  expect(deadline.remainingMs).toBe(700);
  release();
  await clock.advance(100);
  expect(deadline.remainingMs).toBe(600);
  deadline.restart();
  expect(deadline.remainingMs).toBe(1_000);
  await clock.advance(2_000);
  expect(deadline.remainingMs).toBe(0);
  expect(new Countdown(clock, 0, () => undefined).remainingMs).toBe(Number.POSITIVE_INFINITY);
});

it('countdowns of one limit share a timer, and each ends in its time, also after a restart, a hold and a stop', async () => {
  const clock = new FakeClock();
  const ended: string[] = [];
  const start = (name: string) =>
    new Countdown(clock, 1_000, () => ended.push(`${name} ${clock.monotonic()}`));
  const first = start('first');
  await clock.advance(100);
  const second = start('second');
  const third = start('third');
  const fourth = start('fourth');
  expect(clock.timers).toBe(1);
  await clock.advance(100);
  first.restart();
  second.stop();
  const release = third.hold();
  expect(clock.timers).toBe(1);
  await clock.advance(50);
  release();
  await clock.advance(10_000);
  expect(ended).toEqual(['fourth 1100', 'third 1150', 'first 1200']);
  expect(fourth.remainingMs).toBe(0);
  expect(clock.timers).toBe(0);
});

it('the end of a countdown may start and stop others of the same limit', async () => {
  const clock = new FakeClock();
  const ended: number[] = [];
  const next = new Countdown(clock, 1_000, () => ended.push(-1));
  const again = (): void => {
    ended.push(clock.monotonic());
    next.stop();
    if (ended.length < 3) new Countdown(clock, 1_000, again);
  };
  next.restart();
  new Countdown(clock, 1_000, again);
  next.restart();
  await clock.advance(10_000);
  expect(ended).toEqual([1_000, 2_000, 3_000]);
  expect(clock.timers).toBe(0);
});
