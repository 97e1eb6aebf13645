import { createHash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, it } from 'vitest';
import { Sha256 } from '../../src/auth/smithy-sigv4.ts';
import {
  type ReceivedRequest,
  type VerifierSettings,
  verifySignature,
} from '../../src/demo/sigv4-verifier.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const bytes = (text: string): Buffer => Buffer.from(text);

/** The settings of AWS's published signature test suite. */
const suite: VerifierSettings = {
  secretOf: (id) => (id === 'AKIDEXAMPLE' ? { secretAccessKey: SECRET } : undefined),
  service: 'service',
  region: 'us-east-1',
  now: new Date('2015-08-30T12:36:00Z'),
};

function suiteRequest(
  method: string,
  rawUrl: string,
  signature: string,
  headers: string[] = [],
  signed = 'host;x-amz-date',
  body = '',
): ReceivedRequest {
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${signed}, Signature=${signature}`;
  return {
    method,
    rawUrl,
    rawHeaders: [
      'Host',
      'example.amazonaws.com',
      ...headers,
      'X-Amz-Date',
      '20150830T123600Z',
      'Authorization',
      authorization,
    ],
    body: bytes(body),
  };
}

/** A request to an AgentCore runtime, whose ARN is percent-encoded in the path. */
const golden = {
  settings: {
    secretOf: (id: string) =>
      id === 'AKIDEXAMPLE' ? { secretAccessKey: SECRET, sessionToken: 'TOKEN' } : undefined,
    service: 'bedrock-agentcore',
    region: 'us-east-1',
    now: new Date('2026-01-02T03:04:05Z'),
  },
  method: 'POST',
  rawUrl:
    '/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fmy_mcp-AbCdEf1234/invocations?qualifier=DEFAULT',
  body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  signature: '7159cc6bf40fb3c6b3c27ef6d25da7103cd849dea5f29c7c3166127759f612cd',
  signed: 'content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token',
};

const goldenHeaders = (): Record<string, string> => ({
  host: 'bedrock-agentcore.us-east-1.amazonaws.com',
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'x-amz-content-sha256': createHash('sha256').update(golden.body).digest('hex'),
  'x-amz-date': '20260102T030405Z',
  'x-amz-security-token': 'TOKEN',
  authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock-agentcore/aws4_request, SignedHeaders=${golden.signed}, Signature=${golden.signature}`,
});

interface Changes {
  method?: string;
  rawUrl?: string;
  body?: string;
  headers?: Record<string, string | undefined>;
  settings?: Partial<VerifierSettings>;
}

function verifyGolden({ headers = {}, settings = {}, ...changes }: Changes = {}) {
  const rawHeaders = Object.entries({ ...goldenHeaders(), ...headers }).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  );
  const request = {
    method: changes.method ?? golden.method,
    rawUrl: changes.rawUrl ?? golden.rawUrl,
    rawHeaders,
    body: bytes(changes.body ?? golden.body),
  };
  return verifySignature(request, { ...golden.settings, ...settings });
}

const authorizationWith = (from: string | RegExp, to: string): Changes => ({
  headers: { authorization: (goldenHeaders().authorization ?? '').replace(from, to) },
});

