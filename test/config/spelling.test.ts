import { expect, it } from 'vitest';
import { isNearly } from '../../src/config/spelling.ts';

it.each([
  ['doctor', 'doctor', true],
  ['doctor', 'docter', true],
  ['tools', 'tolls', true],
  ['retries', 'retrys', true],
  ['max-connections', 'max-conections', true],
  ['', 'ab', true],
  ['', 'abc', false],
  ['call', 'demo', false],
  ['tools', 'sloot', false],
])('the words %j and %j are similar in either order: %j', (one, other, nearly) => {
  expect(isNearly(one, other)).toBe(nearly);
  expect(isNearly(other, one)).toBe(nearly);
});
