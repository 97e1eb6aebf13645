import type { Credentials } from './credentials/credentials.ts';

/** The scope of a signature: AWS accepts it for this service in this region only. */
export interface SigningScope {
  /** The signing name of the service: `aws-mcp`, `bedrock-agentcore`, `lambda`. */
  readonly service: string;
  /** The name of the region: `eu-west-1`. */
  readonly region: string;
}

/** The parts of a request that are signed. */
export interface Signable {
  /** The HTTP method in upper case. */
  readonly method: string;
  /** The URL, from `signingTarget`. */
  readonly target: SigningTarget;
  /** Signed in addition to host and x-amz-*. Absent if there is no body. */
  readonly contentType?: string | undefined;
  /** The exact bytes that are sent. Absent: an empty body. */
  readonly body?: Uint8Array | undefined;
}

/** A URL as it is sent and as it is signed. */
export interface SigningTarget {
  /** As sent: with the port unless it is the default of the scheme. */
  readonly host: string;
  /** Path and query of the request line. */
  readonly path: string;
  /** The path as it is signed: each segment is encoded once more (RFC 3986), except for S3. */
  readonly canonicalPath: string;
  /** The query as it is signed: encoded, and sorted by key and value. */
  readonly canonicalQuery: string;
}

/** The headers that a signed request has to send. */
export type SignedHeaders = Record<string, string>;

/**
 * Signs one request with AWS Signature Version 4. Covers host, content-type and x-amz-* only, so
 * that hops that rewrite other headers cannot break the signature.
 * @param date - the current time; AWS rejects signatures that are some minutes off.
 * @returns the headers to send: host, x-amz-*, authorization, and content-type if given.
 */
export type Signer = (
  request: Signable,
  credentials: Credentials,
  scope: SigningScope,
  date: Date,
) => SignedHeaders | Promise<SignedHeaders>;

/** VPC Lattice rejects signed payloads and requires this literal instead. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const UNSIGNED_PAYLOAD_SERVICES: ReadonlySet<string> = new Set(['vpc-lattice-svcs']);

export const signsPayload = ({ service }: SigningScope): boolean => !UNSIGNED_PAYLOAD_SERVICES.has(service);

/** AWS percent-encodes all other characters; encodeURIComponent leaves !'()* as they are. */
const encodeStrictly = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * Brings the query into its canonical spelling, which is also sent: signers decode and encode a
 * query, servers verify what they receive, and `+`, `~` or a key without "=" would differ.
 */
export function signingTarget(url: URL): SigningTarget {
  const pairs = [...url.searchParams].map(
    ([key, value]) => [encodeStrictly(key), encodeStrictly(value)] as const,
  );
  const joined = (list: typeof pairs): string => list.map((pair) => pair.join('=')).join('&');
  return {
    host: url.host,
    path: pairs.length > 0 ? `${url.pathname}?${joined(pairs)}` : url.pathname,
    canonicalPath: canonicalPathOf(url.pathname),
    // The signature of a presigned URL cannot cover itself.
    canonicalQuery: joined(
      pairs.filter(([key]) => key.toLowerCase() !== 'x-amz-signature').sort(byKeyThenValue),
    ),
  };
}

const byKeyThenValue = (
  [key, value]: readonly [string, string],
  [otherKey, otherValue]: readonly [string, string],
): number => compare(key, otherKey) || compare(value, otherValue);

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/**
 * Without empty and dot segments, and encoded once more than it is sent, as all services but S3
 * verify it.
 */
function canonicalPathOf(pathname: string): string {
  const segments: string[] = [];
  for (const segment of pathname.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(encodeStrictly(segment));
  }
  return `/${segments.join('/')}${segments.length > 0 && pathname.endsWith('/') ? '/' : ''}`;
}
