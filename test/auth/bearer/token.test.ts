import { describe, expect, it } from 'vitest';
import { claimsOf, MAX_TOKEN_CHARACTERS, readToken } from '../../../src/auth/bearer/token.ts';
import { identityIn } from '../../../src/auth/credentials/principal.ts';
import { jwtOf } from '../../support/jwt.ts';

const principalOf = (text: string): unknown => {
  const read = readToken(text);
  return 'token' in read ? read.token.principal : read.problem;
};

describe('the text of a bearer token', () => {
  it.each([
    ['an opaque token', 'abc', 'abc'],
    ['a token with a line end', ' abc\r\n', 'abc'],
    ['the longest token', 'x'.repeat(MAX_TOKEN_CHARACTERS), 'x'.repeat(MAX_TOKEN_CHARACTERS)],
  ])('a bearer token is read from %s', (_what, text, token) => {
    expect(readToken(text)).toMatchObject({ token: { token, authorization: `Bearer ${token}` } });
  });

  it.each([
    ['an empty text', ' \n', 'it is empty'],
    ['a text with the scheme', 'Bearer abc', 'it must contain the token without the word Bearer'],
    ['two lines', 'abc\nx-evil: 1', 'it must contain one token: visible ASCII characters without blanks'],
    ['a letter beyond ASCII', 'abcé', 'it must contain one token: visible ASCII characters without blanks'],
    ['a text of 100 kB', 'x'.repeat(100_000), 'it has 100000 characters, and a token has at most 16384'],
  ])('a bearer token is not read from %s, and the problem does not quote it', (_what, text, problem) => {
    expect(readToken(text)).toEqual({ problem });
  });
});

describe('the claims of a bearer token', () => {
  it('the claims of a JWT are read without verifying it', () => {
    const token = jwtOf({ iss: 'https://id.example', sub: 'me', azp: 'cli', exp: 1_800_000_000 });
    expect(claimsOf(token)).toEqual({
      issuer: 'https://id.example',
      subject: 'me',
      client: 'cli',
      expiresAt: 1_800_000_000_000,
    });
  });

  it.each([
    ['text as exp', { exp: '1800000000' }],
    ['an exp beyond all dates', { exp: 1e300 }],
    ['numbers as texts', { iss: 1, sub: 2, exp: null }],
  ])('claims of the wrong type are left out: %s', (_what, claims) => {
    expect(claimsOf(jwtOf(claims))).toEqual({
      issuer: undefined,
      subject: undefined,
      client: undefined,
      expiresAt: undefined,
    });
  });

  it.each(['a.b.c', 'abc', 'a.b', '..', `${Buffer.from('[]').toString('base64url')}.W10.x`])(
    'a token that is no JWT has no claims: %s',
    (token) => {
      expect(claimsOf(token)).toBeUndefined();
    },
  );
});

describe('the principal of a bearer token', () => {
  const claims = { iss: 'https://id.example', sub: 'me', client_id: 'cli' };

  it('the principal of a JWT stays the same when the token is renewed', () => {
    expect(principalOf(jwtOf({ ...claims, exp: 1 }))).toBe(principalOf(jwtOf({ ...claims, exp: 2 })));
  });

  it.each([
    ['issuer', { iss: 'https://other.example' }],
    ['subject', { sub: 'other' }],
    ['client', { client_id: 'other' }],
  ])('the principal of a JWT changes with its %s', (_what, other) => {
    expect(principalOf(jwtOf({ ...claims, ...other }))).not.toBe(principalOf(jwtOf(claims)));
  });

  it('opaque tokens have different principals, which do not contain the token', () => {
    expect(principalOf('token-one')).not.toBe(principalOf('token-two'));
    expect(String(principalOf('token-one'))).not.toContain('token-one');
  });

  it('the principal of a token names no AWS account, whatever its issuer is', () => {
    expect(identityIn(String(principalOf(jwtOf({ iss: '123456789012', sub: '123456789012' }))))).toEqual({});
  });
});
