import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256 } from '../../src/auth/smithy-sigv4.ts';

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** `fetch` that signs, for clients that talk to a verifying server without the bin in between. */
export function signedFetch(credentials: SigningKey, service: string, region: string): typeof fetch {
  const signer = new SignatureV4({ credentials, service, region, sha256: Sha256 });
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const body = await request.text();
    const type = request.headers.get('content-type');
    const signed = await signer.sign({
      method: request.method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { host: url.host, ...(type === null ? {} : { 'content-type': type }) },
      body,
    });
    const headers = new Headers(request.headers);
    for (const [name, value] of Object.entries(signed.headers)) if (name !== 'host') headers.set(name, value);
    return fetch(url, {
      method: request.method,
      headers,
      signal: request.signal,
      ...(body === '' ? {} : { body }),
    });
  };
}
