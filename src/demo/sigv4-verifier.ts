/**
 * The receiving side of AWS Signature Version 4, written from the public algorithm and sharing no
 * code with any signer: a mistake on both sides would cancel out. Codes and messages follow those
 * of AWS services.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import {
  canonicalHeaderValue,
  canonicalRequest,
  groupHeaders,
  type HeaderValues,
} from './canonical-request.ts';

/**
 * A request exactly as it came: the request line's `path?query`, node's flat `rawHeaders`, the
 * body's bytes.
 */
export interface ReceivedRequest {
  readonly method: string;
  readonly rawUrl: string;
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
}

/** The verifier's record of an access key id. */
export interface KnownKey {
  readonly secretAccessKey: string;
  /** Temporary credentials: the request must carry exactly this token. */
  readonly sessionToken?: string | undefined;
  /** From this moment on the token is answered as expired. */
  readonly expiresAt?: Date | undefined;
}

export interface VerifierSettings {
  readonly secretOf: (accessKeyId: string) => KnownKey | undefined;
  readonly service: string;
  readonly region: string;
  readonly now: Date;
}

export type RefusalCode =
  | 'MissingAuthenticationToken'
  | 'IncompleteSignature'
  | 'UnrecognizedClientException'
  | 'ExpiredTokenException'
  | 'InvalidSignatureException'
  | 'RequestTimeTooSkewed'
  | 'XAmzContentSHA256Mismatch'
  | 'SignatureDoesNotMatch';

export interface Accepted {
  readonly ok: true;
  readonly accessKeyId: string;
  /** `date/region/service/aws4_request`. */
  readonly scope: string;
  readonly signedHeaders: readonly string[];
}

export interface Refused {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly message: string;
  readonly status: 403;
}

export type Verification = Accepted | Refused;

const ALGORITHM = 'AWS4-HMAC-SHA256';
const TERMINATOR = 'aws4_request';
const ALLOWED_SKEW_MINUTES = 5;
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
/** VPC Lattice does not read bodies before it authorizes, and so takes unsigned payloads only. */
const UNSIGNED_PAYLOAD_SERVICE = 'vpc-lattice-svcs';

const refuse = (code: RefusalCode, message: string): Refused => ({ ok: false, code, message, status: 403 });

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** Both sides are hashed first, so that neither content nor length shows in the time it takes. */
const equal = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());

