import { describe, expect, it } from 'vitest';
import type { Credentials } from '../../src/auth/credentials/credentials.ts';
import { signingTarget } from '../../src/auth/signing.ts';
import { signRequestV4a } from '../../src/auth/smithy-sigv4a.ts';
import { fc } from '../support/property.ts';
import { publicKeyOf, verifySigV4a } from '../support/sigv4a-verifier.ts';

const KEYS: Credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: 'TOKEN',
};
const DATE = new Date('2026-01-02T03:04:05Z');

interface Signing {
  readonly url?: string;
  readonly method?: string;
  readonly body?: Uint8Array | undefined;
  readonly keys?: Credentials;
  readonly service?: string;
  readonly regionSet?: string;
  /** The region of the server. */
  readonly region?: string;
}

async function sign({
  url = 'https://x.global.api.aws/mcp',
  method = 'POST',
  body = Buffer.from('{}'),
  keys = KEYS,
  service = 'x',
  regionSet = '*',
  region = 'eu-west-1',
}: Signing = {}) {
  const target = signingTarget(new URL(url));
  const signable = { method, target, ...(body.length > 0 ? { contentType: 'application/json', body } : {}) };
  const headers = await signRequestV4a(signable, keys, { service, region: regionSet }, DATE);
  const verify = (changed: Record<string, string> = {}, sent: Uint8Array = body) =>
    verifySigV4a(
      {
        method,
        rawUrl: target.path,
        rawHeaders: Object.entries({ ...headers, ...changed }).flat(),
        body: sent,
      },
      { secretOf: () => keys, service, region, now: DATE },
    );
  return { headers, verify };
}

describe('a SigV4A signature', () => {
  it('the verifier derives the public key of the test suite that AWS publishes', () => {
    const { x, y } = publicKeyOf(KEYS.accessKeyId, KEYS.secretAccessKey);
    expect(x.toString(16)).toBe('b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1');
    expect(y.toString(16)).toBe('865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518');
  });

  it('a SigV4A signature covers the regions, and its scope names none', async () => {
    const { headers, verify } = await sign({ regionSet: 'eu-west-1,us-*' });
    expect(headers).toMatchObject({
      host: 'x.global.api.aws',
      'content-type': 'application/json',
      'x-amz-date': '20260102T030405Z',
      'x-amz-region-set': 'eu-west-1,us-*',
      'x-amz-security-token': 'TOKEN',
    });
    expect(verify()).toEqual({
      ok: true,
      accessKeyId: 'AKIDEXAMPLE',
      scope: '20260102/x/aws4_request',
      signedHeaders: [
        ...['content-type', 'host', 'x-amz-content-sha256', 'x-amz-date'],
        ...['x-amz-region-set', 'x-amz-security-token'],
      ],
    });
  });

  it.each<[string, Signing, Record<string, string>, Uint8Array | undefined, string]>([
    ['another body', {}, {}, Buffer.from('{"a":1}'), 'XAmzContentSHA256Mismatch'],
    ['another region set', {}, { 'x-amz-region-set': 'eu-*' }, undefined, 'SignatureDoesNotMatch'],
    ['another host', {}, { host: 'y.global.api.aws' }, undefined, 'SignatureDoesNotMatch'],
    ['a region outside of the set', { regionSet: 'us-*' }, {}, undefined, 'InvalidSignatureException'],
  ])('a SigV4A signature is rejected for %s', async (_what, signing, changed, body, code) => {
    const { verify } = await sign(signing);
    expect(verify(changed, body)).toMatchObject({ ok: false, code });
  });

  it('a SigV4A signature for VPC Lattice does not cover the payload', async () => {
    const { headers, verify } = await sign({ service: 'vpc-lattice-svcs' });
    expect(headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
    expect(verify()).toMatchObject({ ok: true });
  });

  it('a SigV4A signature is computed by the curves of Node, which add randomness to each one', async () => {
    const [one, other] = await Promise.all([sign(), sign()]);
    expect(one.headers.authorization).not.toBe(other.headers.authorization);
    expect([one.verify(), other.verify()]).toMatchObject([{ ok: true }, { ok: true }]);
  });

  it('each credentials sign with their own derived key', async () => {
    const others = { accessKeyId: 'AKIDOTHER', secretAccessKey: 'another-secret' };
    const [one, other] = await Promise.all([sign(), sign({ keys: others })]);
    expect([one.verify(), other.verify()]).toMatchObject([{ ok: true }, { ok: true }]);
    expect(other.headers).not.toHaveProperty('x-amz-security-token');
  });

  it('SigV4A signatures of any path, query and body are accepted', async () => {
    const word = fc.oneof(
      fc.constantFrom('a b', '%2F', '+', '~', "!'()*", 'ü', '%', '*', '', '='),
      fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => text.replace(/[?#\\/&]/g, '')),
    );
    const url = fc
      .tuple(fc.array(word, { maxLength: 3 }), fc.array(fc.tuple(word, word), { maxLength: 3 }))
      .map(
        ([path, query]) =>
          `https://h.example/${path.join('/')}?${query.map((pair) => pair.join('=')).join('&')}`,
      );
    const request = fc.record({
      url,
      method: fc.constantFrom('GET', 'POST', 'DELETE'),
      body: fc.uint8Array({ maxLength: 16 }),
      regionSet: fc.constantFrom('*', 'eu-west-1', 'eu-west-1,us-east-1'),
    });
    await fc.assert(
      fc.asyncProperty(request, async (signing) => {
        const { verify } = await sign(signing);
        expect(verify()).toMatchObject({ ok: true });
      }),
      { numRuns: 25 },
    );
  });
});
