import { describe, expect, it } from 'vitest';
import { type CredentialPlan, type Profiles, planOf } from '../../../src/auth/credentials/plan.ts';
import { accountOf, ownerOf, principalOf } from '../../../src/auth/credentials/principal.ts';

/** Of two accounts, and of the first once more. */
const [ONE, OTHER, AGAIN] = ['ASIAQNZGKIQY56JQ7WML', 'ASIAY34FZKBOKMUTVV7A', 'ASIAQNZGKIQYZZZZZZZZ'];
const set = (accessKeyId: string, sessionToken?: string) => ({
  accessKeyId,
  secretAccessKey: 's',
  ...(sessionToken ? { sessionToken } : {}),
});

describe('the account in an access key id', () => {
  it.each([
    [ONE, '029608264753'],
    [OTHER, '609629065308'],
    [AGAIN, '029608264753'],
    // Of before 2019, and no key at all.
    ['AKIAIOSFODNN7EXAMPLE', undefined],
    ['AKIAJAAAAAAAAAAAAAAA', undefined],
    ['AKIDONE', undefined],
    ['ASIAQNZGKIQY56JQ7WM1', undefined],
    ['ASIA7777777777777777', undefined],
    ['', undefined],
  ])('%s: %s', (id, account) => {
    expect(accountOf(id)).toBe(account);
  });
});

describe('who speaks', () => {
  const of = (profiles: Profiles, keys = set('AKIDONE')) => {
    const plan = planOf('p', profiles);
    if ('problem' in plan) throw new Error(plan.problem);
    return principalOf(plan satisfies CredentialPlan, profiles, keys);
  };
  const sso = { sso_session: 'corp', sso_account_id: '1', sso_role_name: 'Admin' };
  const staticKeys = { aws_access_key_id: 'a', aws_secret_access_key: 's' };
  const role = { role_arn: 'arn:1', source_profile: 'b' };

  it.each<[string, string, string]>([
    ['a login renewed', of({ p: sso }, set(ONE, 't')), of({ p: sso }, set(AGAIN, 'u'))],
    [
      'a role assumed again',
      of({ p: role, b: staticKeys }, set('STS1')),
      of({ p: role, b: staticKeys }, set('STS2')),
    ],
    [
      'a role over other keys',
      of({ p: role, b: staticKeys }),
      of({ p: { ...role, source_profile: 'c' }, c: { credential_process: 'x' } }),
    ],
    [
      'temporary keys of one account',
      of({ p: staticKeys }, set(ONE, 't')),
      of({ p: staticKeys }, set(AGAIN, 'u')),
    ],
    [
      'a process run again',
      of({ p: { credential_process: 'x' } }, set('A1')),
      of({ p: { credential_process: 'x' } }, set('A2')),
    ],
    ['the instance', ownerOf('instance', set('A1')), ownerOf('instance', set('A2'))],
  ])('is the same behind %s', (_what, before, after) => {
    expect(after).toBe(before);
  });

  it.each<[string, string, string]>([
    ['lasting keys', of({ p: staticKeys }, set('A1')), of({ p: staticKeys }, set('A2'))],
    [
      'temporary keys of two accounts',
      of({ p: staticKeys }, set(ONE, 't')),
      of({ p: staticKeys }, set(OTHER, 't')),
    ],
    [
      'temporary keys that do not tell',
      of({ p: staticKeys }, set('A1', 't')),
      of({ p: staticKeys }, set('A2', 't')),
    ],
    ['two accounts of one login', of({ p: sso }), of({ p: { ...sso, sso_account_id: '2' } })],
    ['two roles of one login', of({ p: sso }), of({ p: { ...sso, sso_role_name: 'Reader' } })],
    ['two sign-ins', of({ p: { login_session: 'arn:1' } }), of({ p: { login_session: 'arn:2' } })],
    ['two roles', of({ p: role, b: staticKeys }), of({ p: { ...role, role_arn: 'arn:2' }, b: staticKeys })],
    [
      'two sessions of a role',
      of({ p: role, b: staticKeys }),
      of({ p: { ...role, role_session_name: 'me' }, b: staticKeys }),
    ],
    ['two processes', of({ p: { credential_process: 'x' } }), of({ p: { credential_process: 'y' } })],
    [
      'a process that gives keys of another account',
      of({ p: { credential_process: 'x' } }, set(ONE)),
      of({ p: { credential_process: 'x' } }, set(OTHER)),
    ],
    ['a login in place of keys', of({ p: staticKeys }), of({ p: sso })],
  ])('is another behind %s', (_what, before, after) => {
    expect(after).not.toBe(before);
  });
});
