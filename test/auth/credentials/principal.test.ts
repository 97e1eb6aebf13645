import { describe, expect, it } from 'vitest';
import { planCredentials } from '../../../src/auth/credentials/plan.ts';
import { accountOf, principalOf, staticPrincipal } from '../../../src/auth/credentials/principal.ts';
import { NO_FILES, type Profiles } from '../../../src/auth/credentials/shared-files.ts';
import { makeRig, patient } from './rig.ts';

/** Key ids of two accounts, and another of the first. */
const [ONE, OTHER, AGAIN] = ['ASIAQNZGKIQY56JQ7WML', 'ASIAY34FZKBOKMUTVV7A', 'ASIAQNZGKIQYZZZZZZZZ'];
const keysWith = (accessKeyId: string, sessionToken?: string) => ({
  accessKeyId,
  secretAccessKey: 's',
  ...(sessionToken ? { sessionToken } : {}),
});

describe('the account in an access key id', () => {
  it.each([
    [ONE, '029608264753'],
    [OTHER, '609629065308'],
    [AGAIN, '029608264753'],
    // Made before 2019, or no key id.
    ['AKIAIOSFODNN7EXAMPLE', undefined],
    ['AKIAJAAAAAAAAAAAAAAA', undefined],
    ['AKIDONE', undefined],
    ['ASIAQNZGKIQY56JQ7WM1', undefined],
    ['ASIA7777777777777777', undefined],
    ['', undefined],
  ])('the access key id %s contains the account %s', (id, account) => {
    expect(accountOf(id)).toBe(account);
  });
});

describe('the principal of credentials', () => {
  const of = (profiles: Profiles, keys = keysWith('AKIDONE')) => {
    const plan = planCredentials('p', {}, { ...NO_FILES, profiles, ssoSessions: { corp: {} } });
    if ('what' in plan) throw new Error(plan.what);
    return principalOf(plan, keys);
  };
  const REGION = { region: 'eu-west-1' };
  const sso = { sso_session: 'corp', sso_account_id: '1', sso_role_name: 'Admin' };
  const staticKeys = { aws_access_key_id: 'a', aws_secret_access_key: 's' };
  const role = { role_arn: 'arn:1', source_profile: 'b' };

  it.each<[string, string, string]>([
    ['a login renewed', of({ p: sso }, keysWith(ONE, 't')), of({ p: sso }, keysWith(AGAIN, 'u'))],
    [
      'a role assumed again',
      of({ p: role, b: staticKeys }, keysWith('STS1')),
      of({ p: role, b: staticKeys }, keysWith('STS2')),
    ],
    [
      'a role that other keys assume',
      of({ p: role, b: staticKeys }),
      of({ p: { ...role, source_profile: 'c' }, c: { credential_process: 'x' } }),
    ],
    [
      'temporary keys of one account',
      of({ p: staticKeys }, keysWith(ONE, 't')),
      of({ p: staticKeys }, keysWith(AGAIN, 'u')),
    ],
    [
      'a process run again',
      of({ p: { credential_process: 'x' } }, keysWith('A1')),
      of({ p: { credential_process: 'x' } }, keysWith('A2')),
    ],
    ['the instance', of({ p: REGION }, keysWith('A1')), of({ p: REGION }, keysWith('A2'))],
  ])('the principal of credentials is the same for %s', (_what, before, after) => {
    expect(after).toBe(before);
  });

  it.each<[string, string, string]>([
    ['lasting keys', of({ p: staticKeys }, keysWith('A1')), of({ p: staticKeys }, keysWith('A2'))],
    [
      'temporary keys of two accounts',
      of({ p: staticKeys }, keysWith(ONE, 't')),
      of({ p: staticKeys }, keysWith(OTHER, 't')),
    ],
    [
      'temporary keys whose ids contain no account',
      of({ p: staticKeys }, keysWith('A1', 't')),
      of({ p: staticKeys }, keysWith('A2', 't')),
    ],
    ['two accounts of one login', of({ p: sso }), of({ p: { ...sso, sso_account_id: '2' } })],
    ['two roles of one login', of({ p: sso }), of({ p: { ...sso, sso_role_name: 'Reader' } })],
    ['two login sessions', of({ p: { login_session: 'arn:1' } }), of({ p: { login_session: 'arn:2' } })],
    ['two roles', of({ p: role, b: staticKeys }), of({ p: { ...role, role_arn: 'arn:2' }, b: staticKeys })],
    [
      'two sessions of a role',
      of({ p: role, b: staticKeys }),
      of({ p: { ...role, role_session_name: 'me' }, b: staticKeys }),
    ],
    ['two processes', of({ p: { credential_process: 'x' } }), of({ p: { credential_process: 'y' } })],
    [
      'a process that returns keys of another account',
      of({ p: { credential_process: 'x' } }, keysWith(ONE)),
      of({ p: { credential_process: 'x' } }, keysWith(OTHER)),
    ],
    ['a login instead of keys', of({ p: staticKeys }), of({ p: sso })],
  ])('the principal of credentials differs for %s', (_what, before, after) => {
    expect(after).not.toBe(before);
  });
});

const KEYS = 'aws_access_key_id = AKIDBASE\naws_secret_access_key = secret\n';
const SSO =
  '[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
  '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';

describe('the principal that files and environment name', () => {
  it.each([
    ['keys', `[profile keys]\n${KEYS}`],
    [
      'role',
      `[profile base]\n${KEYS}[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n`,
    ],
    ['sso', SSO],
    ['default', `[default]\n${KEYS}`],
  ])(
    'the principal of files and environment equals that of the resolved credentials: %s',
    async (profile, config) => {
      const rig = await makeRig();
      await rig.home.config(config);
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      await rig.home.ssoToken('corp', { accessToken: 'token', expiresAt });
      const asked = profile === 'default' ? undefined : profile;
      const named = await staticPrincipal(asked, rig.home.env);
      expect(named).toBeDefined();
      expect((await rig.provider(asked).current(patient())).principal).toBe(named);
    },
  );

  it('the principal of files and environment comes from the environment, or from --role-arn', async () => {
    const rig = await makeRig();
    rig.setEnv({
      AWS_ACCESS_KEY_ID: 'ASIAQNZGKIQY56JQ7WML',
      AWS_SECRET_ACCESS_KEY: 's',
      AWS_SESSION_TOKEN: 't',
    });
    const env = { ...rig.home.env, AWS_ACCESS_KEY_ID: 'ASIAQNZGKIQY56JQ7WML', AWS_SECRET_ACCESS_KEY: 's' };
    const role = { arn: 'arn:aws:iam::1:role/x', sessionName: undefined, externalId: undefined };
    expect((await rig.provider().current(patient())).principal).toBe(await staticPrincipal(undefined, env));
    expect((await rig.provider(undefined, { role }).current(patient())).principal).toBe(
      await staticPrincipal(undefined, env, role),
    );
  });

  it.each([
    ['none', '', 'none'],
    ['of a process', '[profile p]\ncredential_process = x\n', 'p'],
    [
      'of a container',
      '[profile p]\nrole_arn = arn:1\ncredential_source = EcsContainer\nmfa_serial = m\n',
      'p',
    ],
    ['of a profile that is not there', '[profile p]\nrole_arn = arn:1\nsource_profile = gone\n', 'p'],
  ])('the principal is undefined if only a provider can name it: %s', async (_what, config, profile) => {
    const rig = await makeRig();
    await rig.home.config(config);
    expect(await staticPrincipal(profile, rig.home.env)).toBeUndefined();
    expect(await staticPrincipal(undefined, rig.home.env)).toBeUndefined();
  });
});
