import { expect, test } from 'vitest';
import { namesCredentials, type Profiles, planOf } from '../../../src/auth/credentials/plan.ts';

const keys = { aws_access_key_id: 'AKID', aws_secret_access_key: 'secret' };
const role = (source_profile: string) => ({ role_arn: 'arn', source_profile });

test.each<[string, Profiles, unknown]>([
  ['static keys', { a: keys }, { roles: [], base: { profile: 'a', kind: 'static' } }],
  [
    'half a pair',
    { a: { aws_access_key_id: 'AKID' } },
    { roles: [], base: { profile: 'a', kind: 'unclear' } },
  ],
  ['a process', { a: { credential_process: 'x' } }, { roles: [], base: { profile: 'a', kind: 'process' } }],
  [
    'keys before a process',
    { a: { ...keys, credential_process: 'x' } },
    { roles: [], base: { profile: 'a', kind: 'static' } },
  ],
  ['SSO', { a: { sso_session: 'x' } }, { roles: [], base: { profile: 'a', kind: 'sso' } }],
  ['sign-in', { a: { login_session: 'x' } }, { roles: [], base: { profile: 'a', kind: 'login' } }],
  [
    'web identity',
    { a: { role_arn: 'arn', web_identity_token_file: 'x' } },
    { roles: [], base: { profile: 'a', kind: 'web-identity' } },
  ],
  ['a role', { a: role('b'), b: keys }, { roles: ['a'], base: { profile: 'b', kind: 'static' } }],
  [
    'roles on roles',
    { a: role('b'), b: role('c'), c: { credential_process: 'x' } },
    { roles: ['a', 'b'], base: { profile: 'c', kind: 'process' } },
  ],
  [
    'a role on its own keys',
    { a: { ...role('a'), ...keys } },
    { roles: ['a'], base: { profile: 'a', kind: 'static' } },
  ],
  [
    'a role before keys at the top, keys before a role below',
    { a: { ...role('b'), ...keys }, b: { ...role('c'), ...keys } },
    { roles: ['a'], base: { profile: 'b', kind: 'static' } },
  ],
  [
    'a role on the instance',
    { a: { role_arn: 'arn', credential_source: 'Ec2InstanceMetadata' } },
    { roles: ['a'], base: { profile: 'a', kind: 'instance' } },
  ],
  [
    'a source profile that lends from the container',
    { a: role('b'), b: { credential_source: 'EcsContainer' } },
    { roles: ['a'], base: { profile: 'b', kind: 'container' } },
  ],
  [
    'an unknown lender',
    { a: { role_arn: 'arn', credential_source: 'Moon' } },
    { roles: ['a'], base: { profile: 'a', kind: 'unclear' } },
  ],
  [
    'a role with two sources',
    { a: { ...role('b'), credential_source: 'Environment' }, b: keys },
    { roles: [], base: { profile: 'a', kind: 'unclear' } },
  ],
  ['no such profile', {}, { problem: 'missing', profile: 'a', namedBy: undefined }],
  ['no such source', { a: role('b') }, { problem: 'missing', profile: 'b', namedBy: 'a' }],
  ['a circle', { a: role('b'), b: role('c'), c: role('b') }, { problem: 'cycle', profiles: ['b', 'c'] }],
  ['a circle of one', { a: role('a') }, { problem: 'cycle', profiles: ['a'] }],
  ['MFA', { a: { ...role('b'), mfa_serial: 'x' }, b: keys }, { problem: 'mfa', profile: 'a' }],
  [
    'MFA below',
    { a: role('b'), b: { ...role('c'), mfa_serial: 'x' }, c: keys },
    { problem: 'mfa', profile: 'b' },
  ],
])('%s leads to where the SDK would go', (_, profiles, plan) => {
  expect(planOf('a', profiles)).toEqual(plan);
});

test('a profile with only a region names no credentials, one with half a pair does', () => {
  expect(namesCredentials(undefined)).toBe(false);
  expect(namesCredentials({ region: 'eu-west-1' })).toBe(false);
  expect(namesCredentials({ aws_access_key_id: 'AKID' })).toBe(true);
});
