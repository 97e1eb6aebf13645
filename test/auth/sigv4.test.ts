import { createHash } from 'node:crypto';
import * as http from 'node:http';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, it } from 'vitest';
import type { Credentials } from '../../src/auth/credentials/credentials.ts';
import { type Signer, type SigningScope, signingTarget } from '../../src/auth/signing.ts';
import { signRequest } from '../../src/auth/sigv4.ts';
import { Sha256, signRequest as smithySignRequest } from '../../src/auth/smithy-sigv4.ts';
import { type Verification, verifySignature } from '../../src/demo/sigv4-verifier.ts';
import { fc } from '../support/property.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

const KEYS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: 'TOKEN',
} as const;
const DATE = new Date('2026-01-02T03:04:05Z');
const SCOPE: SigningScope = { service: 'bedrock-agentcore', region: 'us-east-1' };

interface Signing {
  readonly url: string;
  readonly method?: string;
  readonly body?: string | Uint8Array;
  readonly keys?: Credentials;
  readonly scope?: SigningScope;
  /** Headers that hops on the way add or rewrite. */
  readonly added?: Readonly<Record<string, string>>;
}

const SIGNERS: readonly (readonly [name: string, signer: Signer])[] = [
  ['sigv4.ts', signRequest],
  ['smithy-sigv4.ts', smithySignRequest],
];

async function signWith(
  signer: Signer,
  { url, method = 'POST', body, keys = KEYS, scope = SCOPE, added = {} }: Signing,
) {
  const target = signingTarget(new URL(url));
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const signable = { method, target, ...(bytes ? { contentType: 'application/json', body: bytes } : {}) };
  const headers = await signer(signable, keys, scope, DATE);
  const verification: Verification = verifySignature(
    {
      method,
      rawUrl: target.path,
      rawHeaders: Object.entries({ ...headers, ...added }).flat(),
      body: bytes ?? new Uint8Array(),
    },
    { secretOf: () => keys, service: scope.service, region: scope.region, now: DATE },
  );
  return { target, headers, verification };
}

const accepted = (signedHeaders: readonly string[], scope = SCOPE): Verification => ({
  ok: true,
  accessKeyId: 'AKIDEXAMPLE',
  scope: `20260102/${scope.region}/${scope.service}/aws4_request`,
  signedHeaders,
});

const WITH_BODY = ['content-type', 'host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'];
const WITHOUT_BODY = WITH_BODY.slice(1);

