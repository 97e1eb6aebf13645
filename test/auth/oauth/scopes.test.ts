import { describe, expect, it } from 'vitest';
import { readChallenge } from '../../../src/auth/oauth/challenge.ts';
import { chooseScope, coversScope } from '../../../src/auth/oauth/scopes.ts';
import { loadOAuthSdk } from '../../../src/auth/oauth/sdk.ts';

const NONE = {
  configured: [],
  challenged: undefined,
  granted: undefined,
  supported: undefined,
  known: undefined,
  refreshes: true,
};

describe('the scope of a login', () => {
  it.each([
    ['nothing is named', {}, undefined],
    ['the metadata names scopes', { supported: ['a', 'b'] }, 'a b'],
    ['the challenge names scopes', { challenged: 'c', supported: ['a', 'b'] }, 'c'],
    ['options and challenge name scopes', { configured: ['x', 'c'], challenged: 'c d' }, 'x c d'],
    ['a login lacks a scope', { granted: 'a b', challenged: 'c' }, 'a b c'],
    ['refresh tokens need a scope', { challenged: 'c', known: ['offline_access'] }, 'c offline_access'],
    ['no refresh token is wanted', { challenged: 'c', known: ['offline_access'], refreshes: false }, 'c'],
    ['the server decides', { known: ['offline_access'] }, undefined],
  ])('the scope where %s', (_case, sources, expected) => {
    expect(chooseScope({ ...NONE, ...sources })).toBe(expected);
  });

  it('a granted scope covers a wanted one if it has each of its parts', () => {
    expect(coversScope('a b', 'b')).toBe(true);
    expect(coversScope('ab', 'b')).toBe(false);
    expect(coversScope(undefined, 'b')).toBe(false);
    expect(coversScope(undefined, undefined)).toBe(true);
  });
});

it.each([
  ['Bearer error="insufficient_scope", scope="a b"', { error: 'insufficient_scope', scope: 'a b' }],
  ['Basic realm="x", Bearer resource_metadata="https://h/m"', { resourceMetadataUrl: 'https://h/m' }],
  ['Basic realm="x"', {}],
  ['', {}],
])('the challenge %j is read', async (header, expected) => {
  expect(readChallenge(await loadOAuthSdk(), header)).toEqual(expect.objectContaining(expected));
});
