import { beforeAll, expect, it } from 'vitest';
import { IssuerKeys, NoKeysError } from '../../../../src/client/http/users/issuer-keys.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type IssuerKey, makeKey } from '../../../support/issuer.ts';

const ISSUER = 'https://auth.example';
let first: IssuerKey;
let second: IssuerKey;
beforeAll(async () => {
  [first, second] = await Promise.all([makeKey('first'), makeKey('second')]);
});

function rig(published: () => IssuerKey[]) {
  const clock = new FakeClock();
  const read: number[] = [];
  const problems: string[] = [];
  const state = { requests: 0, fails: undefined as string | undefined, hangs: false };
  const keys = new IssuerKeys({
    issuer: ISSUER,
    clock,
    onRead: (count) => read.push(count),
    onUnreadable: (problem) => problems.push(problem),
    get: async ({ pathname }) => {
      state.requests++;
      if (state.hangs) return new Promise(() => undefined);
      if (state.fails) throw new Error(state.fails);
      const text = pathname.startsWith('/.well-known')
        ? JSON.stringify({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` })
        : JSON.stringify({ keys: published().map(({ jwk }) => jwk) });
      return { status: 200, text };
    },
  });
  return { clock, keys, read, problems, state };
}

it('many callers cause one reading of the keys, and later ones none', async () => {
  const { keys, read, state } = rig(() => [first]);
  await Promise.all(Array.from({ length: 50 }, () => keys.current()));
  expect(state.requests).toBe(2);
  await keys.current();
  expect([state.requests, read]).toEqual([2, [1]]);
});

it('unknown key ids cause one reading in 30 seconds, however many tokens have them', async () => {
  const { clock, keys, state } = rig(() => [first]);
  await keys.current();
  expect(await Promise.all(Array.from({ length: 50 }, () => keys.renewed()))).toEqual(
    Array(50).fill(undefined),
  );
  expect(state.requests).toBe(2);
  await clock.advance(30_000);
  const renewed = await Promise.all(Array.from({ length: 50 }, () => keys.renewed()));
  expect([state.requests, renewed.every(Boolean)]).toEqual([4, true]);
  expect(await keys.renewed()).toBeUndefined();
});

it('rotated keys are found after ten minutes in the background, while the old ones serve', async () => {
  let published = [first];
  const { clock, keys, read } = rig(() => published);
  await keys.current();
  published = [second];
  await clock.advance(600_000);
  const old = await keys.current();
  expect(old.jwks().keys[0]?.kid).toBe('first');
  await clock.advance(0);
  const fresh = await keys.current();
  expect([fresh.jwks().keys[0]?.kid, read]).toEqual(['second', [1, 1]]);
});

it('an issuer that hangs costs a caller five seconds at most, and one attempt in two seconds', async () => {
  const { clock, keys, problems, state } = rig(() => [first]);
  state.hangs = true;
  const waiting = Promise.resolve(keys.current()).catch((error: unknown) => error);
  await clock.advance(5_000);
  expect(await waiting).toBeInstanceOf(NoKeysError);
  expect(problems).toEqual(['no answer within 5 s']);
  state.hangs = false;
  state.fails = 'connect ECONNREFUSED';
  await expect(keys.current()).rejects.toThrow('connect ECONNREFUSED');
  await expect(keys.current()).rejects.toThrow('connect ECONNREFUSED');
  expect([state.requests, problems]).toEqual([2, ['no answer within 5 s', 'connect ECONNREFUSED']]);
  state.fails = undefined;
  await clock.advance(2_000);
  expect((await keys.current()).jwks().keys).toHaveLength(1);
});

it('keys serve for a day while the issuer is unreachable, which is reported once, and not longer', async () => {
  const { clock, keys, problems, state } = rig(() => [first]);
  await keys.current();
  state.fails = 'connect ECONNREFUSED';
  for (let hours = 0; hours < 23; hours++) {
    await clock.advance(3_600_000);
    expect((await keys.current()).jwks().keys).toHaveLength(1);
    await clock.advance(0);
  }
  expect([problems, state.requests]).toEqual([['connect ECONNREFUSED'], 2 + 23]);
  await clock.advance(3_600_000);
  await expect(Promise.resolve(keys.current())).rejects.toThrow(NoKeysError);
});

it.each([
  ['HTML', '<html>'],
  ['a document that is no key set', '{"keys":{}}'],
  ['an empty object', '{}'],
])(
  'a jwks_uri with %s in place of keys is a problem, and leaves the keys read before in use',
  async (_kind, text) => {
    const { clock, problems, ...ok } = rig(() => [first]);
    await ok.keys.current();
    const keys = new IssuerKeys({
      issuer: ISSUER,
      clock,
      onRead: () => undefined,
      onUnreadable: (problem) => problems.push(problem),
      get: async ({ pathname }) => ({
        status: 200,
        text: pathname.startsWith('/.well-known')
          ? JSON.stringify({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` })
          : text,
      }),
    });
    await expect(Promise.resolve(keys.current())).rejects.toThrow(NoKeysError);
    expect(problems).toEqual(['its jwks_uri did not return a JSON Web Key Set']);
  },
);
