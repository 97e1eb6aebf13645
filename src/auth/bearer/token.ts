import { createHash } from 'node:crypto';
import { isObject } from '../../core/jsonrpc/message.ts';
import type { Credential } from '../authorizer.ts';
import type { Principal } from '../credentials/credentials.ts';

/** Servers accept about this much for all headers together. */
export const MAX_TOKEN_CHARACTERS = 16 * 1024;

/** A bearer token, as RFC 6750 names it. Immutable. */
export interface BearerToken extends Credential {
  readonly token: string;
  /** The value of the authorization header. */
  readonly authorization: string;
  /** The claims of a JWT; undefined for an opaque token. */
  readonly claims: TokenClaims | undefined;
}

/** The claims that the proxy reads. It does not verify them: the server does. */
export interface TokenClaims {
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly client: string | undefined;
  /** Wall clock milliseconds. */
  readonly expiresAt: number | undefined;
}

export type TokenRead = { readonly token: BearerToken } | { readonly problem: string };

/** Reads the text of a source: one token, with blanks and line ends around it. Pure. */
export function readToken(text: string): TokenRead {
  const token = text.trim();
  if (token === '') return { problem: 'it is empty' };
  if (token.length > MAX_TOKEN_CHARACTERS)
    return { problem: `it has ${token.length} characters, and a token has at most ${MAX_TOKEN_CHARACTERS}` };
  if (/^bearer\s/i.test(token)) return { problem: 'it must contain the token without the word Bearer' };
  if (!/^[\x21-\x7e]+$/.test(token))
    return { problem: 'it must contain one token: visible ASCII characters without blanks' };
  const claims = claimsOf(token);
  const principal = principalOf(token, claims);
  const authorization = `Bearer ${token}`;
  return { token: Object.freeze({ token, authorization, claims, principal, providerName: 'bearer' }) };
}

/** The claims of a JWT; undefined for any other token. Pure. */
export function claimsOf(token: string): TokenClaims | undefined {
  const [header, payload, signature, ...more] = token.split('.');
  if (!header || !payload || signature === undefined || more.length > 0) return undefined;
  const claims = objectIn(payload);
  if (!claims || !objectIn(header)) return undefined;
  const { iss, sub, azp, client_id: clientId, exp } = claims;
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined;
  const expiresAt = typeof exp === 'number' ? exp * 1_000 : Number.NaN;
  return {
    issuer: text(iss),
    subject: text(sub),
    client: text(clientId) ?? text(azp),
    // A time beyond the range of dates means that the token does not expire.
    expiresAt: Number.isNaN(new Date(expiresAt).getTime()) ? undefined : expiresAt,
  };
}

function objectIn(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Tokens without a subject count as different identities. */
function principalOf(token: string, claims: TokenClaims | undefined): Principal {
  if (claims?.subject !== undefined)
    return JSON.stringify(['bearer', claims.issuer, claims.subject, claims.client]);
  return JSON.stringify(['bearer', null, createHash('sha256').update(token).digest('base64url')]);
}
