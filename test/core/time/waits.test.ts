import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import {
  abortable,
  abortableUnsent,
  settleWithin,
  sleep,
  withTimeout,
} from '../../../src/core/time/waits.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;
const never = new Promise<never>(() => undefined);

describe('sleep', () => {
  it('sleep ends at its time, and not before', async () => {
    const clock = new FakeClock();
    let over = false;
    void sleep(clock, 100).then(() => {
      over = true;
    });
    await clock.advance(99);
    expect(over).toBe(false);
    await clock.advance(1);
    expect(over).toBe(true);
  });

  it('sleep rejects with the reason of its signal, and leaves neither timer nor listener', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 100, controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    expect(clock.timers).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });

  it('sleep rejects at once if its signal was aborted before', async () => {
    const clock = new FakeClock();
    await expect(sleep(clock, 0, AbortSignal.abort('gone'))).rejects.toBe('gone');
    expect(clock.timers).toBe(0);
  });

  it('sleep removes its listener from a signal that lives longer', async () => {
    const clock = new FakeClock();
    const { signal } = new AbortController();
    const sleeping = sleep(clock, 1, signal);
    expect(listeners(signal)).toBe(1);
    await clock.advance(1);
    await sleeping;
    expect(listeners(signal)).toBe(0);
  });
});

describe('abortable', () => {
  it('abortable settles as the work does and removes its listener', async () => {
    const { signal } = new AbortController();
    await expect(abortable(Promise.resolve(0), signal)).resolves.toBe(0);
    const failure = new Error('work failed');
    await expect(abortable(Promise.reject(failure), signal)).rejects.toBe(failure);
    await Promise.resolve();
    expect(listeners(signal)).toBe(0);
  });

  it('abortable leaves shared work running when its own signal aborts', async () => {
    const work = new Promise<string>((resolve) => setImmediate(resolve, 'done'));
    const leaving = new AbortController();
    const left = abortable(work, leaving.signal);
    const stayed = abortable(work, new AbortController().signal);
    leaving.abort('bye');
    await expect(left).rejects.toBe('bye');
    await expect(stayed).resolves.toBe('done');
  });

  it('abortable rejects at once after an abort, and ignores a later failure of the work', async () => {
    await expect(abortable(Promise.reject(new Error('late')), AbortSignal.abort('bye'))).rejects.toBe('bye');
  });
});

describe('settleWithin', () => {
  it('settleWithin returns the value of work that is in time, and leaves no timer', async () => {
    const clock = new FakeClock();
    await expect(settleWithin(clock, 100, Promise.resolve('value'))).resolves.toBe('value');
    expect(clock.timers).toBe(0);
  });

  it('settleWithin returns undefined when the time is over', async () => {
    const clock = new FakeClock();
    const waited = settleWithin(clock, 100, never);
    await clock.advance(100);
    await expect(waited).resolves.toBeUndefined();
  });

  it('settleWithin returns undefined for work that fails', async () => {
    const clock = new FakeClock();
    await expect(settleWithin(clock, 100, Promise.reject(new Error('no')))).resolves.toBeUndefined();
    expect(clock.timers).toBe(0);
  });
});

describe('withTimeout', () => {
  it('withTimeout settles as the work does, and leaves no timer', async () => {
    const clock = new FakeClock();
    expect(await withTimeout(clock, 100, async (signal) => signal.aborted)).toBe(false);
    await expect(withTimeout(clock, 100, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(clock.timers).toBe(0);
  });

  it('withTimeout aborts the signal of the work when the time is over', async () => {
    const clock = new FakeClock();
    const work = withTimeout(clock, 1_500, (signal) => abortable(never, signal));
    const ended = expect(work).rejects.toThrow('no answer within 1.5 s');
    await clock.advance(1_500);
    await ended;
  });
});

describe('abortableUnsent', () => {
  it('abortableUnsent settles as the work does', async () => {
    const { signal } = new AbortController();
    expect(await abortableUnsent(Promise.resolve(0), signal)).toBe(0);
    const failure = new ProxyError('timeout', 'It may have run.', {
      sent: 'maybe',
      ifUnsent: 'It did not run.',
    });
    await expect(abortableUnsent(Promise.reject(failure), signal)).rejects.toBe(failure);
  });

  it.each([
    ['while it waits', false],
    ['before it has waited', true],
  ])(
    'abortableUnsent rejects with the unsent form of the reason when the signal aborts %s',
    async (_when, before) => {
      const controller = new AbortController();
      const reason = new ProxyError('timeout', 'It may have run.', {
        sent: 'maybe',
        ifUnsent: 'It did not run.',
      });
      if (before) controller.abort(reason);
      const waiting = abortableUnsent(never, controller.signal);
      controller.abort(reason);
      await expect(waiting).rejects.toMatchObject({
        reason: 'timeout',
        sent: 'no',
        message: 'It did not run.',
      });
    },
  );
});
