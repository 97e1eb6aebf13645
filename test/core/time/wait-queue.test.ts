import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { AheadQueue } from '../../../src/core/pipeline/fair-queue.ts';
import { CallController } from '../../../src/core/time/call-signal.ts';
import { type Waiter, WaitQueue } from '../../../src/core/time/wait-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fc } from '../../support/property.ts';

const REASON = new ProxyError('timeout', 'It may have run.', { sent: 'maybe', ifUnsent: 'It did not run.' });

/** A queue whose callers are named by their place; `ends` records how each has left. */
function queueOf({ isAhead = (_name: string): boolean => false, onLeave = (): void => undefined } = {}) {
  const order = new AheadQueue<Waiter<number, string>, string>(isAhead, () => undefined);
  const queue = new WaitQueue<number, string>({ order, onLeave });
  const ends: string[] = [];
  const clock = new FakeClock();
  const join = (name: string, ms?: number) => {
    const controller = new CallController();
    const limit = ms === undefined ? undefined : { clock, ms, refusal: () => `late, ${queue.size} left` };
    queue.wait(controller.signal, name, limit).then(
      (value) => ends.push(`${name}: ${value}`),
      (error: unknown) => ends.push(`${name}: ${error instanceof Error ? error.message : String(error)}`),
    );
    return controller;
  };
  return { queue, order, ends, clock, join };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a wait queue', () => {
  it('a wait queue serves callers in order, each once', async () => {
    const { queue, ends, join } = queueOf();
    for (const name of ['0', '', '-1']) join(name);
    let value = 0;
    while (queue.serve((name) => (name === '' ? -1 : value++))) expect(queue.size).toBeLessThan(3);
    await turn();
    expect(ends).toEqual(['0: 0', ': -1', '-1: 1']);
  });

  it('a wait queue makes no value if nobody waits', () => {
    const { queue } = queueOf();
    const served = queue.serve(() => {
      throw new Error('made');
    });
    expect(served).toBe(false);
  });

  it('a wait queue serves priority callers before all others', async () => {
    const { queue, order, ends, join } = queueOf({ isAhead: (name) => name.startsWith('!') });
    for (const name of ['a', '!b', 'c', '!d']) join(name);
    expect([queue.size, order.turnsBefore('!e'), order.turnsBefore('e')]).toEqual([4, 2, 4]);
    while (queue.serve(() => 0));
    await turn();
    expect(ends).toEqual(['!b: 0', '!d: 0', 'a: 0', 'c: 0']);
  });

  it('a wait queue rejects a cancelled caller at once with the unsent reason, and the others wait on', async () => {
    let left = 0;
    const { queue, ends, join } = queueOf({ onLeave: () => left++ });
    const controllers = ['a', 'b', 'c'].map((name) => join(name));
    controllers[1]?.abort(REASON);
    expect([queue.size, left]).toEqual([2, 1]);
    while (queue.serve(() => 0));
    await turn();
    expect(ends).toEqual(['b: It did not run.', 'a: 0', 'c: 0']);
  });

  it('a wait queue rejects a caller that is cancelled before it joins', async () => {
    const queue = new WaitQueue<number>();
    await expect(queue.wait(AbortSignal.abort(REASON), undefined)).rejects.toMatchObject({ sent: 'no' });
    expect(queue.size).toBe(0);
  });

  it('a wait queue refuses a caller when its limit is over, with an error made after it has left', async () => {
    const { ends, clock, join } = queueOf();
    join('a', 100);
    join('b', 101);
    join('c');
    await clock.advance(100);
    expect(ends).toEqual(['a: late, 2 left']);
    await clock.advance(1);
    expect(ends).toEqual(['a: late, 2 left', 'b: late, 1 left']);
  });

  it('a wait queue leaves neither timer nor listener of a caller that was served, refused or cancelled', async () => {
    const { queue, clock, join } = queueOf();
    const controllers = ['a', 'b', 'c'].map((name) => join(name, 100));
    queue.serve(() => 0);
    queue.refuse((name) => (name === 'b' ? 'no' : undefined));
    controllers[2]?.abort('gone');
    expect([queue.size, clock.timers]).toEqual([0, 0]);
    for (const controller of controllers) controller.abort('late');
    await turn();
  });

  it('a wait queue refuses the callers that a function names, and counts positions of the others', async () => {
    const { queue, ends, join } = queueOf();
    for (const name of ['a', 'b', 'c', 'd']) join(name);
    const seen: [string, number][] = [];
    queue.refuse((name, position) => {
      seen.push([name, position]);
      return name === 'b' ? `refused ${queue.size}` : undefined;
    });
    await turn();
    expect(seen).toEqual([
      ['a', 0],
      ['b', 1],
      ['c', 1],
      ['d', 2],
    ]);
    expect(ends).toEqual(['b: refused 4']);
    expect(queue.size).toBe(3);
  });

  it('a wait queue lets each caller leave exactly once, in any order of events', async () => {
    const step = fc.oneof(
      fc.constant({ does: 'join' as const }),
      fc.constant({ does: 'serve' as const }),
      fc.record({ does: fc.constant('cancel' as const), which: fc.nat(20) }),
      fc.record({ does: fc.constant('refuse' as const), which: fc.nat(20) }),
      fc.record({ does: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 60 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { queue, ends, clock, join } = queueOf();
        const joined: CallController[] = [];
        for (const each of steps) {
          if (each.does === 'join') joined.push(join(String(joined.length), 50));
          else if (each.does === 'serve') queue.serve(() => 0);
          else if (each.does === 'cancel') joined[each.which]?.abort(REASON);
          else if (each.does === 'refuse')
            queue.refuse((name) => (name === String(each.which) ? 'no' : undefined));
          else await clock.advance(each.ms);
          await turn();
          expect(new Set(ends.map((end) => end.split(':')[0])).size).toBe(ends.length);
          expect(queue.size).toBe(joined.length - ends.length);
        }
        queue.refuse(() => 'end');
        await turn();
        expect(ends.length).toBe(joined.length);
        expect(clock.timers).toBe(0);
      }),
    );
  });
});
