import { expect, test } from 'vitest';
import { CallSlots } from '../../../src/auth/credentials/call-slots.ts';

test('no more calls than slots run at once, and the others follow in turn', async () => {
  const slots = new CallSlots(2);
  const { signal } = new AbortController();
  const ends: (() => void)[] = [];
  const started: number[] = [];
  const runs = [0, 1, 2, 3].map((at) =>
    slots.run(signal, () => {
      started.push(at);
      return new Promise<number>((resolve) => ends.push(() => resolve(at)));
    }),
  );
  expect(started).toEqual([0, 1]);
  ends[1]?.();
  expect(await runs[1]).toBe(1);
  expect(started).toEqual([0, 1, 2]);
  ends[0]?.();
  ends[2]?.();
  await runs[2];
  ends[3]?.();
  expect(await Promise.all(runs)).toEqual([0, 1, 2, 3]);
});

test('a slot is free after a call that fails or is aborted, and a caller that leaves takes none', async () => {
  const slots = new CallSlots(1);
  const patient = new AbortController();
  await expect(slots.run(patient.signal, () => Promise.reject(new Error('throttled')))).rejects.toThrow(
    'throttled',
  );
  const leaving = new AbortController();
  const hangs = slots.run(leaving.signal, () => new Promise(() => undefined));
  const waits = slots.run(leaving.signal, async () => 'never');
  const next = slots.run(patient.signal, async () => 'next');
  leaving.abort(new Error('left'));
  await expect(hangs).rejects.toThrow('left');
  await expect(waits).rejects.toThrow('left');
  expect(await next).toBe('next');
});
