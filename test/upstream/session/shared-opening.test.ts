import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { SharedOpening } from '../../../src/upstream/session/shared-opening.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig() {
  const closing = new AbortController();
  const reopening = new SharedOpening<number>(closing.signal);
  const attempts: { until: AbortSignal; resolve: (n: number) => void; reject: (error: Error) => void }[] = [];
  const join = () =>
    reopening.join(
      (until) => new Promise((resolve, reject) => void attempts.push({ until, resolve, reject })),
    );
  const listeners = () => getEventListeners(closing.signal, 'abort').length;
  return { closing, reopening, attempts, join, listeners };
}

describe('a shared opening', () => {
  it('a shared opening serves all callers while it runs, and the next one starts after it', async () => {
    const { attempts, join, reopening } = rig();
    const waiting = [join(), join(), join()];
    expect(attempts).toHaveLength(1);
    attempts[0]?.resolve(7);
    expect(await Promise.all(waiting)).toEqual([7, 7, 7]);
    expect(reopening.running).toBeUndefined();
    void join();
    expect(attempts).toHaveLength(2);
  });

  it('a shared opening that fails rejects for all callers, and has no effect on the next', async () => {
    const { attempts, join } = rig();
    const waiting = [join(), join()];
    const error = new Error('refused');
    attempts[0]?.reject(error);
    expect(await Promise.allSettled(waiting)).toEqual(
      waiting.map(() => ({ status: 'rejected', reason: error })),
    );
    const again = join();
    attempts[1]?.resolve(1);
    expect(await again).toBe(1);
  });

  it('a shared opening that is abandoned is aborted, and its end does not affect the next', async () => {
    const { attempts, join, reopening } = rig();
    const first = join();
    const reason = new Error('the client has opened one itself');
    reopening.abandon(reason);
    expect(attempts[0]?.until.reason).toBe(reason);
    const second = join();
    attempts[0]?.resolve(1);
    await first;
    expect(reopening.running).toBe(second);
    attempts[1]?.resolve(2);
    expect(await second).toBe(2);
  });

  it('a shared opening ends with its owner, also if that has ended before', async () => {
    const { closing, attempts, join } = rig();
    void join();
    closing.abort(new Error('the proxy is ending'));
    expect(attempts[0]?.until.aborted).toBe(true);
    attempts[0]?.resolve(0);
    await new Promise(setImmediate);
    void join();
    expect(attempts[1]?.until.aborted).toBe(true);
  });

  it('a shared opening leaves no listener behind, however many there were', async () => {
    const { attempts, join, listeners } = rig();
    for (let n = 0; n < 50; n++) {
      const work = join();
      expect(listeners()).toBe(1);
      attempts[n]?.resolve(n);
      await work;
    }
    expect(listeners()).toBe(0);
  });
});

describe('a caller of a shared opening', () => {
  const refusal = () => new ProxyError('timeout', 'no session within 2 s', { sent: 'maybe' });
  const failure = (work: Promise<unknown>) => work.catch((error: unknown) => error);

  function waiting(again = true) {
    const made = rig();
    const clock = new FakeClock();
    const wait = (signal = new AbortController().signal) =>
      made.reopening.wait(made.join, signal, { clock, ms: 2_000, retriesTimeout: again, refusal });
    return { ...made, clock, wait };
  }

  it('a shared opening ends with its last caller, and the next caller of the same turn gets another', async () => {
    const { attempts, wait, clock } = waiting();
    const [one, two] = [new AbortController(), new AbortController()];
    const left = [failure(wait(one.signal)), failure(wait(two.signal))];
    one.abort(new Error('cancelled'));
    expect(attempts[0]?.until.aborted).toBe(false);
    two.abort(new Error('cancelled, too'));
    expect(attempts[0]?.until.reason).toEqual(new Error('cancelled, too'));
    const next = wait();
    expect(attempts).toHaveLength(2);
    attempts[1]?.resolve(2);
    expect(await next).toBe(2);
    expect(await Promise.all(left)).toEqual([new Error('cancelled'), new Error('cancelled, too')]);
    attempts[0]?.reject(new Error('ended'));
    expect(clock.timers).toBe(0);
  });

  it('a caller of a shared opening is refused after its time, and later callers keep the opening', async () => {
    const { attempts, wait, clock } = waiting();
    const first = failure(wait());
    await clock.advance(1_500);
    const second = wait();
    await clock.advance(500);
    expect(await first).toMatchObject({ reason: 'timeout', message: 'no session within 2 s' });
    expect(attempts[0]?.until.aborted).toBe(false);
    attempts[0]?.resolve(1);
    expect(await second).toBe(1);
    expect(clock.timers).toBe(0);
  });

  it.each([
    [true, 2],
    [false, 1],
  ])(
    'a caller of a shared opening starts another after one that hung, if it may (%s): %s attempts',
    async (again, count) => {
      const { attempts, wait } = waiting(again);
      const work = failure(wait());
      attempts[0]?.reject(refusal());
      await new Promise(setImmediate);
      expect(attempts).toHaveLength(count);
      attempts[1]?.resolve(1);
      expect(await work).toEqual(again ? 1 : refusal());
    },
  );
});
