import { expect, it } from 'vitest';
import { MAX_SILENCE_MS, WorkerWatch } from '../../src/workers/worker-watch.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A clock whose timers fire when the test says so, however late. */
class LateClock extends FakeClock {
  #now = 0;
  #timer: { due: number; fire: () => void } | undefined;

  override monotonic(): number {
    return this.#now;
  }

  override schedule(ms: number, fire: () => void) {
    this.#timer = { due: this.#now + ms, fire };
    return { cancel: () => true };
  }

  /** Fires the pending timer, so many milliseconds after it was due. */
  fireLate(ms: number): void {
    const { due = 0, fire } = this.#timer ?? {};
    this.#now = due + ms;
    fire?.();
  }
}

function setUp<T extends FakeClock>(clock: T) {
  const hung: number[] = [];
  const slots = [0, 1].map((index) => ({
    index,
    pings: 0,
    answers: true,
    process: undefined as { send: () => boolean } | undefined,
  }));
  const watch = new WorkerWatch(clock, slots, ({ index }) => hung.push(index));
  for (const slot of slots) {
    slot.process = {
      send: () => {
        slot.pings++;
        // The answer arrives after the ping was sent.
        if (slot.answers) setImmediate(() => watch.receive(slot));
        return true;
      },
    };
  }
  const [one, other] = slots as [(typeof slots)[0], (typeof slots)[0]];
  watch.start();
  return { clock, watch, hung, one, other };
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

it('a worker that is silent for 15 s is reported once, and one that answers is not', async () => {
  const { clock, hung, one, other } = setUp(new FakeClock());
  await clock.advance(5_500);
  one.answers = false;
  // The next ping is sent at 6 s.
  await clock.advance(500 + MAX_SILENCE_MS - 1);
  expect(hung).toEqual([]);
  await clock.advance(1);
  expect(hung).toEqual([0]);
  await clock.advance(60_000);
  expect(hung).toEqual([0]);
  expect([one.pings, other.pings]).toEqual([6, 81]);
});

it('a worker that answers late is not reported, and its next silence is counted from the start', async () => {
  const { clock, watch, hung, one } = setUp(new FakeClock());
  one.answers = false;
  await clock.advance(1_000 + MAX_SILENCE_MS - 1);
  watch.receive(one);
  await clock.advance(1 + MAX_SILENCE_MS - 1);
  expect(hung).toEqual([]);
  await clock.advance(1);
  expect(hung).toEqual([0]);
});

it('a worker that replaces a silent one gets the whole time', async () => {
  const { clock, watch, hung, one } = setUp(new FakeClock());
  one.answers = false;
  await clock.advance(MAX_SILENCE_MS);
  const { process } = one;
  one.process = undefined;
  watch.receive(one);
  await clock.advance(10_000);
  one.process = process;
  await clock.advance(MAX_SILENCE_MS);
  expect(hung).toEqual([]);
  await clock.advance(1_000);
  expect(hung).toEqual([0]);
});

it('a pause of the whole machine counts for no worker, however long and often', async () => {
  const { clock, hung, one } = setUp(new LateClock());
  clock.fireLate(0);
  one.answers = false;
  for (let pause = 0; pause < 100; pause++) clock.fireLate(60_000);
  expect(hung).toEqual([]);
});

it('a worker whose answer was not read before a pause is not reported', async () => {
  const { clock, hung } = setUp(new LateClock());
  for (let seconds = 0; seconds < 100; seconds++) {
    clock.fireLate(0);
    clock.fireLate(60_000);
    await turn();
  }
  expect(hung).toEqual([]);
});

it('a worker that stays silent between pauses is reported', () => {
  const { clock, hung, other } = setUp(new LateClock());
  other.answers = false;
  clock.fireLate(0);
  for (let seconds = 0; seconds < MAX_SILENCE_MS / 1_000; seconds++) {
    expect(hung).not.toContain(1);
    clock.fireLate(60_000);
    clock.fireLate(100);
  }
  expect(hung).toContain(1);
});
