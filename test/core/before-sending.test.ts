import { expect, it } from 'vitest';
import { beforeSending } from '../../src/core/before-sending.ts';
import { ProxyError } from '../../src/core/errors.ts';

const never = new Promise<never>(() => undefined);

it('what a call waits for before it is sent comes to what it comes to', async () => {
  const { signal } = new AbortController();
  expect(await beforeSending(Promise.resolve(0), signal)).toBe(0);
  const failure = new ProxyError('timeout', 'It may have run.', {
    sent: 'maybe',
    ifUnsent: 'It did not run.',
  });
  await expect(beforeSending(Promise.reject(failure), signal)).rejects.toBe(failure);
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
  const waiting = beforeSending(never, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toMatchObject({ reason: 'timeout', sent: 'no', message: 'It did not run.' });
});
