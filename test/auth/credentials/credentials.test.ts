import { expect, test } from 'vitest';
import {
  hasExpired,
  refreshDueAt,
  sameCredentials,
  snapshot,
} from '../../../src/auth/credentials/credentials.ts';

const MINUTE = 60_000;

test.each([
  ['an hour: five minutes before', 60 * MINUTE, 55 * MINUTE],
  ['25 minutes: five minutes before', 25 * MINUTE, 20 * MINUTE],
  ['15 minutes: when a fifth is left', 15 * MINUTE, 12 * MINUTE],
  ['ten seconds: when a fifth is left', 10_000, 8000],
  ['nothing: at once', 0, 0],
])('refresh of credentials with a lifetime of %s', (_, life, due) => {
  const obtained = 1_000_000;
  expect(refreshDueAt(new Date(obtained + life), obtained)).toBe(obtained + due);
});

test('refreshes of credentials that were obtained together are spread over five minutes', () => {
  const expiration = new Date(60 * MINUTE);
  const due = Array.from({ length: 1_000 }, (_, at) => refreshDueAt(expiration, 0, at / 1_000) ?? 0);
  expect([Math.max(...due), Math.min(...due)]).toEqual([57.5 * MINUTE, 52.5 * MINUTE + 300]);
  const inOneSecond = due.filter((at) => Math.floor(at / 1_000) === 55 * 60).length;
  expect(inOneSecond).toBeLessThan(5);
});

test('credentials that do not expire are never refreshed', () => {
  expect(refreshDueAt(undefined, 0)).toBeUndefined();
});

test('credentials have expired from the moment of their expiration on', () => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b', expiration: new Date(1000) };
  expect(hasExpired(credentials, 999)).toBe(false);
  expect(hasExpired(credentials, 1000)).toBe(true);
  expect(hasExpired({ accessKeyId: 'a', secretAccessKey: 'b' }, Number.MAX_VALUE)).toBe(false);
});

test('credentials are the same by key, secret and token, whatever their expiration', () => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' };
  expect(sameCredentials(credentials, { ...credentials, expiration: new Date() })).toBe(true);
  expect(sameCredentials(credentials, { ...credentials, sessionToken: 'd' })).toBe(false);
  expect(sameCredentials(credentials, { accessKeyId: 'a', secretAccessKey: 'b' })).toBe(false);
});

test('a snapshot is frozen and contains only what a signature and its report need', () => {
  const credentials = snapshot(
    { accessKeyId: 'a', secretAccessKey: 'b', ...{ $source: {}, accountId: '1' } },
    'principal',
    'sso',
  );
  expect(credentials).toEqual({
    accessKeyId: 'a',
    secretAccessKey: 'b',
    principal: 'principal',
    providerName: 'sso',
  });
  expect(Object.isFrozen(credentials)).toBe(true);
});
