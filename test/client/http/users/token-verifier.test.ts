import { createHmac, generateKeyPairSync, type JsonWebKey, sign as signBytes } from 'node:crypto';
import { createLocalJWKSet } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { NoKeysError } from '../../../../src/client/http/users/issuer-keys.ts';
import {
  audiencesOf,
  MAX_TOKEN_BYTES,
  scopesOf,
  TokenVerifier,
} from '../../../../src/client/http/users/token-verifier.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { AUDIENCE, claimsOf, type IssuerKey, makeKey } from '../../../support/issuer.ts';

const ISSUER = 'https://auth.example';
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

let key: IssuerKey;
let other: IssuerKey;
let stranger: IssuerKey;
beforeAll(async () => {
  [key, other, stranger] = await Promise.all([makeKey('first'), makeKey('second'), makeKey('first')]);
});

function rig({ published = [key], scopes = ['mcp:read'] } = {}) {
  const clock = new FakeClock();
  const state = { published, renewals: 0, verifications: 0 };
  const set = () => createLocalJWKSet({ keys: state.published.map(({ jwk }) => jwk) });
  const keys = {
    current: () => {
      state.verifications++;
      return set();
    },
    renewed: async () => {
      state.renewals++;
      return set();
    },
  };
  const verifier = new TokenVerifier({ issuer: ISSUER, audiences: ['one', AUDIENCE], scopes, keys, clock });
  const claims = (changes: Readonly<Record<string, unknown>> = {}) => claimsOf(ISSUER, changes, clock.now());
  return { clock, verifier, state, claims };
}

describe('a valid access token', () => {
  it('an access token names its user, and is verified once while its key is published', async () => {
    const { verifier, claims, state } = rig();
    const token = await key.sign(claims());
    const user = await verifier.verify(token);
    expect(user).toMatchObject({
      name: 'user:alice',
      subject: 'alice',
      claims: { scope: 'mcp:read mcp:call' },
    });
    expect([verifier.verify(token), state.verifications]).toEqual([user, 1]);
    verifier.forget();
    state.published = [other];
    expect(await verifier.verify(token)).toMatchObject({ problem: 'invalid' });
  });

  it('an access token expires within the allowed skew of 30 seconds, also where it was verified before', async () => {
    const { verifier, claims, clock } = rig();
    const token = await key.sign(claims());
    await verifier.verify(token);
    clock.jump(629_000);
    expect(verifier.verify(token)).toMatchObject({ name: 'user:alice' });
    clock.jump(1_000);
    expect(verifier.verify(token)).toEqual({ problem: 'invalid', message: 'The access token has expired.' });
    expect(await verifier.verify(token)).toMatchObject({ message: 'The access token has expired.' });
  });

  it('an access token of a key that the issuer has added is accepted after one renewal', async () => {
    const { verifier, claims, state } = rig();
    const token = await other.sign(claims());
    state.published = [key];
    const reading = verifier.verify(token);
    state.published = [key, other];
    expect([await reading, state.renewals]).toEqual([expect.objectContaining({ name: 'user:alice' }), 1]);
  });

  it('an access token without a key id is tried with each key that fits', async () => {
    const { verifier, claims } = rig({ published: [other, key] });
    const token = await key.sign(claims(), { kid: undefined });
    expect(await verifier.verify(token)).toMatchObject({ name: 'user:alice' });
    const wrong = await stranger.sign(claims(), { kid: undefined });
    expect(await verifier.verify(wrong)).toMatchObject({
      message: 'The signature of the access token is wrong.',
    });
  });

  it.each([
    ['several audiences', { aud: ['x', 'one'] }],
    ['the client as audience, as of Cognito', { aud: undefined, client_id: 'one', token_use: 'access' }],
    ['scopes as a list, as of Okta', { scope: undefined, scp: ['mcp:read'] }],
    ['scopes as scp text, as of Entra', { scope: undefined, scp: 'x mcp:read' }],
    ['nbf in 20 seconds', { nbf: Math.floor(Date.UTC(2026, 0, 2, 3, 4, 5) / 1000) + 20 }],
  ])('an access token with %s is accepted', async (_kind, changes) => {
    const { verifier, claims } = rig();
    expect(await verifier.verify(await key.sign(claims(changes)))).toMatchObject({ name: 'user:alice' });
  });

  it('an access token of a client without a subject is named after the client', async () => {
    const { verifier, claims } = rig();
    const token = await key.sign(claims({ sub: undefined, client_id: 'ci' }));
    expect(await verifier.verify(token)).toMatchObject({ name: 'user:ci' });
  });
});

