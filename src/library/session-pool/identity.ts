import { createHash } from 'node:crypto';
import { callbackFailed } from './errors.ts';

/** The headers of a caller. */
export type IdentityHeaders = Readonly<Record<string, string>>;

/** The facts that separate the sessions of callers. */
export interface IdentityOptions {
  /**
   * Headers whose values separate sessions. Default: authorization, x-tenant-id, x-user-id,
   * x-api-key, cookie, x-mcp-session-id.
   */
  readonly headers?: readonly string[] | undefined;
  /**
   * Returns the identity of a caller, such as `jwtIdentity`. Where it returns nothing, the headers
   * decide.
   */
  readonly extractor?: ((headers: IdentityHeaders) => string | undefined) | undefined;
}

/** The identity of a caller without one. */
export const ANONYMOUS = 'anonymous';

export const DEFAULT_IDENTITY_HEADERS: readonly string[] = [
  'authorization',
  'x-tenant-id',
  'x-user-id',
  'x-api-key',
  'cookie',
  'x-mcp-session-id',
];

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The full hash of a user; `anonymous` for none. Pure. */
export const userHash = (user: string | undefined): string =>
  user === undefined || user === '' ? ANONYMOUS : sha256(user);

const lowerCased = (headers: IdentityHeaders): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

/** The identity headers of a caller, names in lower case. Pure. */
export function identityHeadersOf(
  headers: IdentityHeaders,
  names: ReadonlySet<string>,
): Record<string, string> {
  const found = Object.entries(lowerCased(headers)).filter(([name]) => names.has(name));
  return Object.fromEntries(found.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/**
 * The full hash of the identity in the headers. It hashes JSON, so that a value with delimiters
 * cannot equal other values.
 * @throws SessionPoolError callback-failed where the extractor throws or returns no string.
 */
export function identityHash(
  headers: IdentityHeaders,
  names: ReadonlySet<string>,
  extractor: IdentityOptions['extractor'],
): string {
  const extracted = extractor && extractedBy(extractor, headers);
  if (extracted) return sha256(JSON.stringify(['extracted', extracted]));
  const stated = Object.entries(identityHeadersOf(headers, names));
  return stated.length === 0 ? ANONYMOUS : sha256(JSON.stringify(['headers', ...stated]));
}

function extractedBy(
  extractor: NonNullable<IdentityOptions['extractor']>,
  headers: IdentityHeaders,
): string | undefined {
  let extracted: unknown;
  try {
    extracted = extractor(lowerCased(headers));
  } catch (error) {
    throw callbackFailed('identity.extractor', 'threw, so the identity of the caller is unknown', error);
  }
  if (extracted === undefined || extracted === null) return undefined;
  if (typeof extracted === 'string') return extracted;
  throw callbackFailed('identity.extractor', 'must return a string or undefined');
}

/** The parts of a key. */
export interface KeyParts {
  readonly endpoint: string;
  readonly user: string;
  readonly identity: string;
  /** The kind of transport: sessions of different kinds are never shared. */
  readonly transport: string;
}

/** The key of a pool: a full hash. Pure. */
export const poolKey = ({ endpoint, user, identity, transport }: KeyParts): string =>
  sha256(JSON.stringify([endpoint, user, identity, transport]));

const BEARER = /^bearer +/i;

/**
 * An `extractor` of `identity` that returns the subject of the JWT in `authorization`: `sub`, else
 * `email`, else `user_id`. It separates sessions, but does not authenticate: the signature is not
 * checked. Headers are expected in lower case.
 */
export function jwtIdentity(headers: IdentityHeaders): string | undefined {
  const token = headers.authorization?.replace(BEARER, '');
  const payload = token?.split('.')[1];
  if (!payload) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown> | null;
    const subject = claims?.sub ?? claims?.email ?? claims?.user_id;
    return typeof subject === 'string' && subject !== '' ? subject : undefined;
  } catch {
    return undefined;
  }
}
