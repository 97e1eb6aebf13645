import { expect, it } from 'vitest';
import { canonicalText } from '../../../src/core/jsonrpc/canonical-json.ts';

it.each<[what: string, one: unknown, other: unknown, same: boolean]>([
  [
    'keys in another order, at every depth',
    { a: [{ b: 1, c: 2 }], d: {} },
    { d: {}, a: [{ c: 2, b: 1 }] },
    true,
  ],
  ['another value', { a: 1 }, { a: 2 }, false],
  ['elements in another order', [1, 2], [2, 1], false],
  ['an absent key and null', { a: null }, {}, false],
  ['a key named __proto__', JSON.parse('{"__proto__":1}'), {}, false],
])('canonical JSON of two values with %s', (_what, one, other, same) => {
  expect(canonicalText(one) === canonicalText(other)).toBe(same);
});
