import { createHash, createHmac } from 'node:crypto';
import { canonicalRequest, groupHeaders } from '../../src/demo/canonical-request.ts';
import type {
  ReceivedRequest,
  Refused,
  Verification,
  VerifierSettings,
} from '../../src/demo/sigv4-verifier.ts';
import { multiply, ORDER, type Point, verifyEcdsa } from './p256.ts';

/**
 * The receiving side of AWS Signature Version 4A ("Create a signed AWS API request", IAM User
 * Guide). It shares no code with the signer, not even the curve.
 */

const ALGORITHM = 'AWS4-ECDSA-P256-SHA256';
const MAX_SKEW_MS = 5 * 60_000;

const refuse = (code: Refused['code'], message: string): Refused => ({
  ok: false,
  code,
  message,
  status: 403,
});
const sha256 = (data: Uint8Array | string): Buffer => createHash('sha256').update(data).digest();

/** NIST SP 800-108 in counter mode with HMAC-SHA256, until the candidate is below the order. */
export function publicKeyOf(accessKeyId: string, secretAccessKey: string): Point {
  for (let counter = 1; counter < 255; counter++) {
    const input = Buffer.concat([
      Buffer.from([0, 0, 0, 1]),
      Buffer.from(ALGORITHM),
      Buffer.from([0]),
      Buffer.from(accessKeyId),
      Buffer.from([counter]),
      Buffer.from([0, 0, 1, 0]),
    ]);
    const candidate = createHmac('sha256', `AWS4A${secretAccessKey}`).update(input).digest('hex');
    const number = BigInt(`0x${candidate}`);
    if (number > ORDER - 2n) continue;
    const point = multiply(number + 1n);
    if (point) return point;
  }
  throw new Error('no key can be derived');
}

/** The multiplication takes milliseconds. */
const publicKeys = new Map<string, Point>();

function knownPublicKey(accessKeyId: string, secretAccessKey: string): Point {
  const known =
    publicKeys.get(`${accessKeyId} ${secretAccessKey}`) ?? publicKeyOf(accessKeyId, secretAccessKey);
  publicKeys.set(`${accessKeyId} ${secretAccessKey}`, known);
  return known;
}

/**
 * True if the set of the signature, with `*` at the end of a name for any ending, has the region.
 */
const includes = (set: string, region: string): boolean =>
  set.split(',').some((name) => {
    const pattern = name.trim();
    return pattern.endsWith('*') ? region.startsWith(pattern.slice(0, -1)) : pattern === region;
  });

/** Checks one request as a server in the region of the settings. */
export function verifySigV4a(request: ReceivedRequest, settings: VerifierSettings): Verification {
  const headers = groupHeaders(request.rawHeaders);
  const one = (name: string): string => headers.get(name)?.join(',') ?? '';
  const [, accessKeyId = '', scope = '', list = '', signature = ''] =
    /^AWS4-ECDSA-P256-SHA256 Credential=([^/]+)\/(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]+)$/.exec(
      one('authorization'),
    ) ?? [];
  if (signature === '') return refuse('IncompleteSignature', `The algorithm must be ${ALGORITHM}.`);
  const key = settings.secretOf(accessKeyId);
  if (!key) return refuse('UnrecognizedClientException', 'The security token is invalid.');
  if (one('x-amz-security-token') !== (key.sessionToken ?? ''))
    return refuse('UnrecognizedClientException', 'The security token included in the request is invalid.');
  const time = one('x-amz-date');
  const at = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(at - settings.now.getTime()) <= MAX_SKEW_MS))
    return refuse('RequestTimeTooSkewed', `Signature expired: ${time}`);
  if (scope !== `${time.slice(0, 8)}/${settings.service}/aws4_request`)
    return refuse(
      'InvalidSignatureException',
      `Credential should be scoped to correct service: '${settings.service}'.`,
    );
  const signedHeaders = list.split(';');
  const needed = [...headers.keys()].filter(
    (name) => name === 'host' || name === 'content-type' || name.startsWith('x-amz-'),
  );
  if (!needed.every((name) => signedHeaders.includes(name)) || !signedHeaders.includes('x-amz-region-set'))
    return refuse('IncompleteSignature', 'A header was not signed.');
  if (!includes(one('x-amz-region-set'), settings.region))
    return refuse('InvalidSignatureException', `The region set must include '${settings.region}'.`);
  const announced = one('x-amz-content-sha256');
  const isUnsigned = settings.service === 'vpc-lattice-svcs';
  const payloadHash = isUnsigned ? 'UNSIGNED-PAYLOAD' : sha256(request.body).toString('hex');
  if (announced !== payloadHash)
    return refuse('XAmzContentSHA256Mismatch', `x-amz-content-sha256 must be ${payloadHash}.`);
  const { method, rawUrl } = request;
  const { service } = settings;
  const canonical = canonicalRequest({ method, rawUrl, headers, signedHeaders, payloadHash, service });
  const toSign = [ALGORITHM, time, scope, sha256(canonical).toString('hex')].join('\n');
  const publicKey = knownPublicKey(accessKeyId, key.secretAccessKey);
  return verifyEcdsa(sha256(toSign), Buffer.from(signature, 'hex'), publicKey)
    ? { ok: true, accessKeyId, scope, signedHeaders }
    : refuse(
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided.',
      );
}
