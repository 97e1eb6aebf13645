import { expect, it } from 'vitest';
import { IdentityTable, MAX_IDLE_MS } from '../../../../src/client/http/users/identity-table.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

function rig(maxEntries = 2) {
  const clock = new FakeClock();
  const closed: string[] = [];
  const table = new IdentityTable<string>({ clock, maxEntries, close: (value) => closed.push(value) });
  return { clock, closed, table, acquire: (key: string) => table.acquire(key, () => `of ${key}`) };
}

it('an identity is created once, and closed after it was idle for a quarter of an hour', async () => {
  const { clock, closed, table, acquire } = rig();
  const first = acquire('a');
  const second = acquire('a');
  expect([first?.value, second?.value, table.size]).toEqual(['of a', 'of a', 1]);
  first?.release();
  await clock.advance(2 * MAX_IDLE_MS);
  expect(closed).toEqual([]);
  second?.release();
  await clock.advance(MAX_IDLE_MS - 60_000);
  expect(closed).toEqual([]);
  await clock.advance(120_000);
  expect([closed, table.size, clock.timers]).toEqual([['of a'], 0, 0]);
});

it('a full table closes the identity that was idle longest, and none that is in use', () => {
  const { closed, acquire } = rig();
  acquire('a')?.release();
  acquire('b')?.release();
  acquire('a')?.release();
  const third = acquire('c');
  expect(closed).toEqual(['of b']);
  const again = acquire('a');
  expect(acquire('d')).toBeUndefined();
  expect(closed).toEqual(['of b']);
  again?.release();
  expect(acquire('d')?.value).toBe('of d');
  expect(closed).toEqual(['of b', 'of a']);
  third?.release();
});

it('an identity that is dropped in use is closed once, and its last release brings it not back', () => {
  const { closed, table, acquire } = rig();
  const held = acquire('a');
  table.keepOnly((_value, key) => key !== 'a');
  held?.release();
  expect([closed, table.size]).toEqual([['of a'], 0]);
  acquire('b');
  table.close();
  expect([closed, table.size]).toEqual([['of a', 'of b'], 0]);
});
