import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Reopening } from '../../../src/upstream/session/reopening.ts';

function rig() {
  const closing = new AbortController();
  const reopening = new Reopening<number>(closing.signal);
  const attempts: { until: AbortSignal; resolve: (n: number) => void; reject: (error: Error) => void }[] = [];
  const join = () =>
    reopening.join(
      (until) => new Promise((resolve, reject) => void attempts.push({ until, resolve, reject })),
    );
  const listeners = () => getEventListeners(closing.signal, 'abort').length;
  return { closing, reopening, attempts, join, listeners };
}

describe('an attempt', () => {
  it('is shared by all who ask while it runs, and the next one begins when it is over', async () => {
    const { attempts, join, reopening } = rig();
    const waiting = [join(), join(), join()];
    expect(attempts).toHaveLength(1);
    attempts[0]?.resolve(7);
    expect(await Promise.all(waiting)).toEqual([7, 7, 7]);
    expect(reopening.running).toBeUndefined();
    void join();
    expect(attempts).toHaveLength(2);
  });

  it('that fails, fails for all, and is not held against the next', async () => {
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

  it('that is abandoned is told so, and its end does not take the place of the one that follows', async () => {
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

  it('ends with what it belongs to, also where that has ended before', async () => {
    const { closing, attempts, join } = rig();
    void join();
    closing.abort(new Error('the proxy is ending'));
    expect(attempts[0]?.until.aborted).toBe(true);
    attempts[0]?.resolve(0);
    await new Promise(setImmediate);
    void join();
    expect(attempts[1]?.until.aborted).toBe(true);
  });

  it('leaves no listener behind, however many there were', async () => {
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
