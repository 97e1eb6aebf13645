import { describe, expect, test } from 'vitest';
import { failureOf, makeRig, patient } from './rig.ts';

const KEYS = 'aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n';
const role = { arn: 'arn:aws:iam::123456789012:role/over', sessionName: undefined, externalId: undefined };
const DENIED = {
  status: 403,
  body: '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: me is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>',
};

describe('the role of the options (--role-arn)', () => {
  test("the role of --role-arn is assumed with the profile's credentials, under one session name", async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS}region = eu-north-1\n`);
    const provider = rig.provider('work', { role });
    expect(await provider.current(patient())).toMatchObject({
      accessKeyId: 'STS-1',
      secretAccessKey: 'secret-STS-1',
      sessionToken: 'token-STS-1',
    });
    const again = rig.provider('work', { role });
    await again.current(patient());
    const names = rig.aws.of('sts').map(({ form }) => form.get('RoleSessionName'));
    expect(names[0]).toMatch(/^mcp-sigv4-proxy-/);
    expect(new Set(names).size).toBe(1);
    expect(rig.aws.of('sts')[0]).toMatchObject({ accessKeyId: 'AKIDEXAMPLE', region: 'eu-north-1' });
    const { form } = rig.aws.of('sts')[0] ?? {};
    expect(form?.get('Action')).toBe('AssumeRole');
    expect(form?.get('RoleArn')).toBe(role.arn);
    expect(form?.has('ExternalId')).toBe(false);
    expect(rig.reported).toContainEqual(
      expect.objectContaining({ type: 'credentials.resolved', profile: 'work', providerName: 'assume-role' }),
    );
  });

  test('the role of --role-arn has the session name and the external id of the options', async () => {
    const rig = await makeRig();
    rig.setEnv({ AWS_ROLE_SESSION_NAME: 'another' });
    await rig.home.config(`[profile work]\n${KEYS}`);
    await rig
      .provider('work', { role: { ...role, sessionName: 'me@corp', externalId: 'x:1/2' } })
      .current(patient());
    const { form } = rig.aws.of('sts')[0] ?? {};
    expect([form?.get('RoleSessionName'), form?.get('ExternalId')]).toEqual(['me@corp', 'x:1/2']);
  });

  test('the role of --role-arn is assumed after the roles of a profile, and with keys of the environment', async () => {
    const rig = await makeRig();
    rig.setEnv({ AWS_ACCESS_KEY_ID: 'AKIDENV', AWS_SECRET_ACCESS_KEY: 'x', AWS_REGION: 'eu-south-2' });
    await rig.home.config(
      `[profile base]\n${KEYS}[profile work]\nrole_arn = arn:aws:iam::123456789012:role/under\nsource_profile = base\n`,
    );
    expect(await rig.provider(undefined, { role }).current(patient())).toMatchObject({
      accessKeyId: 'STS-1',
    });
    await rig.provider('work', { role }).current(patient());
    expect(rig.aws.of('sts').map(({ accessKeyId, form }) => [accessKeyId, form.get('RoleArn')])).toEqual([
      ['AKIDENV', role.arn],
      ['AKIDEXAMPLE', 'arn:aws:iam::123456789012:role/under'],
      ['STS-2', role.arn],
    ]);
  });

  test('the role of --role-arn is assumed once for all callers, and again before it expires', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS}`);
    const provider = rig.provider('work', { role });
    await Promise.all([1, 2, 3].map(() => provider.current(patient())));
    expect(rig.aws.of('sts')).toHaveLength(1);
    await rig.clock.advance(rig.aws.lifetimeMs - 60_000);
    const renewed = rig.next('credentials.resolved');
    expect((await provider.current(patient())).accessKeyId).toBe('STS-1');
    await renewed;
    expect((await provider.current(patient())).accessKeyId).toBe('STS-2');
  });

  test('the role of --role-arn is assumed again after an edit of the profile', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS}`);
    const provider = rig.provider('work', { role });
    await provider.current(patient());
    await rig.home.config(`[profile work]\n${KEYS.replace('AKIDEXAMPLE', 'AKIDOTHER')}`);
    await rig.clock.advance(10);
    expect((await provider.current(patient())).accessKeyId).toBe('STS-2');
    expect(rig.aws.of('sts')[1]?.accessKeyId).toBe('AKIDOTHER');
  });

  test('the role of --role-arn that STS denies is reported with the remedy', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS}`);
    rig.aws.fail('sts', DENIED);
    const provider = rig.provider('work', { role: { ...role, externalId: 'hush-hush' } });
    const failure = await failureOf(provider.current(patient()));
    expect(failure).toMatchObject({
      reason: 'no-credentials',
      details: { kind: 'failed', profile: 'work' },
      text:
        `No AWS credentials for profile 'work': the role ${role.arn} cannot be assumed: User: me is not authorized to perform: sts:AssumeRole. ` +
        'Check that --role-arn is right, that these credentials may call sts:AssumeRole on it, and that its trust policy lets them with this --external-id',
    });
    rig.aws.fail('sts', undefined);
    expect((await provider.current(patient())).accessKeyId).toBe('STS-1');
  });

  test('the role of --role-arn does not hide that the profile has no credentials', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\nregion = eu-west-1\n`);
    const failure = await failureOf(rig.provider('work', { role }).current(patient()));
    expect(failure.details).toMatchObject({ kind: 'none' });
    expect(rig.aws.of('sts')).toEqual([]);
  });
});