interface Authorization {
  readonly accessKeyId: string;
  readonly scope: readonly [date: string, region: string, service: string, terminator: string];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

function readAuthorization(headers: HeaderValues): Authorization | Refused {
  const [header, ...others] = headers.get('authorization') ?? [];
  if (header === undefined) return refuse('MissingAuthenticationToken', 'Missing Authentication Token');
  if (others.length > 0) return refuse('IncompleteSignature', 'There is more than one Authorization header.');
  const value = header.trim();
  if (!value.startsWith(`${ALGORITHM} `)) {
    return refuse('IncompleteSignature', `Authorization header requires the algorithm '${ALGORITHM}'.`);
  }
  const parts = new Map<string, string>();
  for (const part of value.slice(ALGORITHM.length).split(',')) {
    const [, name, content] = /^\s*(\w+)=(\S*)\s*$/.exec(part) ?? [];
    if (name === undefined || content === undefined || parts.has(name)) {
      return refuse('IncompleteSignature', 'Authorization header is malformed.');
    }
    parts.set(name, content);
  }
  const credential = parts.get('Credential');
  const signedHeaders = parts.get('SignedHeaders');
  const signature = parts.get('Signature');
  if (!credential)
    return refuse('IncompleteSignature', "Authorization header requires 'Credential' parameter.");
  if (!signedHeaders)
    return refuse('IncompleteSignature', "Authorization header requires 'SignedHeaders' parameter.");
  if (!signature)
    return refuse('IncompleteSignature', "Authorization header requires 'Signature' parameter.");
  const [accessKeyId, date, region, service, terminator, ...more] = credential.split('/');
  if (
    accessKeyId === undefined ||
    date === undefined ||
    region === undefined ||
    service === undefined ||
    terminator === undefined ||
    more.length > 0
  ) {
    return refuse(
      'IncompleteSignature',
      `Credential must have exactly 5 slash-delimited elements, got '${credential}'.`,
    );
  }
  return {
    accessKeyId,
    scope: [date, region, service, terminator],
    signedHeaders: signedHeaders.split(';'),
    signature,
  };
}

function checkSignedHeaders(headers: HeaderValues, signed: readonly string[]): Refused | undefined {
  const sorted = [...new Set(signed.map((name) => name.toLowerCase()))].sort();
  if (sorted.join(';') !== signed.join(';')) {
    return refuse('IncompleteSignature', 'SignedHeaders must be lower-case, sorted and without repetition.');
  }
  if (!signed.includes('host')) {
    return refuse('IncompleteSignature', "'Host' must be a 'SignedHeader' in the AWS Authorization.");
  }
  const missing = signed.filter((name) => !headers.has(name));
  if (missing.length > 0) {
    return refuse(
      'IncompleteSignature',
      `Signed headers are missing from the request: ${missing.join(', ')}.`,
    );
  }
  const unsigned = [...headers.keys()].filter(
    (name) => (name.startsWith('x-amz-') || name === 'content-type') && !signed.includes(name),
  );
  return unsigned.length === 0
    ? undefined
    : refuse(
        'IncompleteSignature',
        `There were headers present in the request which were not signed: ${unsigned.join(', ')}.`,
      );
}

function checkToken(headers: HeaderValues, key: KnownKey, now: Date): Refused | undefined {
  const token = headers.get('x-amz-security-token')?.join(',');
  if (
    (token === undefined) !== (key.sessionToken === undefined) ||
    !equal(token ?? '', key.sessionToken ?? '')
  ) {
    return refuse('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  return key.expiresAt !== undefined && now >= key.expiresAt
    ? refuse('ExpiredTokenException', 'The security token included in the request is expired')
    : undefined;
}

function checkScope(
  scope: Authorization['scope'],
  amzDate: string,
  settings: VerifierSettings,
): Refused | undefined {
  const [date, region, service, terminator] = scope;
  const problems: string[] = [];
  if (terminator !== TERMINATOR) {
    problems.push(`Credential should be scoped with a valid terminator: '${TERMINATOR}'.`);
  }
  if (region !== settings.region)
    problems.push(`Credential should be scoped to a valid region: '${settings.region}'.`);
  if (service !== settings.service) {
    problems.push(`Credential should be scoped to correct service: '${settings.service}'.`);
  }
  if (date !== amzDate.slice(0, 8)) {
    problems.push(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date}' != '${amzDate.slice(0, 8)}', from '${amzDate}'.`,
    );
  }
  return problems.length === 0 ? undefined : refuse('InvalidSignatureException', problems.join(' '));
}

const basicIso = (time: number): string => new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');

function checkDate(amzDate: string, now: Date): Refused | undefined {
  const signedAt = Date.parse(
    amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  );
  if (!/^\d{8}T\d{6}Z$/.test(amzDate) || Number.isNaN(signedAt)) {
    return refuse('IncompleteSignature', `Date must be in ISO-8601 'basic format'. Got '${amzDate}'.`);
  }
  const skew = ALLOWED_SKEW_MINUTES * 60_000;
  const [at, here] = [basicIso(signedAt), basicIso(now.getTime())];
  if (signedAt < now.getTime() - skew) {
    const bound = basicIso(now.getTime() - skew);
    return refuse(
      'RequestTimeTooSkewed',
      `Signature expired: ${at} is now earlier than ${bound} (${here} - 5 min.)`,
    );
  }
  if (signedAt > now.getTime() + skew) {
    const bound = basicIso(now.getTime() + skew);
    return refuse(
      'RequestTimeTooSkewed',
      `Signature not yet current: ${at} is still later than ${bound} (${here} + 5 min.)`,
    );
  }
  return undefined;
}

/**
 * The payload hash that the canonical request must end with, or why the announced one will not do.
 */
function payloadHash(headers: HeaderValues, body: Uint8Array, service: string): string | Refused {
  const announced = headers.get('x-amz-content-sha256')?.join(',');
  if (service === UNSIGNED_PAYLOAD_SERVICE) {
    return announced === UNSIGNED_PAYLOAD
      ? UNSIGNED_PAYLOAD
      : refuse(
          'InvalidSignatureException',
          `Payload signing is not supported: x-amz-content-sha256 must be ${UNSIGNED_PAYLOAD}.`,
        );
  }
  const computed = sha256(body);
  return announced === undefined || announced === computed
    ? computed
    : refuse(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
}

/** Checks one request. Pure: the time and the keys come in with the settings. */
export function verifySignature(request: ReceivedRequest, settings: VerifierSettings): Verification {
  const headers = groupHeaders(request.rawHeaders);
  const authorization = readAuthorization(headers);
  if ('ok' in authorization) return authorization;
  const { accessKeyId, scope, signedHeaders, signature } = authorization;

  const amzDate = headers.get('x-amz-date')?.join(',');
  if (amzDate === undefined) {
    return refuse('IncompleteSignature', "Authorization header requires existence of a 'X-Amz-Date' header.");
  }
  const key = settings.secretOf(accessKeyId);
  if (key === undefined) {
    return refuse('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  const problem =
    checkSignedHeaders(headers, signedHeaders) ??
    checkDate(amzDate, settings.now) ??
    checkScope(scope, amzDate, settings) ??
    checkToken(headers, key, settings.now);
  if (problem) return problem;
  const hash = payloadHash(headers, request.body, settings.service);
  if (typeof hash !== 'string') return hash;

  const canonical = canonicalRequest({
    method: request.method,
    rawUrl: request.rawUrl,
    headers,
    signedHeaders,
    payloadHash: hash,
    service: settings.service,
  });
  const toSign = [ALGORITHM, canonicalHeaderValue([amzDate]), scope.join('/'), sha256(canonical)].join('\n');
  const signingKey = scope.reduce<Buffer | string>(
    (previous, part) => hmac(previous, part),
    `AWS4${key.secretAccessKey}`,
  );
  if (!equal(hmac(Buffer.from(signingKey), toSign).toString('hex'), signature)) {
    return refuse(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  return { ok: true, accessKeyId, scope: scope.join('/'), signedHeaders };
}