describe('requests that the verifier accepts', () => {
  it.each([
    [
      'get-vanilla',
      suiteRequest('GET', '/', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'),
    ],
    [
      'get-vanilla-query-order-key-case',
      suiteRequest(
        'GET',
        '/?Param2=value2&Param1=value1',
        'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
      ),
    ],
    [
      'get-utf8',
      suiteRequest('GET', '/ሴ', '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85'),
    ],
    [
      'get-unreserved',
      suiteRequest(
        'GET',
        '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
        '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
      ),
    ],
    [
      'post-vanilla',
      suiteRequest('POST', '/', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'),
    ],
    [
      'post-vanilla-query',
      suiteRequest(
        'POST',
        '/?Param1=value1',
        '28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11',
      ),
    ],
    [
      'post-x-www-form-urlencoded',
      suiteRequest(
        'POST',
        '/',
        'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
        ['Content-Type', 'application/x-www-form-urlencoded'],
        'content-type;host;x-amz-date',
        'Param1=value1',
      ),
    ],
    [
      'get-header-value-trim',
      suiteRequest(
        'GET',
        '/',
        'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
        ['My-Header1', ' value1', 'My-Header2', ' "a   b   c"'],
        'host;my-header1;my-header2;x-amz-date',
      ),
    ],
    [
      'get-header-key-duplicate',
      suiteRequest(
        'GET',
        '/',
        'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea',
        ['My-Header1', 'value2', 'My-Header1', 'value2', 'My-Header1', 'value1'],
        'host;my-header1;x-amz-date',
      ),
    ],
  ])('the verifier accepts %s of the AWS test suite', (_name, request) => {
    expect(verifySignature(request, suite)).toMatchObject({ ok: true, accessKeyId: 'AKIDEXAMPLE' });
  });

  it.each(['/./', '/foo/..', '//', '/foo/bar/../..', ''])(
    'the verifier accepts %j as another spelling of the root path',
    (rawUrl) => {
      const request = suiteRequest(
        'GET',
        rawUrl,
        '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
      );
      expect(verifySignature(request, suite)).toMatchObject({ ok: true });
    },
  );

  it('the verifier accepts a runtime ARN in the path, encoded twice in the signature', () => {
    expect(verifyGolden()).toEqual({
      ok: true,
      accessKeyId: 'AKIDEXAMPLE',
      scope: '20260102/us-east-1/bedrock-agentcore/aws4_request',
      signedHeaders: golden.signed.split(';'),
    });
  });

  it.each(['2026-01-02T02:59:05Z', '2026-01-02T03:09:05Z'])(
    'the verifier accepts a clock exactly five minutes apart (%s)',
    (now) => {
      expect(verifyGolden({ settings: { now: new Date(now) } })).toMatchObject({ ok: true });
    },
  );

  it('the verifier accepts headers outside the signature, in any case and order', () => {
    expect(
      verifyGolden({ headers: { 'User-Agent': 'x', 'Mcp-Session-Id': '0', accept: '*/*' } }),
    ).toMatchObject({ ok: true });
  });

  it.each([
    ['/mcp', {}],
    ['/a b/%2F/%C3%A9/', { b: '2', a: ['z', 'a'], 'sp ace': '~*', plus: '+', '': 'empty', none: '' }],
    ['/a//b/../c/.', { Z: '%41', a: 'ü' }],
  ])('the verifier accepts what another implementation signs for %s', async (path, query) => {
    const signer = new SignatureV4({
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET },
      service: 'service',
      region: 'us-east-1',
      sha256: Sha256,
    });
    const signed = await signer.sign(
      {
        method: 'PUT',
        protocol: 'https:',
        hostname: 'h',
        path,
        query,
        headers: { host: 'h:8443', 'content-type': ' a   b ' },
        body: 'x',
      },
      { signingDate: suite.now },
    );
    // Sent in the opposite order and with other spellings of the same bytes than the signer used.
    const pairs = Object.entries(query).flatMap(([name, value]) =>
      [value].flat().map((item) => [name, item]),
    );
    const search = pairs
      .reverse()
      .map(([name = '', value = '']) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    const rawUrl =
      search.length > 0
        ? `${path}?${search.join('&').replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())}`
        : path;
    const request = {
      method: 'PUT',
      rawUrl,
      rawHeaders: Object.entries(signed.headers).flat(),
      body: bytes('x'),
    };
    expect(verifySignature(request, suite)).toMatchObject({ ok: true });
  });

  it.each([
    ['an unsigned payload for VPC Lattice', 'vpc-lattice-svcs', '/a%3Ab', 'UNSIGNED-PAYLOAD'],
    ['a path encoded once for S3', 's3', '/a%3Ab//c', createHash('sha256').update('x').digest('hex')],
  ])('the verifier accepts %s', async (_what, service, path, payload) => {
    const signer = new SignatureV4({
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET },
      service,
      region: 'us-east-1',
      sha256: Sha256,
      uriEscapePath: service !== 's3',
    });
    const headers = { host: 'h', 'x-amz-content-sha256': payload };
    const unsigned = { method: 'POST', protocol: 'https:', hostname: 'h', path, headers, body: 'x' };
    const signed = await signer.sign(unsigned, { signingDate: suite.now });
    const rawHeaders = Object.entries(signed.headers).flat();
    const request = { method: 'POST', rawUrl: path, rawHeaders, body: bytes('x') };
    expect(verifySignature(request, { ...suite, service })).toMatchObject({ ok: true });
  });
});

describe('requests that the verifier refuses', () => {
  it.each<[string, string, Changes]>([
    ['no Authorization header', 'MissingAuthenticationToken', { headers: { authorization: undefined } }],
    ['a bearer token', 'IncompleteSignature', { headers: { authorization: 'Bearer x' } }],
    [
      'an Authorization header of rubbish',
      'IncompleteSignature',
      { headers: { authorization: 'AWS4-HMAC-SHA256 x' } },
    ],
    [
      'a Credential given twice',
      'IncompleteSignature',
      authorizationWith('Credential=', 'Credential=x, Credential='),
    ],
    ['no Signature', 'IncompleteSignature', authorizationWith(/, Signature=.*/, '')],
    ['no SignedHeaders', 'IncompleteSignature', authorizationWith(/SignedHeaders=.*?, /, '')],
    ['a Credential without a service', 'IncompleteSignature', authorizationWith('/bedrock-agentcore', '')],
    ['an unknown access key', 'UnrecognizedClientException', authorizationWith('AKIDEXAMPLE', 'AKIDOTHER')],
    ['another signature', 'SignatureDoesNotMatch', authorizationWith(/cd$/, 'ce')],
    ['a shortened signature', 'SignatureDoesNotMatch', authorizationWith(/cd$/, '')],
    ['a signature in capitals', 'SignatureDoesNotMatch', authorizationWith('7159cc6bf', '7159CC6BF')],
    ['another method', 'SignatureDoesNotMatch', { method: 'PUT' }],
    ['another path', 'SignatureDoesNotMatch', { rawUrl: golden.rawUrl.replace('my_mcp', 'my_mcq') }],
    ['the path decoded', 'SignatureDoesNotMatch', { rawUrl: golden.rawUrl.replaceAll('%3A', ':') }],
    ['a slash added to the path', 'SignatureDoesNotMatch', { rawUrl: golden.rawUrl.replace('?', '/?') }],
    ['another query value', 'SignatureDoesNotMatch', { rawUrl: golden.rawUrl.replace('DEFAULT', 'default') }],
    ['another parameter', 'SignatureDoesNotMatch', { rawUrl: `${golden.rawUrl}&a=1` }],
    ['no query', 'SignatureDoesNotMatch', { rawUrl: golden.rawUrl.replace(/\?.*/, '') }],
    ['another body', 'XAmzContentSHA256Mismatch', { body: golden.body.replace('1', '0') }],
    ['no body', 'XAmzContentSHA256Mismatch', { body: '' }],
    [
      'an unsigned payload',
      'XAmzContentSHA256Mismatch',
      { headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
    ],
    ['another host', 'SignatureDoesNotMatch', { headers: { host: 'elsewhere' } }],
    [
      'a port added to the host',
      'SignatureDoesNotMatch',
      { headers: { host: 'bedrock-agentcore.us-east-1.amazonaws.com:443' } },
    ],
    ['another content type', 'SignatureDoesNotMatch', { headers: { 'content-type': 'text/plain' } }],
    ['a signed header taken away', 'IncompleteSignature', { headers: { 'content-type': undefined } }],
    ['an unsigned x-amz header', 'IncompleteSignature', { headers: { 'X-Amz-Extra': '' } }],
    ['an unsigned content type', 'IncompleteSignature', authorizationWith('content-type;', '')],
    ['an unsigned host', 'IncompleteSignature', authorizationWith('host;', '')],
    [
      'signed headers out of order',
      'IncompleteSignature',
      authorizationWith('content-type;host', 'host;content-type'),
    ],
    ['signed headers in capitals', 'IncompleteSignature', authorizationWith('content-type', 'Content-Type')],
    ['an unsigned security token', 'IncompleteSignature', authorizationWith(';x-amz-security-token', '')],
    [
      'another security token',
      'UnrecognizedClientException',
      { headers: { 'x-amz-security-token': 'OTHER' } },
    ],
    [
      'a token that the key does not have',
      'UnrecognizedClientException',
      { settings: { secretOf: () => ({ secretAccessKey: SECRET }) } },
    ],
    [
      'an expired token',
      'ExpiredTokenException',
      {
        settings: {
          secretOf: () => ({
            secretAccessKey: SECRET,
            sessionToken: 'TOKEN',
            expiresAt: golden.settings.now,
          }),
        },
      },
    ],
    [
      'another secret',
      'SignatureDoesNotMatch',
      { settings: { secretOf: () => ({ secretAccessKey: 'x', sessionToken: 'TOKEN' }) } },
    ],
    ['no date', 'IncompleteSignature', { headers: { 'x-amz-date': undefined } }],
    ['a malformed date', 'IncompleteSignature', { headers: { 'x-amz-date': '2026-01-02T03:04:05Z' } }],
    ['an impossible date', 'IncompleteSignature', { headers: { 'x-amz-date': '20269902T030405Z' } }],
    ['another second', 'SignatureDoesNotMatch', { headers: { 'x-amz-date': '20260102T030406Z' } }],
    [
      'a signature older than five minutes',
      'RequestTimeTooSkewed',
      { settings: { now: new Date('2026-01-02T03:09:06Z') } },
    ],
    [
      'a signature from the future',
      'RequestTimeTooSkewed',
      { settings: { now: new Date('2026-01-02T02:59:04Z') } },
    ],
    ['another date in the scope', 'InvalidSignatureException', authorizationWith('20260102/', '20260101/')],
    [
      'another region in the scope',
      'InvalidSignatureException',
      authorizationWith('us-east-1/', 'us-west-2/'),
    ],
    ['another terminator', 'InvalidSignatureException', authorizationWith('aws4_request', 'aws5_request')],
    [
      'another service in the scope',
      'InvalidSignatureException',
      authorizationWith('/bedrock-agentcore/', '/execute-api/'),
    ],
  ])('the verifier refuses %s', (_what, code, changes) => {
    expect(verifyGolden(changes)).toMatchObject({ ok: false, code, status: 403 });
  });

  it('the verifier refuses a second header of a signed name', () => {
    const rawHeaders = [...Object.entries(goldenHeaders()).flat(), 'Content-Type', 'application/json'];
    const request = { method: 'POST', rawUrl: golden.rawUrl, rawHeaders, body: bytes(golden.body) };
    expect(verifySignature(request, golden.settings)).toMatchObject({ code: 'SignatureDoesNotMatch' });
  });

  it('the verifier refuses a second Authorization header', () => {
    const rawHeaders = [...Object.entries(goldenHeaders()).flat(), 'authorization', 'x'];
    const request = { method: 'POST', rawUrl: golden.rawUrl, rawHeaders, body: bytes(golden.body) };
    expect(verifySignature(request, golden.settings)).toMatchObject({ code: 'IncompleteSignature' });
  });

  it('the verifier refuses a signed payload for VPC Lattice, which takes unsigned ones only', () => {
    const changes = authorizationWith('/bedrock-agentcore/', '/vpc-lattice-svcs/');
    const settings = { service: 'vpc-lattice-svcs' };
    expect(verifyGolden({ ...changes, settings })).toMatchObject({
      message: expect.stringContaining('UNSIGNED-PAYLOAD'),
    });
    const unsigned = { ...changes.headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    expect(verifyGolden({ headers: unsigned, settings })).toMatchObject({ code: 'SignatureDoesNotMatch' });
  });

  it('the verifier refuses a wrong scope, and names the right one', () => {
    expect(verifyGolden(authorizationWith('/bedrock-agentcore/', '/execute-api/'))).toMatchObject({
      message: "Credential should be scoped to correct service: 'bedrock-agentcore'.",
    });
  });
});
