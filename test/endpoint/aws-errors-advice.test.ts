import { describe, expect, it } from 'vitest';
import { type AwsRefusal, explainRefusal, type RefusalContext } from '../../src/endpoint/aws-errors.ts';

const context: RefusalContext = {
  status: 403,
  host: 'a1.execute-api.eu-west-1.amazonaws.com',
  profile: 'dev',
  scope: { service: 'execute-api', region: 'eu-west-1' },
  signed: true,
};

describe('the message for a refusal', () => {
  it.each<[refusal: AwsRefusal, changes: Partial<RefusalContext>, sentence: string]>([
    [
      { kind: 'expired', message: 'old' },
      {},
      "The AWS credentials of profile 'dev' have expired (HTTP 403). Run aws sso login --profile dev (or aws login --profile dev); the next call uses the new ones, no restart is needed. The server said: old",
    ],
    [
      { kind: 'expired', message: '' },
      { profile: '', status: 401 },
      'The AWS credentials of the default chain have expired (HTTP 401). Run aws sso login (or aws login); the next call uses the new ones, no restart is needed.',
    ],
    [
      { kind: 'expired', message: '' },
      { providerName: 'sso' },
      "The AWS credentials of profile 'dev' have expired (HTTP 403). Run aws sso login --profile dev; the next call uses the new ones, no restart is needed.",
    ],
    [
      { kind: 'expired', message: '' },
      { providerName: 'login', profile: '' },
      'The AWS credentials of the default chain have expired (HTTP 403). Run aws login; the next call uses the new ones, no restart is needed.',
    ],
    [
      { kind: 'expired', message: '' },
      { providerName: 'process' },
      "The AWS credentials of profile 'dev' have expired (HTTP 403). Run the profile's credential_process in a terminal to see why it returns old ones; once it returns others, the next call uses the new ones, no restart is needed.",
    ],
    [
      { kind: 'invalid-token', message: '' },
      {},
      "AWS does not know the access key or session token of profile 'dev' (HTTP 403). Check them with: aws sts get-caller-identity --profile dev.",
    ],
    [
      { kind: 'clock', message: '' },
      { skewMs: -600_400 },
      "The server refused the signature's time (HTTP 403): this machine's clock is off by 600 s. Correct the clock.",
    ],
    [
      { kind: 'clock', message: '' },
      {},
      "The server refused the signature's time (HTTP 403): this machine's clock is off. Correct the clock.",
    ],
    [
      { kind: 'signature', message: '', expected: { service: 'lambda', region: 'us-east-1' } },
      {},
      "The server refused the signature (HTTP 403). It was made for service 'execute-api' in region 'eu-west-1'; the server expects service 'lambda' (--service lambda) and region 'us-east-1' (--region us-east-1).",
    ],
    [
      { kind: 'signature', message: '' },
      { scope: { service: 'x', region: 'eu-west-1' } },
      "The server refused the signature (HTTP 403). It was made for service 'x' in region 'eu-west-1'; its host name suggests service 'execute-api' (--service execute-api).",
    ],
    [
      { kind: 'signature', message: '' },
      {},
      "The server refused the signature (HTTP 403). It was made for service 'execute-api' in region 'eu-west-1'; if both are right, check the secret access key.",
    ],
    [
      { kind: 'denied', message: 'no' },
      { profile: '' },
      'Access was denied with the credentials of the default chain (HTTP 403). The answer gives no reason. It may be a missing permission, a resource policy, a firewall (WAF), or a path that the server does not have. The server said: no',
    ],
    [
      { kind: 'unsigned', message: '' },
      {},
      'The server found no valid signature header (HTTP 403): check the path of the endpoint URL, because API Gateway gives this answer for unknown paths.',
    ],
    [
      { kind: 'unsigned', message: '' },
      { signed: false, status: 401 },
      'The server requires signed requests (HTTP 401), and this one was sent unsigned, because no AWS credentials are configured and --skip-auth is set. Set AWS_PROFILE or pass --profile.',
    ],
    [
      { kind: 'other-method', message: '' },
      {},
      'The server requires another authorization than AWS signatures, probably OAuth (HTTP 403): log in with --auth oauth, pass a token with --auth bearer, or set it to IAM.',
    ],
    [
      { kind: 'foreign-page', message: 'Blocked' },
      {},
      'HTTP 403 with an HTML page: it comes from a firewall (WAF) or a corporate proxy in front of a1.execute-api.eu-west-1.amazonaws.com, not from the MCP server. Ask its operators to allow this traffic, or set --user-agent if it filters by that. The server said: Blocked',
    ],
    [
      { kind: 'other', message: 'Unauthorized' },
      { status: 401 },
      'The server at a1.execute-api.eu-west-1.amazonaws.com refused the request (HTTP 401). The server said: Unauthorized',
    ],
  ])('the error for the refusal %o with %o names the remedy', (refusal, changes, sentence) => {
    expect(explainRefusal(refusal, { ...context, ...changes })).toBe(sentence);
  });
});