describe('an access token is refused', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['of another issuer', { iss: 'https://evil.example' }, 'was not issued by'],
    ['for another audience', { aud: 'https://other.example' }, 'issued for another audience'],
    ['without an audience', { aud: undefined }, 'issued for another audience'],
    ['with an empty list of audiences', { aud: [] }, 'issued for another audience'],
    ['whose client is the audience of others', { aud: 'x', client_id: 'one' }, 'issued for another audience'],
    ['that has expired', { exp: 1 }, 'has expired'],
    ['without an end', { exp: undefined }, 'claim exp'],
    ['with an end that is text', { exp: 'never' }, 'claim exp'],
    ['that is not valid yet', { nbf: 4_000_000_000 }, 'not valid yet'],
    ['without a subject', { sub: undefined }, 'names no subject'],
    ['with an empty subject', { sub: '' }, 'names no subject'],
    ['with a subject of two lines', { sub: 'a\nb' }, 'not printable'],
    ['with a subject that turns text around', { sub: 'a\u202eb' }, 'not printable'],
    ['with a long subject', { sub: 'a'.repeat(256) }, 'longer than 255'],
    ['that is an ID token of Cognito', { token_use: 'id' }, 'ID token'],
    ['that is an ID token of Keycloak', { typ: 'ID' }, 'ID token'],
  ])('an access token %s is refused', async (_kind, changes, message) => {
    const { verifier, claims } = rig();
    expect(await verifier.verify(await key.sign(claims(changes)))).toEqual({
      problem: 'invalid',
      message: expect.stringContaining(message),
    });
  });

  it('an access token that lacks a scope is refused with the name of its user', async () => {
    const { verifier, claims } = rig({ scopes: ['mcp:read', 'mcp:write', 'admin'] });
    expect(await verifier.verify(await key.sign(claims()))).toEqual({
      problem: 'scope',
      message: 'The access token lacks the scope mcp:write admin.',
      name: 'user:alice',
    });
  });

  const forged = (header: object, sign: (signed: string) => string): string => {
    const signed = `${encoded(header)}.${encoded(claimsOf(ISSUER))}`;
    return `${signed}.${sign(signed)}`;
  };
  const hmac = (signed: string): string =>
    createHmac('sha256', JSON.stringify(key.jwk)).update(signed).digest('base64url');

  it.each([
    ['alg none without a signature', () => forged({ alg: 'none' }, () => '')],
    ['alg none with a signature', () => forged({ alg: 'none', kid: 'first' }, () => 'AA')],
    ['HS256 with the public key as secret', () => forged({ alg: 'HS256', kid: 'first' }, hmac)],
    ['a critical header', () => forged({ alg: 'ES256', kid: 'first', crit: ['x'], x: 1 }, hmac)],
    ['a wrong signature', () => forged({ alg: 'ES256', kid: 'first' }, hmac)],
    ['an alg that is no text', () => forged({ alg: 1 }, hmac)],
    ['five parts (encrypted)', () => 'a.b.c.d.e'],
    ['no dot', () => 'opaque'],
    ['claims that are no JSON', () => `${encoded({ alg: 'ES256' })}.AAAA.AAAA`],
    ['a header that is no JSON', () => 'AAAA.AAAA.AAAA'],
    ['more than 16 KiB', () => `${'a'.repeat(MAX_TOKEN_BYTES)}.b.c`],
  ])('a token with %s is refused', async (_kind, token) => {
    const { verifier } = rig();
    expect(await verifier.verify(token())).toMatchObject({ problem: 'invalid' });
  });

  it('an access token with the key id of the issuer and the key of another is refused', async () => {
    const { verifier, claims, state } = rig();
    expect(await verifier.verify(await stranger.sign(claims()))).toMatchObject({ problem: 'invalid' });
    expect(state.renewals).toBe(0);
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['its own key', () => ({ jwk: stranger.jwk })],
    ['a URL of keys', () => ({ jku: 'https://evil.example/keys' })],
    ['a URL of certificates', () => ({ x5u: 'https://evil.example/certificate' })],
    ['a path as key id', () => ({ kid: '../../../../dev/null' })],
    ['a key id of the prototype', () => ({ kid: '__proto__' })],
    ['a key id that is an object', () => ({ kid: { toString: 'first' } })],
  ])('an access token that names %s in its header is refused', async (_kind, header) => {
    const { verifier, claims } = rig();
    const token = forged({ alg: 'ES256', kid: 'first', ...header() }, () => '');
    const signed = await stranger.sign(claims());
    // The signature of a stranger over the header above.
    for (const each of [
      token + signed.split('.')[2],
      await stranger.sign(claims(), { ...header(), kid: 'first' }),
    ])
      expect(await verifier.verify(each)).toMatchObject({ problem: 'invalid' });
  });

  it('an unencoded payload, a token in a token and claims of another form are refused, although signed by the issuer', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = {
      ...(publicKey.export({ format: 'jwk' }) as JsonWebKey),
      kid: 'own',
      alg: 'ES256',
      use: 'sig',
    };
    const { verifier, claims } = rig({ published: [{ ...key, jwk }] });
    const signed = (header: object, payload: string): string => {
      const text = `${encoded({ alg: 'ES256', kid: 'own', ...header })}.${payload}`;
      const signature = signBytes('sha256', Buffer.from(text), {
        key: privateKey,
        dsaEncoding: 'ieee-p1363',
      });
      return `${text}.${signature.toString('base64url')}`;
    };
    const valid = encoded(claims());
    expect(await verifier.verify(signed({}, valid))).toMatchObject({ name: 'user:alice' });
    const nested = Buffer.from(signed({}, valid)).toString('base64url');
    for (const bad of [
      signed({ b64: false, crit: ['b64'] }, valid),
      signed({ cty: 'JWT' }, nested),
      signed({}, encoded([claims()])),
      signed({}, Buffer.from('"alice"').toString('base64url')),
      signed({ alg: 'ES384' }, valid),
      signed({ alg: 'none' }, valid),
    ])
      expect(await verifier.verify(bad)).toMatchObject({ problem: 'invalid' });
  });

  it('an access token is unavailable while the keys of its issuer are unknown', async () => {
    const { clock, claims } = rig();
    const keys = { current: () => Promise.reject(new NoKeysError('x')), renewed: async () => undefined };
    const verifier = new TokenVerifier({ issuer: ISSUER, audiences: [AUDIENCE], scopes: [], keys, clock });
    expect(await verifier.verify(await key.sign(claims()))).toMatchObject({ problem: 'unavailable' });
  });
});

it.each([
  [{ aud: 'a' }, ['a']],
  [{ aud: ['a', 'b'], client_id: 'c' }, ['a', 'b']],
  [{ client_id: 'c' }, ['c']],
  [{}, []],
])('the audiences of the claims %j are %j', (claims, audiences) => {
  expect(audiencesOf(claims)).toEqual(audiences);
});

it.each([
  [{ scope: ' a  b ' }, ['a', 'b']],
  [{ scope: 'a', scp: ['b', 1] }, ['a', 'b']],
  [{ scope: 1 }, []],
  [{}, []],
])('the scopes of the claims %j are %j', (claims, scopes) => {
  expect([...scopesOf(claims)]).toEqual(scopes);
});
