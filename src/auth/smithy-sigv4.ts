import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Credentials } from './credentials/credentials.ts';
import {
  type Signable,
  type SignedHeaders,
  type SigningScope,
  type SigningTarget,
  signsPayload,
  UNSIGNED_PAYLOAD,
} from './signing.ts';

/** The signer of the AWS SDK, `@smithy/signature-v4`. See src/auth/signer.ts for the choice. */
export async function signRequest(
  { method, target, contentType, body }: Signable,
  credentials: Credentials,
  { service: signingService, region: signingRegion }: SigningScope,
  signingDate: Date,
): Promise<SignedHeaders> {
  const { path, query } = requestLineOf(target);
  const headers: SignedHeaders = { host: target.host };
  if (contentType !== undefined) headers['content-type'] = contentType;
  if (!signsPayload({ service: signingService, region: signingRegion }))
    headers['x-amz-content-sha256'] = UNSIGNED_PAYLOAD;
  const signed = await signerOf(credentials).sign(
    { method, protocol: 'https:', hostname: target.host, path, query, headers, body },
    { signingDate, signingRegion, signingService },
  );
  return signed.headers;
}

/** One signer for each credentials: it holds the signing key of the day. */
const signers = new WeakMap<Credentials, SignatureV4>();

function signerOf(credentials: Credentials): SignatureV4 {
  let signer = signers.get(credentials);
  if (!signer) {
    // The scope comes with each request.
    signer = new SignatureV4({ credentials, service: '', region: '', sha256: Sha256 });
    signers.set(credentials, signer);
  }
  return signer;
}

interface RequestLine {
  readonly path: string;
  readonly query: Record<string, string[]>;
}

const requestLines = new WeakMap<SigningTarget, RequestLine>();

/** The SDK encodes path and query itself, so that it needs the decoded query. */
export function requestLineOf(target: SigningTarget): RequestLine {
  let line = requestLines.get(target);
  if (!line) {
    const [path = '', search = ''] = target.path.split('?', 2);
    const query: Record<string, string[]> = Object.create(null);
    for (const [key, value] of new URLSearchParams(search)) {
      query[key] ??= [];
      query[key].push(value);
    }
    line = { path, query };
    requestLines.set(target, line);
  }
  return line;
}

/** The hash that the SDK expects, on node:crypto. */
export class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: unknown) {
    this.#hash =
      secret === undefined ? createHash('sha256') : createHmac('sha256', Buffer.from(secret as Uint8Array));
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }

  reset(): void {}

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}
