import { expect, it } from 'vitest';
import { TransientMap } from '../../../src/core/time/transient-map.ts';

const entries = (...names: readonly string[]): { map: TransientMap<string | number, { name: string }> } => {
  const map = new TransientMap<string | number, { name: string }>();
  for (const name of names) map.set(name, { name });
  return { map };
};

it('a transient map finds values under keys of any type', () => {
  const { map } = entries();
  map.set(0, { name: 'zero' });
  map.set('', { name: 'empty' });
  map.set(-1, { name: 'negative' });
  expect([map.get(0), map.get(''), map.get(-1), map.get('0')]).toEqual([
    { name: 'zero' },
    { name: 'empty' },
    { name: 'negative' },
    undefined,
  ]);
  expect([map.has(0), map.has('0'), map.size]).toEqual([true, false, 3]);
});

it('a transient map keeps the place of an entry whose value is replaced', () => {
  const { map } = entries('first', 'second');
  map.set('first', { name: 'other' });
  expect(map.values()).toEqual([{ name: 'other' }, { name: 'second' }]);
});

it('a transient map names the oldest entry first, however many were deleted between', () => {
  const { map } = entries('a', 'b', 'c');
  expect([map.delete('a'), map.delete('a')]).toEqual([true, false]);
  expect(map.first()).toEqual(['b', { name: 'b' }]);
  expect([map.delete('b'), map.delete('c'), map.first(), map.size]).toEqual([true, true, undefined, 0]);
});

it('a transient map puts an entry that was deleted and set again at the end', () => {
  const { map } = entries('a', 'b');
  map.delete('a');
  map.set('a', { name: 'again' });
  expect(map.values()).toEqual([{ name: 'b' }, { name: 'again' }]);
});

it('a transient map iterates over the entries of the moment while they are deleted', () => {
  const { map } = entries('a', 'b', 'c');
  const seen: string[] = [];
  for (const { name } of map.values()) {
    seen.push(name);
    map.clear();
  }
  expect([seen, map.size]).toEqual([['a', 'b', 'c'], 0]);
});
