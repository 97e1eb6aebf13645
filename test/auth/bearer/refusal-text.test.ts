import { describe, expect, it } from 'vitest';
import type { CredentialRefusal } from '../../../src/auth/authorizer.ts';
import { explainBearerRefusal } from '../../../src/auth/bearer/refusal-text.ts';
import { readToken } from '../../../src/auth/bearer/token.ts';
import { jwtOf } from '../../support/jwt.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

function explain(refusal: Partial<CredentialRefusal>, token = 'opaque'): string | undefined {
  const read = readToken(token);
  return explainBearerRefusal(
    { status: 401, kind: 'oauth', message: '', challenge: '', ...refusal },
    {
      source: { origin: 'the file /t', remedy: 'Write another.' },
      token: 'token' in read ? read.token : undefined,
      failure: undefined,
      now: NOW,
    },
    'h.example',
  );
}

describe('the error for a refused bearer token', () => {
  it.each<[string, Partial<CredentialRefusal>, string | undefined, string?]>([
    [
      'a plain 401',
      { message: 'Unauthorized' },
      'The server at h.example refused the bearer token from the file /t (HTTP 401). Write another. The server said: Unauthorized',
    ],
    [
      'an expired JWT',
      {},
      'The server at h.example refused the bearer token from the file /t (HTTP 401). It expired at 2025-12-31T23:59:00.000Z by the clock of this machine. Write another.',
      jwtOf({ exp: NOW / 1_000 - 60 }),
    ],
    [
      'a scope that is missing',
      {
        status: 403,
        kind: 'other',
        challenge: 'Bearer error="insufficient_scope", scope="mcp:write"',
      },
      'Access was denied with the bearer token from the file /t (HTTP 403): the server knows the token, but does not permit this with it. It requires the scope mcp:write. Use a token with more rights. The server said: insufficient_scope',
    ],
    [
      'a server that verifies signatures',
      { status: 403, kind: 'unsigned', message: 'Missing Authentication Token' },
      'The server at h.example requires AWS signatures, not a bearer token (HTTP 403): use --auth sigv4. The server said: Missing Authentication Token',
    ],
    ['the page of a firewall', { status: 403, kind: 'foreign-page' }, undefined],
  ])('the error for a refused bearer token explains %s', (_what, refusal, text, token) => {
    expect(explain(refusal, token)).toBe(text);
  });

  it('a long description of the server is cut', () => {
    const text = explain({ challenge: `Bearer error_description="${'x'.repeat(5_000)}"` });
    expect(text?.length).toBeLessThan(500);
  });
});