const segment = fc.oneof(
  fc.constantFrom('', '.', '..', '%2F', '%2f', '%252F', '%20', 'a b', '+', '~', 'ü', '日本', '😀', '%C3%BC'),
  fc.constantFrom("!'()*", '$&,;=:@', 'arn%3Aaws', '%', '%zz', '|^`{}"<>', '[]', 'a%2E%2e'),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => text.replace(/[?#\\]/g, '')),
);
const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`);
const word = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'b', 'a-b', '+', '~', '%7E', '%2B', 'é', '%c3%a9', ' ', '%20', '%', '*', "'"),
  fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => text.replace(/[&#=]/g, '')),
);
const pair = fc.oneof(
  word,
  fc.tuple(word, word).map(([key, value]) => `${key}=${value}`),
);
const query = fc
  .array(pair, { maxLength: 6 })
  .map((pairs) => (pairs.length > 0 ? `?${pairs.join('&')}` : ''));
const body = fc.option(fc.uint8Array({ minLength: 1, maxLength: 64 }), { nil: undefined });

describe.each(SIGNERS)('the signer %s', (_name, signer) => {
  const sign = (signing: Signing) => signWith(signer, signing);

  describe('a signature', () => {
    it('a signature of an AgentCore invocation equals that of botocore and of plain HMACs', async () => {
      const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
      const { target, headers } = await sign({
        url: 'https://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fmy_mcp-AbCdEf1234/invocations?qualifier=DEFAULT',
        body,
      });
      expect(target.path).toBe(
        '/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A123456789012%3Aruntime%2Fmy_mcp-AbCdEf1234/invocations?qualifier=DEFAULT',
      );
      expect(headers).toEqual({
        host: 'bedrock-agentcore.us-east-1.amazonaws.com',
        'content-type': 'application/json',
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
        'x-amz-date': '20260102T030405Z',
        'x-amz-security-token': 'TOKEN',
        authorization:
          'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock-agentcore/aws4_request, ' +
          'SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, ' +
          'Signature=7159cc6bf40fb3c6b3c27ef6d25da7103cd849dea5f29c7c3166127759f612cd',
      });
    });

    it.each([
      ['a POST', { method: 'POST', body: '{}' }, WITH_BODY],
      ['a GET', { method: 'GET' }, WITHOUT_BODY],
      ['a DELETE', { method: 'DELETE' }, WITHOUT_BODY],
    ])(
      'a signature of %s covers host, content-type where there is a body, and x-amz-*',
      async (_name, request, signed) => {
        const { verification } = await sign({ url: 'https://example.com/mcp', ...request });
        expect(verification).toEqual(accepted(signed));
      },
    );

    it('a signature without a session token has no x-amz-security-token', async () => {
      const { accessKeyId, secretAccessKey } = KEYS;
      const keys = { accessKeyId, secretAccessKey };
      const { headers, verification } = await sign({ url: 'https://example.com/', body: '{}', keys });
      expect(headers).not.toHaveProperty('x-amz-security-token');
      expect(verification).toEqual(accepted(WITH_BODY.slice(0, -1)));
    });

    it('a signature covers the port unless it is the default of the scheme', async () => {
      const odd = await sign({ url: 'https://example.com:8443/mcp', body: '{}' });
      const usual = await sign({ url: 'https://example.com:443/mcp', body: '{}' });
      expect([odd.headers.host, usual.headers.host]).toEqual(['example.com:8443', 'example.com']);
      expect([odd.verification.ok, usual.verification.ok]).toEqual([true, true]);
    });

    it('a signature for VPC Lattice leaves the payload unsigned, with and without a body', async () => {
      const scope = { service: 'vpc-lattice-svcs', region: 'us-west-2' };
      const url = 'https://svc-0f.7d67.vpc-lattice-svcs.us-west-2.on.aws/mcp';
      const post = await sign({ url, body: '{}', scope });
      const get = await sign({ url, method: 'GET', scope });
      expect(post.headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
      expect(get.headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
      expect(post.verification).toEqual(accepted(WITH_BODY, scope));
      expect(get.verification).toEqual(accepted(WITHOUT_BODY, scope));
    });

    it('a signature stays valid after a hop rewrites headers that it does not cover', async () => {
      const added = {
        accept: '*/*',
        'accept-encoding': 'gzip, br',
        'content-length': '999',
        'transfer-encoding': 'chunked',
        via: '1.1 proxy',
        connection: 'close',
        'user-agent': 'someone else',
        'x-forwarded-for': '10.0.0.1',
        'mcp-session-id': 'changed',
      };
      const { verification } = await sign({ url: 'https://example.com/mcp', body: '{"a":1}', added });
      expect(verification).toEqual(accepted(WITH_BODY));
    });

    it('a signature changes neither credentials nor target', async () => {
      const target = signingTarget(new URL('https://example.com/mcp?b=2&a=1&b=1'));
      const before = structuredClone(target);
      const keys = Object.freeze({ ...KEYS });
      await signer({ method: 'GET', target }, keys, SCOPE, DATE);
      expect(target).toEqual(before);
    });
  });

  describe('the query in its canonical spelling', () => {
    it.each([
      ['?a=1&b=2', '?a=1&b=2'],
      ['?b=2&a=1', '?b=2&a=1'],
      ['?a', '?a='],
      ['?a=', '?a='],
      ['?a=x+y', '?a=x%20y'],
      ['?a=x%2By', '?a=x%2By'],
      ['?a=%7e~', '?a=~~'],
      ['?a=%c3%a9é', '?a=%C3%A9%C3%A9'],
      ["?a=!'()*", '?a=%21%27%28%29%2A'],
      ['?a=1&a=0&a=1', '?a=1&a=0&a=1'],
      ['?a=/?:@', '?a=%2F%3F%3A%40'],
      ['?', ''],
      ['', ''],
    ])('the canonical query of %s is %s', async (query, sent) => {
      const { target, verification } = await sign({ url: `https://example.com/mcp${query}`, body: '{}' });
      expect(target.path).toBe(`/mcp${sent}`);
      expect(verification).toEqual(accepted(WITH_BODY));
    });
  });

  describe('the independent verifier', () => {
    it('the independent verifier accepts random paths, queries and bodies', async () => {
      await fc.assert(
        fc.asyncProperty(path, query, body, async (pathname, search, bytes) => {
          const url = `https://host.example.com${pathname}${search}`;
          const { verification } = await sign({ url, ...(bytes ? { body: bytes } : { method: 'GET' }) });
          expect(verification).toEqual(accepted(bytes ? WITH_BODY : WITHOUT_BODY));
        }),
        { numRuns: signer === signRequest ? 600 : 200 },
      );
    });

    it('the independent verifier accepts requests as a server reads them from a socket', async () => {
      const server = await ScriptedServer.start((_request, response) => void response.end('{}'), {
        verify: { ...SCOPE, keys: { [KEYS.accessKeyId]: KEYS }, now: () => DATE },
      });
      const send = async (url: string): Promise<void> => {
        const target = signingTarget(new URL(url));
        const payload = Buffer.from('{"id":0}');
        const signable = { method: 'POST', target, contentType: 'application/json', body: payload };
        const headers = await signer(signable, KEYS, SCOPE, DATE);
        await new Promise<void>((resolve, reject) => {
          const request = http.request(
            { host: '127.0.0.1', port: server.port, method: 'POST', path: target.path, headers },
            (response) => response.resume().on('end', resolve),
          );
          request.on('error', reject).end(payload);
        });
      };
      for (const tail of ['/', '/a%2Fb//c/./d/?q=%2B+~&q=', '/ü ñ/%7e?日=本&k', "/!'()*/$?x=*&X=1"]) {
        await send(`${server.origin}${tail}`);
      }
      expect(server.requests.map(({ verification }) => verification)).toEqual(
        Array.from({ length: 4 }, () => accepted(WITH_BODY)),
      );
    });
  });

  describe('headers of @smithy/signature-v4', () => {
    const signers = fc.record({
      service: fc.constantFrom('execute-api', 'bedrock-agentcore', 'lambda', 'vpc-lattice-svcs', 'a b/ü'),
      region: fc.constantFrom('us-east-1', 'eu-west-1', 'cn-north-1', ''),
      accessKeyId: fc.constantFrom('AKIDEXAMPLE', ''),
      secretAccessKey: fc.oneof(fc.constantFrom(KEYS.secretAccessKey, '', 'ü/+='), fc.string()),
      sessionToken: fc.option(fc.oneof(fc.constantFrom('', 'a  b', ' a\tb '), fc.base64String()), {
        nil: undefined,
      }),
    });
    const date = fc.date({
      min: new Date('1970-01-01'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    });
    const method = fc.constantFrom('GET', 'POST', 'DELETE');
    const type = fc.option(fc.constantFrom('application/json', 'text/plain;  charset=utf-8'), {
      nil: undefined,
    });

    it('the headers equal those of @smithy/signature-v4 for random requests, dates and credentials', async () => {
      await fc.assert(
        fc.asyncProperty(path, query, body, date, method, type, signers, async (...parts) => {
          const [pathname, search, bytes, now, verb, contentType, { service, region, ...credentials }] =
            parts;
          const url = new URL(`https://host.example.com:8443${pathname}${search}`);
          if (search.length % 2 === 1) url.searchParams.append('X-Amz-Signature', search);
          const { sessionToken, ...pair } = credentials;
          const keys: Credentials = sessionToken === undefined ? pair : { ...pair, sessionToken };
          const parameters: Record<string, string[]> = {};
          for (const [key, value] of url.searchParams) parameters[key] = [...(parameters[key] ?? []), value];
          const extra = service === 'vpc-lattice-svcs' ? { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } : {};
          const expected = await new SignatureV4({
            service,
            region,
            credentials: keys,
            sha256: Sha256,
            uriEscapePath: true,
            applyChecksum: true,
          }).sign(
            {
              method: verb,
              protocol: 'https:',
              hostname: url.hostname,
              path: url.pathname,
              query: parameters,
              headers: { host: url.host, ...(contentType ? { 'content-type': contentType } : {}), ...extra },
              body: bytes,
            },
            { signingDate: now },
          );
          const signable = {
            method: verb,
            target: signingTarget(url),
            ...(contentType ? { contentType } : {}),
            ...(bytes ? { body: bytes } : {}),
          };
          expect(await signer(signable, keys, { service, region }, now)).toEqual(expected.headers);
        }),
        { numRuns: signer === signRequest ? 3_000 : 300 },
      );
    });

    it('the headers equal those of @smithy/signature-v4 when credentials sign on two days and for two scopes', async () => {
      const target = signingTarget(new URL('https://example.com/'));
      const days = [DATE, new Date('2026-01-03T00:00:00Z'), DATE];
      const scopes = [SCOPE, { service: 'lambda', region: 'us-east-1' }];
      for (const now of days) {
        for (const scope of scopes) {
          const cached = await signer({ method: 'GET', target }, KEYS, scope, now);
          const fresh = await signer({ method: 'GET', target }, { ...KEYS }, scope, now);
          expect(cached).toEqual(fresh);
        }
      }
    });
  });
});

it.each([
  ['an ordinary', 'execute-api'],
  ['a non-ASCII', 'ä€'.repeat(30)],
  ['a long', 'service-'.repeat(60)],
])('a request for %s service name is signed as @smithy/signature-v4 signs it', async (_kind, service) => {
  const request = { method: 'GET', target: signingTarget(new URL('https://example.com/')) };
  const scope = { service, region: 'eu-west-1' };
  const { authorization } = await smithySignRequest(request, KEYS, scope, DATE);
  expect(signRequest(request, KEYS, scope, DATE).authorization).toBe(authorization);
});
