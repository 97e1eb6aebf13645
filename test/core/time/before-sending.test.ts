import { expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { abortableUnsent } from '../../../src/core/time/before-sending.ts';

const never = new Promise<never>(() => undefined);

it('what a call waits for before it is sent comes to what it comes to', async () => {
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
])('a call that is given up %s hears that it did not run', async (_when, before) => {
  const controller = new AbortController();
  const reason = new ProxyError('timeout', 'It may have run.', {
    sent: 'maybe',
    ifUnsent: 'It did not run.',
  });
  if (before) controller.abort(reason);
  const waiting = abortableUnsent(never, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toMatchObject({ reason: 'timeout', sent: 'no', message: 'It did not run.' });
});
