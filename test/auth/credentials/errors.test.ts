import { describe, expect, test } from 'vitest';
import {
  type CredentialFailure,
  causeWithoutSecrets,
  credentialsMessage,
} from '../../../src/auth/credentials/errors.ts';

const failed = (
  provider: Extract<CredentialFailure, { what: 'source-failed' }>['provider'],
  cause: string,
  { profile = 'work', assumes = false }: { profile?: string; assumes?: boolean } = {},
): CredentialFailure => ({ what: 'source-failed', provider, profile, assumes, cause });

const unknown = {
  what: 'missing-profile',
  missing: 'work',
  configFile: '/home/me/.aws/config',
  known: ['a', 'b'],
  defects: [],
} as const;

const NETWORK =
  'Check that STS, SSO and sign-in can be reached from here: network, HTTPS_PROXY, NO_PROXY, CA bundle';

test.each<[string, CredentialFailure, string]>([
  [
    'unknown profile',
    unknown,
    "profile 'work' is not in /home/me/.aws/config; known profiles: a, b. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'",
  ],
  [
    'no profiles at all',
    { ...unknown, known: [] },
    "profile 'work' is not in /home/me/.aws/config; it has no profiles. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'",
  ],
  [
    'more profiles than a line takes',
    { ...unknown, known: Array.from({ length: 23 }, (_, at) => `p${at}`) },
    `profile 'work' is not in /home/me/.aws/config; known profiles: ${Array.from({ length: 20 }, (_, at) => `p${at}`).join(', ')} and 3 more. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'`,
  ],
  [
    'broken file',
    { ...unknown, defects: ['/home/me/.aws/config is broken in line 3'] },
    "profile 'work' is not in /home/me/.aws/config; known profiles: a, b; /home/me/.aws/config is broken in line 3. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'",
  ],
  [
    'a profile without credentials',
    { what: 'none', defects: [] },
    'the profile names no source of credentials, and no container or instance offers any. ' +
      "Run 'aws configure --profile work' or choose another profile with --profile",
  ],
  [
    'expired SSO',
    failed('sso', 'The SSO session associated with this profile has expired.'),
    "The SSO session associated with this profile has expired. Run 'aws sso login --profile work' and try again",
  ],
  [
    'expired SSO under a role',
    failed('sso', 'Token is expired.', { profile: 'base', assumes: true }),
    "Token is expired. Run 'aws sso login --profile base' and try again",
  ],
  [
    'SSO that forbids',
    failed('sso', 'ForbiddenException: No access'),
    'ForbiddenException: No access. Check sso_account_id and sso_role_name of the profile',
  ],
  [
    'SSO behind a broken network',
    failed('sso', 'getaddrinfo ENOTFOUND x'),
    `getaddrinfo ENOTFOUND x. ${NETWORK}`,
  ],
  [
    'ended sign-in',
    failed('login', 'Your session has expired. Please reauthenticate.'),
    "Your session has expired. Please reauthenticate. Run 'aws login --profile work' and try again",
  ],
  [
    'ended sign-in of the default profile',
    failed('login', 'Your session has expired.', { profile: 'default' }),
    "Your session has expired. Run 'aws login' and try again",
  ],
  [
    'a profile name with a blank',
    failed('login', 'expired', { profile: 'my work' }),
    'expired. Run \'aws login --profile "my work"\' and try again',
  ],
  [
    'a role that may not be assumed',
    failed('static', 'User: me is not authorized to perform: sts:AssumeRole', { assumes: true }),
    'User: me is not authorized to perform: sts:AssumeRole. Check role_arn, and the trust policy of the role',
  ],
  [
    'a role over the profile',
    {
      what: 'role-failed',
      roleArn: 'arn:aws:iam::1:role/r',
      externalId: false,
      cause: 'User: me is not authorized to perform: sts:AssumeRole',
    },
    'the role arn:aws:iam::1:role/r cannot be assumed: User: me is not authorized to perform: sts:AssumeRole. Check that --role-arn is right, that these credentials may call sts:AssumeRole on it, and that its trust policy lets them (it may ask for an --external-id)',
  ],
  [
    'a role with an external id',
    { what: 'role-failed', roleArn: 'arn:aws:iam::1:role/r', externalId: true, cause: 'AccessDenied.' },
    'the role arn:aws:iam::1:role/r cannot be assumed: AccessDenied. Check that --role-arn is right, that these credentials may call sts:AssumeRole on it, and that its trust policy lets them with this --external-id',
  ],
  [
    'a role over expired credentials',
    {
      what: 'role-failed',
      roleArn: 'arn:aws:iam::1:role/r',
      externalId: false,
      cause: 'The security token included in the request is expired',
    },
    'the role arn:aws:iam::1:role/r cannot be assumed: The security token included in the request is expired. The credentials for the role have expired: log in again',
  ],
  [
    'a role behind a broken network',
    { what: 'role-failed', roleArn: 'arn:aws:iam::1:role/r', externalId: false, cause: 'ECONNREFUSED' },
    `the role arn:aws:iam::1:role/r cannot be assumed: ECONNREFUSED. ${NETWORK}`,
  ],
  [
    'a helper without network',
    failed('process', 'credential_process exited with code 1: ECONNREFUSED'),
    'credential_process exited with code 1: ECONNREFUSED. Run the credential_process of the profile in a terminal to see its output',
  ],
  [
    'half a key pair',
    failed('static', 'Could not resolve credentials'),
    "Could not resolve credentials. Check the settings of the profile, or run 'aws configure --profile work'",
  ],
  ['a hang', { what: 'unexpected', cause: 'no answer within 90 s' }, `no answer within 90 s. ${NETWORK}`],
])('credentials error for %s names the profile, the cause and the remedy', (_, failure, text) => {
  expect(credentialsMessage('work', failure)).toBe(`No AWS credentials for profile 'work': ${text}`);
});

describe('credentials error without a profile', () => {
  test('credentials error without a profile names the default chain, and how to set a profile', () => {
    const text = credentialsMessage(undefined, { what: 'none', defects: [] });
    expect(text).toMatch(/^No AWS credentials \(default chain\): nothing found in the environment/);
    expect(text).toContain('Set AWS_PROFILE or pass --profile');
    expect(text).toContain('stripped environment');
  });
});

describe('the cause of a credentials error', () => {
  test.each([
    [`SyntaxError: Unexpected token 'h', "hush-hush" is not valid JSON`, 'SyntaxError: not valid JSON'],
    [`Unexpected token 'h', ..."Token": "hush"... is not valid JSON`, 'not valid JSON'],
    ['Unexpected end of JSON input', 'Unexpected end of JSON input'],
    [
      'Unexpected non-whitespace character after JSON at position 4',
      'Unexpected non-whitespace character after JSON at position 4',
    ],
    ['two\n  lines', 'two lines'],
  ])(
    'the cause %j of a credentials error is shown as %j, without the quotation of a JSON parser',
    (cause, shown) => {
      expect(causeWithoutSecrets(cause)).toBe(shown);
    },
  );
});
