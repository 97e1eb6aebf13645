import { expect, test } from 'vitest';
import { planCredentials } from '../../../src/auth/credentials/plan.ts';
import type { Profiles } from '../../../src/auth/credentials/shared-files.ts';

const keys = { aws_access_key_id: 'AKID', aws_secret_access_key: 'secret' };
const files = (profiles: Profiles) => ({
  profiles,
  ssoSessions: { x: {} },
  paths: { config: '', credentials: '' },
});
const UNUSABLE = {
  what: 'source-failed',
  provider: 'static',
  profile: 'a',
  assumes: false,
  cause: expect.stringMatching(/^the settings of profile 'a' name no complete source of credentials/),
};
const role = (source_profile: string) => ({ role_arn: 'arn', source_profile });

test.each<[string, Profiles, unknown]>([
  ['static keys', { a: keys }, { roles: [], base: { profile: 'a', provider: 'static' } }],
  [
    'half of a key pair',
    { a: { aws_access_key_id: 'AKID' } },
    {
      what: 'incomplete',
      given: 'aws_access_key_id',
      missing: 'aws_secret_access_key',
      place: "profile 'a'",
    },
  ],
  [
    'a process',
    { a: { credential_process: 'x' } },
    { roles: [], base: { profile: 'a', provider: 'process' } },
  ],
  [
    'keys before a process',
    { a: { ...keys, credential_process: 'x' } },
    { roles: [], base: { profile: 'a', provider: 'static' } },
  ],
  ['SSO', { a: { sso_session: 'x' } }, { roles: [], base: { profile: 'a', provider: 'sso' } }],
  [
    'a login session',
    { a: { login_session: 'x' } },
    { roles: [], base: { profile: 'a', provider: 'login' } },
  ],
  [
    'web identity',
    { a: { role_arn: 'arn', web_identity_token_file: 'x' } },
    { roles: [], base: { profile: 'a', provider: 'web-identity' } },
  ],
  ['a role', { a: role('b'), b: keys }, { roles: ['a'], base: { profile: 'b', provider: 'static' } }],
  [
    'roles that roles assume',
    { a: role('b'), b: role('c'), c: { credential_process: 'x' } },
    { roles: ['a', 'b'], base: { profile: 'c', provider: 'process' } },
  ],
  [
    'a role that its own keys assume',
    { a: { ...role('a'), ...keys } },
    { roles: ['a'], base: { profile: 'a', provider: 'static' } },
  ],
  [
    'a role before its own keys, and keys before a role in its source profile',
    { a: { ...role('b'), ...keys }, b: { ...role('c'), ...keys } },
    { roles: ['a'], base: { profile: 'b', provider: 'static' } },
  ],
  [
    'a role that the instance assumes',
    { a: { role_arn: 'arn', credential_source: 'Ec2InstanceMetadata' } },
    { roles: ['a'], base: { profile: 'a', provider: 'instance' } },
  ],
  [
    'a source profile with credentials of the container',
    { a: role('b'), b: { credential_source: 'EcsContainer' } },
    { roles: ['a'], base: { profile: 'b', provider: 'container' } },
  ],
  [
    'an unknown credential_source',
    { a: { role_arn: 'arn', credential_source: 'Moon' } },
    { ...UNUSABLE, assumes: true, cause: expect.stringMatching(/^credential_source of profile 'a' must be/) },
  ],
  ['a role with two sources', { a: { ...role('b'), credential_source: 'Environment' }, b: keys }, UNUSABLE],
  ['no settings', {}, { what: 'missing-profile', missing: 'a' }],
  [
    'a source profile that is missing',
    { a: role('b') },
    { what: 'missing-profile', missing: 'b', namedBy: 'a' },
  ],
  [
    'a circle of source profiles',
    { a: role('b'), b: role('c'), c: role('b') },
    { what: 'cycle', profiles: ['b', 'c'] },
  ],
  ['itself as its source profile', { a: role('a') }, { what: 'cycle', profiles: ['a'] }],
  ['MFA', { a: { ...role('b'), mfa_serial: 'x' }, b: keys }, { what: 'mfa', profile: 'a' }],
  [
    'MFA in its source profile',
    { a: role('b'), b: { ...role('c'), mfa_serial: 'x' }, c: keys },
    { what: 'mfa', profile: 'b' },
  ],
])('the plan of a profile with %s is that of the SDK', (_, profiles, expected) => {
  const plan = planCredentials('a', {}, files(profiles));
  if ('what' in plan) expect(plan).toEqual(expected);
  else {
    const { base, roles } = plan;
    expect({
      roles: roles.map(({ profile }) => profile),
      base: { profile: base.profile, provider: base.provider },
    }).toEqual(expected);
  }
});

const REGION = { region: 'eu-west-1' };
const TOKEN = { AWS_WEB_IDENTITY_TOKEN_FILE: '/token' };
const CONTAINER = { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1/' };

test.each<[string, string | undefined, Record<string, string>, Profiles, string]>([
  [
    'variables',
    undefined,
    { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
    { default: keys },
    'environment',
  ],
  ['half of a pair of variables', undefined, { AWS_SECRET_ACCESS_KEY: 'b' }, { default: keys }, 'incomplete'],
  [
    'a profile before variables',
    'a',
    { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
    { a: keys },
    'static',
  ],
  [
    'a profile before web identity',
    undefined,
    { ...TOKEN, AWS_ROLE_ARN: 'arn' },
    { default: keys },
    'static',
  ],
  ['web identity', undefined, { ...TOKEN, ...CONTAINER, AWS_ROLE_ARN: 'arn' }, {}, 'web-identity'],
  ['a web identity token without a role', undefined, { ...TOKEN, ...CONTAINER }, {}, 'incomplete'],
  ['a role without a web identity token', undefined, { AWS_ROLE_ARN: 'arn' }, {}, 'instance'],
  ['a container', undefined, CONTAINER, {}, 'container'],
  ['a profile with only a region', 'a', CONTAINER, { a: REGION }, 'container'],
  ['an invalid region', 'a', CONTAINER, { a: { region: 'nowhere' } }, 'bad-region'],
  ['nothing', undefined, {}, {}, 'instance'],
  ['nothing, and instances disabled', undefined, { AWS_EC2_METADATA_DISABLED: 'TRUE' }, {}, 'none'],
])('the default order with %s chooses the right provider', (_, profile, env, profiles, expected) => {
  const plan = planCredentials(profile, env, files(profiles));
  expect('what' in plan ? plan.what : plan.base.provider).toBe(expected);
});
