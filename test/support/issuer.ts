import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { afterThisTest } from './cleanup.ts';

export const AUDIENCE = 'https://mcp.example.com/mcp';

/** A key pair of an authorization server. */
export interface IssuerKey {
  readonly kid: string;
  readonly jwk: JWK;
  readonly sign: (claims: JWTPayload, header?: Readonly<Record<string, unknown>>) => Promise<string>;
}

export async function makeKey(kid: string, alg = 'ES256'): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return {
    kid,
    jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
    sign: (claims, header = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'at+jwt', ...header }).sign(privateKey),
  };
}

/** The claims of a valid access token; undefined removes one. */
export const claimsOf = (
  issuer: string,
  changes: Readonly<Record<string, unknown>> = {},
  now = Date.now(),
): JWTPayload => {
  const seconds = Math.floor(now / 1000);
  const claims = {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'alice',
    iat: seconds,
    exp: seconds + 600,
    scope: 'mcp:read mcp:call',
    ...changes,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
};

/** An authorization server on loopback: its metadata and keys, nothing else. */
export interface Issuer {
  readonly url: string;
  /** The published keys. */
  keys: IssuerKey[];
  /** Paths of its requests. */
  readonly requests: string[];
  /** Answers each request in place of the issuer. */
  answer: ((path: string) => { readonly status: number; readonly text: string } | undefined) | undefined;
  /** A token signed with the last key. */
  token(changes?: Readonly<Record<string, unknown>>): Promise<string>;
  close(): Promise<void>;
}

export async function startIssuer(): Promise<Issuer> {
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    issuer.requests.push(path);
    const given = issuer.answer?.(path) ?? usual(path);
    response.writeHead(given.status, { 'content-type': 'application/json' }).end(given.text);
  });
  const usual = (path: string) => {
    if (path === '/.well-known/oauth-authorization-server') {
      return { status: 200, text: JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }) };
    }
    if (path !== '/keys') return { status: 404, text: '{}' };
    return { status: 200, text: JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }) };
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  afterThisTest(close);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer: Issuer = {
    url,
    keys: [await makeKey('first')],
    requests: [],
    answer: undefined,
    async token(changes) {
      const key = issuer.keys.at(-1);
      if (!key) throw new Error('the issuer has no key');
      return key.sign(claimsOf(url, changes));
    },
    close,
  };
  return issuer;
}
