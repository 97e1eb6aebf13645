import { expect, test } from 'vitest';
import { hasExpired, refreshDueAt, sameKeys, snapshot } from '../../../src/auth/credentials/credentials.ts';

const MINUTE = 60_000;

test.each([
  ['an hour: five minutes before', 60 * MINUTE, 55 * MINUTE],
  ['25 minutes: five minutes before', 25 * MINUTE, 20 * MINUTE],
  ['15 minutes: when a fifth is left', 15 * MINUTE, 12 * MINUTE],
  ['ten seconds: when a fifth is left', 10_000, 8000],
  ['nothing: at once', 0, 0],
])('refresh begins for a life of %s', (_, life, due) => {
  const obtained = 1_000_000;
  expect(refreshDueAt(new Date(obtained + life), obtained)).toBe(obtained + due);
});

test('refresh never begins for a set that does not expire', () => {
  expect(refreshDueAt(undefined, 0)).toBeUndefined();
});

test('a set has expired from its very moment on', () => {
  const set = { accessKeyId: 'a', secretAccessKey: 'b', expiration: new Date(1000) };
  expect(hasExpired(set, 999)).toBe(false);
  expect(hasExpired(set, 1000)).toBe(true);
  expect(hasExpired({ accessKeyId: 'a', secretAccessKey: 'b' }, Number.MAX_VALUE)).toBe(false);
});

test('sets are the same by key, secret and token, whatever their expiry', () => {
  const set = { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' };
  expect(sameKeys(set, { ...set, expiration: new Date() })).toBe(true);
  expect(sameKeys(set, { ...set, sessionToken: 'd' })).toBe(false);
  expect(sameKeys(set, { accessKeyId: 'a', secretAccessKey: 'b' })).toBe(false);
});

test('a snapshot is frozen and holds nothing besides', () => {
  const set = snapshot({ accessKeyId: 'a', secretAccessKey: 'b', ...{ $source: {}, accountId: '1' } });
  expect(set).toEqual({ accessKeyId: 'a', secretAccessKey: 'b' });
  expect(Object.isFrozen(set)).toBe(true);
});
