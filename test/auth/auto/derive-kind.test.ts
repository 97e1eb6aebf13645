import { describe, expect, it } from 'vitest';
import type { CredentialRefusal } from '../../../src/auth/authorizer.ts';
import { deriveKind, type KindSettings } from '../../../src/auth/auto/derive-kind.ts';

const SIGV4: KindSettings = { hasToken: false, signing: { kind: 'sigv4' } };
const derive = (refusal: Partial<CredentialRefusal>, settings: Partial<KindSettings> = {}) =>
  deriveKind(
    { status: 401, kind: 'other', message: '', challenge: '', ...refusal },
    { ...SIGV4, ...settings },
    'h.example',
  );

describe('the kind that is derived from a refusal', () => {
  it.each<[string, Partial<CredentialRefusal>, Partial<KindSettings>, unknown]>([
    [
      'oauth, from a Bearer challenge',
      { kind: 'oauth', challenge: 'Bearer resource_metadata="https://h.example/x"' },
      {},
      { kind: 'oauth', because: 'HTTP 401 with a Bearer challenge' },
    ],
    [
      'bearer, from a Bearer challenge if a token is configured',
      { kind: 'oauth', challenge: 'Bearer' },
      { hasToken: true },
      { kind: 'bearer', because: 'HTTP 401 with a Bearer challenge' },
    ],
    [
      'oauth, from a Bearer challenge of AgentCore with an AWS error',
      { kind: 'oauth', challenge: 'Bearer', errorType: 'AccessDeniedException' },
      {},
      { kind: 'oauth', because: 'HTTP 401 with a Bearer challenge' },
    ],
    [
      'sigv4, from the answer of API Gateway',
      { status: 403, kind: 'unsigned', errorType: 'MissingAuthenticationTokenException' },
      {},
      { kind: 'sigv4', because: 'HTTP 403 with the AWS error MissingAuthenticationTokenException' },
    ],
    [
      'sigv4, from the answer of a Lambda function URL',
      { status: 403, kind: 'denied', message: 'Forbidden', errorType: 'AccessDeniedException:http://x/' },
      {},
      { kind: 'sigv4', because: 'HTTP 403 with the AWS error AccessDeniedException' },
    ],
    [
      'sigv4a, from the answer of VPC Lattice with a set of regions',
      {
        status: 403,
        kind: 'denied',
        message: 'User: anonymous is not authorized to perform: vpc-lattice-svcs:Invoke',
      },
      { signing: { kind: 'sigv4a' } },
      { kind: 'sigv4a', because: 'HTTP 403 with the AWS error AccessDenied' },
    ],
    [
      'sigv4, from a scheme of AWS',
      { challenge: 'AWS4-HMAC-SHA256 realm="x"' },
      {},
      { kind: 'sigv4', because: 'HTTP 401 with the scheme aws4-hmac-sha256' },
    ],
    ['nothing, from the page of a firewall', { status: 403, kind: 'foreign-page' }, {}, undefined],
    ['nothing, from another status', { status: 400, kind: 'expired' }, {}, undefined],
  ])('the derived kind is %s', (_what, refusal, settings, derived) => {
    expect(derive(refusal, settings)).toEqual(derived);
  });

  it.each<[string, Partial<CredentialRefusal>, Partial<KindSettings>, string]>([
    [
      'several kinds',
      { challenge: 'Bearer realm="x", AWS4-HMAC-SHA256' },
      {},
      '--auth auto cannot choose: the server at h.example accepts several kinds of authentication (HTTP 401, bearer, aws4-hmac-sha256). Choose one with --auth sigv4, sigv4a, oauth or bearer.',
    ],
    [
      'another scheme',
      { challenge: 'Basic realm="Bearer"' },
      {},
      'The server at h.example requires the authentication scheme basic (HTTP 401), which --auth auto does not support: use --auth none, and set the header with --header.',
    ],
    [
      'no scheme',
      { status: 403, kind: 'denied', message: 'Forbidden' },
      {},
      '--auth auto cannot derive the kind of authentication: the answer of h.example (HTTP 403) names none. Choose one with --auth sigv4, sigv4a, oauth or bearer. The server said: Forbidden',
    ],
    [
      'signatures for an unknown service',
      { status: 403, kind: 'unsigned' },
      { signing: { problems: ['--service <name> must be given'] } },
      'The server requires AWS signatures (HTTP 403 with the AWS error MissingAuthenticationToken), which cannot be made: --service <name> must be given.',
    ],
  ])('a refusal from which no kind can be derived is a problem: %s', (_what, refusal, settings, problem) => {
    expect(derive(refusal, settings)).toEqual({ problem });
  });

  it('a challenge of 100 kB is read to a bound, and its schemes are cut', () => {
    const derived = derive({ challenge: 'x'.repeat(100_000) });
    expect(JSON.stringify(derived).length).toBeLessThan(400);
  });
});
