import { describe, expect, it } from 'vitest';
import { staticPrincipal } from '../../../src/auth/credentials/static-principal.ts';
import { makeRig, patient } from './rig.ts';

const KEYS = 'aws_access_key_id = AKIDBASE\naws_secret_access_key = secret\n';
const SSO =
  '[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
  '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';

describe('who will speak', () => {
  it.each([
    ['keys', `[profile keys]\n${KEYS}`],
    [
      'role',
      `[profile base]\n${KEYS}[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n`,
    ],
    ['sso', SSO],
    ['default', `[default]\n${KEYS}`],
  ])('is foreseen as it turns out: %s', async (profile, config) => {
    const rig = await makeRig();
    await rig.home.config(config);
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    await rig.home.ssoToken('corp', { accessToken: 'token', expiresAt });
    const asked = profile === 'default' ? undefined : profile;
    const foreseen = await staticPrincipal(asked, rig.home.env);
    expect(foreseen).toBeDefined();
    expect((await rig.source(asked).current(patient())).principal).toBe(foreseen);
  });

  it('is foreseen from the environment, and from --role-arn whatever stands below it', async () => {
    const rig = await makeRig();
    rig.setEnv({
      AWS_ACCESS_KEY_ID: 'ASIAQNZGKIQY56JQ7WML',
      AWS_SECRET_ACCESS_KEY: 's',
      AWS_SESSION_TOKEN: 't',
    });
    const env = { ...rig.home.env, AWS_ACCESS_KEY_ID: 'ASIAQNZGKIQY56JQ7WML', AWS_SECRET_ACCESS_KEY: 's' };
    const role = { arn: 'arn:aws:iam::1:role/x', sessionName: undefined, externalId: undefined };
    expect((await rig.source().current(patient())).principal).toBe(await staticPrincipal(undefined, env));
    expect((await rig.source(undefined, { role }).current(patient())).principal).toBe(
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
  ])('is not foreseen where only a provider can tell, or nobody: %s', async (_what, config, profile) => {
    const rig = await makeRig();
    await rig.home.config(config);
    expect(await staticPrincipal(profile, rig.home.env)).toBeUndefined();
    expect(await staticPrincipal(undefined, rig.home.env)).toBeUndefined();
  });
});
