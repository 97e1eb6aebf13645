import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';

/** What signs one request: never mutated, so that a refresh in mid-burst cannot mix two sets in one signature. */
export interface SigningKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SigningScope {
  readonly service: string;
  readonly region: string;
}

export interface Signable {
  readonly method: string;
  readonly target: SigningTarget;
  /** Only what is to be signed besides host and x-amz-*: content-type where there is a body. */
  readonly contentType?: string;
  readonly body?: Uint8Array;
}

/** Where requests go, in the form that is both sent and signed. */
export interface SigningTarget {
  readonly protocol: string;
  /** As sent: with the port where it is not the scheme's own. */
  readonly host: string;
  /** As sent: percent-encoded once. */
  readonly pathname: string;
  readonly query: Readonly<Record<string, string | string[]>>;
  /** pathname and query as they stand on the request line. */
  readonly path: string;
}

/** AWS percent-encodes everything but these; encodeURIComponent leaves !'()* alone. */
const encodeStrictly = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * Settles the query's spelling once. Signers decode and encode it, servers verify what they received, and `+`, `~`,
 * lower-case hex or a key without "=" come out differently; what is sent in the canonical spelling cannot.
 */
export function signingTarget(url: URL): SigningTarget {
  const query: Record<string, string | string[]> = {};
  const pairs: string[] = [];
  for (const [key, value] of url.searchParams) {
    pairs.push(`${encodeStrictly(key)}=${encodeStrictly(value)}`);
    const before = query[key];
    query[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  const path = pairs.length > 0 ? `${url.pathname}?${pairs.join('&')}` : url.pathname;
  return { protocol: url.protocol, host: url.host, pathname: url.pathname, query, path };
}

class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>;

  constructor(secret?: Parameters<typeof createHmac>[1] | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac('sha256', secret as Parameters<typeof createHmac>[1]);
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new TypeError('a digest is used once');
  }
}

/** VPC Lattice refuses signed payloads and asks for this literal instead. */
const UNSIGNED_PAYLOAD_SERVICES: ReadonlySet<string> = new Set(['vpc-lattice-svcs']);

/**
 * Signs over the exact bytes that are sent, and only host, content-type and x-amz-*: a hop that rewrites any other header
 * (accept-encoding, content-length, via) then cannot break the signature.
 * @returns the headers to send for it: host, x-amz-*, authorization, and content-type where given.
 */
export async function signRequest(
  request: Signable,
  keys: SigningKeys,
  scope: SigningScope,
  date: Date,
): Promise<Record<string, string>> {
  const { target } = request;
  const signer = new SignatureV4({
    service: scope.service,
    region: scope.region,
    credentials: keys,
    sha256: Sha256,
    uriEscapePath: true,
    applyChecksum: true,
  });
  const headers: Record<string, string> = { host: target.host };
  if (request.contentType !== undefined) headers['content-type'] = request.contentType;
  if (UNSIGNED_PAYLOAD_SERVICES.has(scope.service)) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: target.protocol,
      hostname: target.host,
      path: target.pathname,
      query: { ...target.query },
      headers,
      ...(request.body === undefined ? {} : { body: request.body }),
    },
    { signingDate: date },
  );
  return signed.headers;
}
