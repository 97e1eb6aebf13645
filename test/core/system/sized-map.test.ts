import { expect, it } from 'vitest';
import { SizedMap } from '../../../src/core/system/sized-map.ts';

const filled = (limits: { maxEntries?: number; maxBytes?: number }, entries: readonly [string, number][]) => {
  const map = new SizedMap<string>({ maxEntries: 100, maxBytes: 1_000_000, ...limits });
  for (const [key, bytes] of entries) map.set(key, key.toUpperCase(), bytes);
  return map;
};

it('a sized map forgets the oldest entries beyond its number of entries', () => {
  const map = filled({ maxEntries: 2 }, [
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ]);
  expect(map.values()).toEqual(['B', 'C']);
  expect([map.has('a'), map.get('a'), map.get('c'), map.size]).toEqual([false, undefined, 'C', 2]);
});

it('a sized map forgets the oldest entries beyond its bytes, and counts keys and entries', () => {
  expect(
    filled({ maxBytes: 3_000 }, [
      ['a', 1_000],
      ['b', 1_000],
      ['c', 1_000],
    ]).values(),
  ).toEqual(['B', 'C']);
  expect(filled({ maxBytes: 3_000 }, [['k'.repeat(3_000), 0]]).size).toBe(0);
  const many = Array.from({ length: 1_000 }, (_none, n): [string, number] => [`${n}`, 0]);
  expect(filled({ maxEntries: 1_000, maxBytes: 100_000 }, many).size).toBeLessThan(500);
});

it('a sized map keeps the others where a value would not fit into it', () => {
  expect(
    filled({ maxBytes: 3_000 }, [
      ['a', 1_000],
      ['b', 5_000],
    ]).values(),
  ).toEqual(['A']);
});

it('a sized map counts a replaced value once, as the newest', () => {
  const map = filled({ maxBytes: 3_000 }, [
    ['a', 1_000],
    ['b', 1_000],
    ['a', 500],
    ['a', 1_000],
    ['c', 1_000],
  ]);
  expect(map.values()).toEqual(['A', 'C']);
  map.delete('a');
  map.delete('a');
  map.clear();
  map.set('d', 'D', 2_000);
  expect(map.values()).toEqual(['D']);
});
