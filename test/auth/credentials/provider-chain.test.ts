import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import { expiringLogin, loginToken } from '../../support/login-token.ts';
import { failureOf, makeRig, patient } from './rig.ts';

const KEYS = 'aws_access_key_id = AKIDFILE\naws_secret_access_key = file-secret\n';
const ROLE = 'role_arn = arn:aws:iam::123456789012:role/the-role\n';
const SSO_PROFILE =
  'sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
  '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

const CONSOLE = ['log', 'info', 'warn', 'error', 'debug'] as const;
let noise: MockInstance[] = [];

beforeEach(() => {
  noise = CONSOLE.map((method) => vi.spyOn(console, method) as MockInstance);
  noise.push(vi.spyOn(process, 'emitWarning') as MockInstance);
});

afterEach(() => {
  for (const spy of noise) expect(spy, 'the SDK wrote to stdout or stderr').not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

describe('the default chain of credential providers', () => {
  test('the default chain uses the environment first', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[default]\n${KEYS}`);
    rig.setEnv({
      AWS_ACCESS_KEY_ID: 'AKIDENV',
      AWS_SECRET_ACCESS_KEY: 'env-secret',
      AWS_SESSION_TOKEN: 'env-token',
    });
    expect(await rig.provider().current(patient())).toEqual({
      accessKeyId: 'AKIDENV',
      secretAccessKey: 'env-secret',
      sessionToken: 'env-token',
      principal: '["environment",null]',
      providerName: 'environment',
    });
    expect(rig.reported).toEqual([
      { type: 'secret.known', value: 'env-secret' },
      { type: 'secret.known', value: 'env-token' },
      {
        type: 'credentials.resolved',
        profile: 'default chain',
        providerName: 'environment',
        expiresAt: undefined,
        ms: 0,
      },
    ]);
  });

  test('the default chain uses [default] of the shared files next', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[default]\n${KEYS}`);
    expect(await rig.provider().current(patient())).toEqual({
      accessKeyId: 'AKIDFILE',
      secretAccessKey: 'file-secret',
      principal: '["static","AKIDFILE"]',
      providerName: 'static',
    });
    expect(rig.reported.at(-1)).toMatchObject({ providerName: 'static' });
  });

  test('the default chain exchanges a web identity token from the environment', async () => {
    const rig = await makeRig();
    const token = await rig.home.write('token', 'the-web-identity');
    rig.setEnv({ AWS_WEB_IDENTITY_TOKEN_FILE: token, AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/pod' });
    expect(await rig.provider(undefined, { fallbackRegion: 'eu-west-3' }).current(patient())).toMatchObject({
      accessKeyId: 'STS-1',
      sessionToken: 'token-STS-1',
    });
    const { form } = rig.aws.of('sts')[0] ?? {};
    expect(form?.get('Action')).toBe('AssumeRoleWithWebIdentity');
    expect(form?.get('WebIdentityToken')).toBe('the-web-identity');
    expect(form?.get('RoleSessionName')).toMatch(/^mcp-sigv4-proxy-/);
  });

  test('the default chain uses the container endpoint', async () => {
    const rig = await makeRig();
    rig.setEnv({ ...rig.aws.containerEnv, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'pod-token' });
    expect(await rig.provider().current(patient())).toMatchObject({ accessKeyId: 'CONTAINER-1' });
    expect(rig.aws.of('container')[0]?.headers.authorization).toBe('pod-token');
    expect(rig.reported.at(-1)).toMatchObject({ providerName: 'container' });
  });

  test('the default chain reports a container endpoint that refuses as a failure, not as missing credentials', async () => {
    const rig = await makeRig();
    rig.setEnv({ ...rig.aws.containerEnv, ...rig.aws.imdsEnv });
    rig.aws.fail('container', { status: 403, body: '{}' });
    const failure = await failureOf(rig.provider().current(patient()));
    expect(failure.details).toEqual({ kind: 'failed', profile: 'default chain' });
    expect(failure.text).toContain('Server responded with status: 403');
    expect(rig.aws.of('imds')).toHaveLength(0);
  });

  test('the default chain uses the instance last, with a version 2 token', async () => {
    const rig = await makeRig();
    await rig.home.config('[default]\nregion = eu-west-1\n');
    rig.setEnv(rig.aws.imdsEnv);
    expect(await rig.provider().current(patient())).toMatchObject({
      accessKeyId: 'IMDS-1',
      sessionToken: 'token-IMDS-1',
    });
    expect(rig.reported.at(-1)).toMatchObject({ providerName: 'instance' });
  });

  test.each([
    ['switched off', { AWS_EC2_METADATA_DISABLED: 'true' }],
    [
      'not there',
      { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' },
    ],
  ])('the default chain with the instance %s reports that no credentials are configured', async (_, env) => {
    const rig = await makeRig();
    rig.setEnv(env);
    expect(await failureOf(rig.provider().current(patient()))).toEqual({
      reason: 'no-credentials',
      text:
        'No AWS credentials (default chain): nothing found in the environment, the shared files, a container or an instance. ' +
        'Set AWS_PROFILE or pass --profile. MCP clients start servers with a stripped environment (HOME, PATH and little ' +
        'else), so variables of your shell must be repeated in the "env" block of the client\'s configuration',
      details: { kind: 'none', profile: 'default chain' },
    });
  });

  test('the default chain distinguishes an instance without a role from a broken metadata service', async () => {
    const rig = await makeRig();
    rig.setEnv(rig.aws.imdsEnv);
    rig.aws.fail('imds', { status: 404, body: '' });
    expect((await failureOf(rig.provider().current(patient()))).details).toMatchObject({ kind: 'none' });
    rig.aws.fail('imds', { status: 500, body: '' });
    expect((await failureOf(rig.provider().current(patient()))).details).toMatchObject({ kind: 'failed' });
  });
});

describe('credentials of a profile', () => {
  test.each(['option', 'variable'])(
    'credentials of a profile given by the %s precede keys in the environment, without a warning',
    async (how) => {
      const rig = await makeRig();
      await rig.home.credentials(`[work]\n${KEYS}`);
      rig.setEnv({ AWS_ACCESS_KEY_ID: 'AKIDENV', AWS_SECRET_ACCESS_KEY: 'env-secret' });
      if (how === 'variable') rig.setEnv({ AWS_PROFILE: 'work' });
      const provider = rig.provider(how === 'option' ? 'work' : undefined);
      expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDFILE' });
      expect(rig.reported.at(-1)).toMatchObject({ profile: 'work' });
    },
  );

  test('credentials of a profile are found in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE', async () => {
    const rig = await makeRig();
    rig.setEnv({
      AWS_CONFIG_FILE: await rig.home.write('elsewhere/config', '[profile work]\nregion = eu-west-1\n'),
      AWS_SHARED_CREDENTIALS_FILE: await rig.home.write('elsewhere/credentials', `[work]\n${KEYS}`),
    });
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'AKIDFILE' });
  });

  test('credentials of a profile with only a region come from container or instance', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile work]\nregion = eu-west-1\n');
    rig.setEnv(rig.aws.imdsEnv);
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'IMDS-1' });
  });

  test('credentials of a profile with SSO are exchanged for the cached token', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${SSO_PROFILE}`);
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt: inAnHour() });
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'SSO-1' });
    const request = rig.aws.of('sso')[0];
    expect(request?.headers['x-amz-sso_bearer_token']).toBe('sso-token');
    expect(request?.url.searchParams.get('role_name')).toBe('Admin');
  });

  test('credentials of a profile with SSO but without an sso-session are exchanged for the cached token', async () => {
    const rig = await makeRig();
    const start = 'https://corp.awsapps.com/start';
    await rig.home.config(
      `[profile work]\nsso_start_url = ${start}\nsso_region = eu-north-1\nsso_account_id = 123456789012\nsso_role_name = Admin\n`,
    );
    await rig.home.ssoToken(start, { accessToken: 'sso-token', expiresAt: inAnHour() });
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'SSO-1' });
  });

  test('credentials of a profile with an SSO token about to expire are requested after a token refresh', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${SSO_PROFILE}`);
    await rig.home.ssoToken('corp', {
      accessToken: 'old-token',
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
      clientId: 'client',
      clientSecret: 'client-secret',
      refreshToken: 'refresh',
    });
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'SSO-1' });
    expect(rig.aws.of('oidc')).toHaveLength(1);
    expect(rig.aws.of('sso')[0]?.headers['x-amz-sso_bearer_token']).toBe('token-OIDC-1');
  });

  test('credentials of a profile with SSO but no login fail with the command to log in', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${SSO_PROFILE}`);
    expect((await failureOf(rig.provider('work').current(patient()))).text).toBe(
      "No AWS credentials for profile 'work': The SSO session token associated with profile=work was not found or is invalid. " +
        "Run 'aws sso login --profile work' and try again",
    );
  });

  test('credentials of a profile with a missing sso-session fail with its name', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Admin\n`);
    expect((await failureOf(rig.provider('work').current(patient()))).text).toBe(
      `No AWS credentials for profile 'work': the sso-session 'corp' of the profile is not in ${rig.home.home}/.aws/config. ` +
        "Run 'aws configure sso --profile work' to set it up",
    );
  });

  test('credentials of a profile with a web identity token file are those of its role', async () => {
    const rig = await makeRig();
    const token = await rig.home.write('token', 'the-web-identity');
    await rig.home.config(
      `[profile work]\n${ROLE}web_identity_token_file = ${token}\nrole_session_name = chosen\n`,
    );
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'STS-1' });
    expect(rig.aws.of('sts')[0]?.form.get('RoleSessionName')).toBe('chosen');
  });

  test('credentials of a profile with a login session are those of aws login', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile work]\nlogin_session = arn:aws:iam::123456789012:user/me\n');
    await rig.home.loginToken('arn:aws:iam::123456789012:user/me', loginToken('AKIDLOGIN', inAnHour()));
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'AKIDLOGIN' });
    expect(rig.aws.of('signin')).toHaveLength(0);
  });

  test('credentials of an expiring login session without a region are refreshed through the fallback region', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile work]\nlogin_session = arn:aws:iam::123456789012:user/me\n');
    await rig.home.loginToken('arn:aws:iam::123456789012:user/me', expiringLogin());
    const provider = rig.provider('work', { fallbackRegion: 'eu-west-3' });
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'LOGIN-1' });
    expect(JSON.parse(rig.aws.of('signin')[0]?.body ?? '')).toMatchObject({
      refreshToken: 'the-refresh-token',
    });
  });

  test('credentials of a login session that was never started fail with the command to log in', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile work]\nlogin_session = arn:aws:iam::123456789012:user/me\n');
    const path = await rig.home.write('.aws/login/cache/x', '');
    const missing = await failureOf(rig.provider('work').current(patient()));
    expect(missing.text).toMatch(
      /^No AWS credentials for profile 'work': Failed to load token from .*ENOENT/,
    );
    expect(missing.text).toMatch(/\. Run 'aws login --profile work' and try again$/);
    expect(path).toContain('login');
  });

  test('credentials of a profile with a credential_process are those that it prints', async () => {
    const rig = await makeRig();
    const command = await rig.home.script(
      'helper.mjs',
      'console.log(JSON.stringify({ Version: 1, AccessKeyId: "AKIDPROC", SecretAccessKey: "s", SessionToken: "t" }))',
    );
    await rig.home.config(`[profile work]\ncredential_process = ${command}\n`);
    expect(await rig.provider('work').current(patient())).toEqual({
      accessKeyId: 'AKIDPROC',
      secretAccessKey: 's',
      sessionToken: 't',
      principal: JSON.stringify(['process', command, null]),
      providerName: 'process',
    });
    expect(rig.reported.at(-1)).toMatchObject({ providerName: 'process' });
  });

  test('credentials of a failing credential_process are not taken from the instance', async () => {
    const rig = await makeRig();
    const command = await rig.home.script('helper.mjs', 'console.error("vault is locked"); process.exit(3)');
    await rig.home.config(`[default]\ncredential_process = ${command}\n`);
    rig.setEnv(rig.aws.imdsEnv);
    expect(await failureOf(rig.provider().current(patient()))).toEqual({
      reason: 'no-credentials',
      text:
        'No AWS credentials (default chain): credential_process exited with code 3: vault is locked. ' +
        'Run the credential_process of the profile in a terminal to see its output',
      details: { kind: 'failed', profile: 'default chain' },
    });
    expect(rig.aws.of('imds')).toHaveLength(0);
  });
});

describe('an assumed role', () => {
  test('an assumed role is assumed with the keys of its source profile, in its own region', async () => {
    const rig = await makeRig();
    await rig.home.config(
      `[profile work]\n${ROLE}source_profile = base\nregion = ap-south-1\nexternal_id = ext\nduration_seconds = 900\n`,
    );
    await rig.home.credentials(`[base]\n${KEYS}`);
    const provider = rig.provider('work', { fallbackRegion: 'eu-west-3' });
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'STS-1' });
    expect(rig.reported.at(-1)).toMatchObject({ providerName: 'assume-role' });
    const request = rig.aws.of('sts')[0];
    expect(request).toMatchObject({ region: 'ap-south-1', accessKeyId: 'AKIDFILE' });
    expect(Object.fromEntries(request?.form ?? [])).toMatchObject({
      RoleArn: 'arn:aws:iam::123456789012:role/the-role',
      ExternalId: 'ext',
      DurationSeconds: '900',
    });
  });

  test.each([
    ['the signing region', {}, 'eu-west-3', 'eu-west-3'],
    ['AWS_REGION before that', { AWS_REGION: 'ca-central-1' }, 'eu-west-3', 'ca-central-1'],
    ['us-east-1 when nothing names one', {}, undefined, 'us-east-1'],
  ])('an assumed role without a region is assumed in %s', async (_, env, fallbackRegion, region) => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${ROLE}source_profile = base\n[profile base]\n${KEYS}`);
    rig.setEnv(env);
    await rig.provider('work', fallbackRegion === undefined ? {} : { fallbackRegion }).current(patient());
    expect(rig.aws.of('sts')[0]?.region).toBe(region);
  });

  test('an assumed role with SSO credentials is assumed in its own region, not in that of SSO', async () => {
    const rig = await makeRig();
    await rig.home.config(
      `[profile work]\n${ROLE}source_profile = base\nregion = ap-south-1\n[profile base]\n${SSO_PROFILE}`,
    );
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt: inAnHour() });
    const hosts: string[] = [];
    const { NodeHttpHandler } = await import('@smithy/node-http-handler');
    const real = new NodeHttpHandler();
    const handler = {
      handle: (request: Parameters<typeof real.handle>[0], options: Parameters<typeof real.handle>[1]) => {
        hosts.push(request.hostname);
        return real.handle(
          Object.assign(request, { protocol: 'http:', hostname: '127.0.0.1', port }),
          options,
        );
      },
    };
    const port = Number(new URL(rig.aws.url).port);
    rig.setEnv({ AWS_ENDPOINT_URL_STS: 'http://sts.example/sts' });
    await rig.provider('work', { requestHandler: handler }).current(patient());
    expect(rig.aws.of('sts')[0]).toMatchObject({ region: 'ap-south-1', accessKeyId: 'SSO-1' });
    expect(hosts).toEqual(['127.0.0.1', 'sts.example']);
  });

  test('an assumed role two roles above a credential_process is assumed last', async () => {
    const rig = await makeRig();
    const command = await rig.home.script(
      'helper.mjs',
      'console.log(JSON.stringify({ Version: 1, AccessKeyId: "AKIDPROC", SecretAccessKey: "s" }))',
    );
    await rig.home.config(
      `[profile work]\n${ROLE}source_profile = middle\n` +
        `[profile middle]\n${ROLE.replace('the-role', 'middle')}source_profile = base\nrole_session_name = chosen\n` +
        `[profile base]\ncredential_process = ${command}\n`,
    );
    expect(await rig.provider('work').current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
    const [first, second] = rig.aws.of('sts');
    expect(first).toMatchObject({ accessKeyId: 'AKIDPROC' });
    expect(first?.form.get('RoleSessionName')).toBe('chosen');
    expect(second).toMatchObject({ accessKeyId: 'STS-1' });
    expect(second?.form.get('RoleSessionName')).toMatch(/^mcp-sigv4-proxy-/);
  });

  test.each([
    ['Environment', 'AKIDENV'],
    ['EcsContainer', 'CONTAINER-1'],
    ['Ec2InstanceMetadata', 'IMDS-1'],
  ])(
    'an assumed role with credential_source %s is assumed with the credentials of that source',
    async (credentialSource, key) => {
      const rig = await makeRig();
      await rig.home.config(`[profile work]\n${ROLE}credential_source = ${credentialSource}\n`);
      rig.setEnv({
        ...rig.aws.imdsEnv,
        ...rig.aws.containerEnv,
        AWS_ACCESS_KEY_ID: 'AKIDENV',
        AWS_SECRET_ACCESS_KEY: 'env-secret',
      });
      await rig.provider('work').current(patient());
      expect(rig.aws.of('sts')[0]?.accessKeyId).toBe(key);
    },
  );

  test('an assumed role that STS denies fails with the message of STS', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${ROLE}source_profile = base\n[profile base]\n${KEYS}`);
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: me is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>',
    });
    const failure = await failureOf(rig.provider('work').current(patient()));
    expect(failure.text).toContain("profile 'work': User: me is not authorized to perform: sts:AssumeRole");
    expect(failure.details).toEqual({ kind: 'failed', profile: 'work' });
  });

  test('an assumed role that requires MFA fails before any request', async () => {
    const rig = await makeRig();
    await rig.home.config(
      `[profile work]\n${ROLE}source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n[profile base]\n${SSO_PROFILE}`,
    );
    expect((await failureOf(rig.provider('work').current(patient()))).text).toBe(
      "No AWS credentials for profile 'work': profile 'work' has mfa_serial, and the proxy cannot ask for a code because its stdin " +
        "carries the protocol. Run 'aws sts get-session-token' with the code and put the result into a separate profile, or use " +
        'a credential_process that caches an MFA session',
    );
    expect(rig.aws.requests).toHaveLength(0);
  });
});

describe('a defect of a profile', () => {
  test('a missing profile is reported with the known profiles', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile b]\nregion = eu-west-1\n[sso-session corp]\nsso_region = eu-west-1\n');
    await rig.home.credentials(`[a]\n${KEYS}`);
    expect(await failureOf(rig.provider('x').current(patient()))).toEqual({
      reason: 'no-credentials',
      text: `No AWS credentials for profile 'x': profile 'x' is not in ${rig.home.home}/.aws/config; known profiles: a, b. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile x'`,
      details: { kind: 'failed', profile: 'x' },
    });
  });

  test('a missing source_profile is reported with the profile that names it', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${ROLE}source_profile = gone\n`);
    expect((await failureOf(rig.provider('work').current(patient()))).text).toBe(
      `No AWS credentials for profile 'work': profile 'gone' (the source_profile of 'work') is not in ` +
        `${rig.home.home}/.aws/config; known profiles: work. Correct that line`,
    );
  });

  test('a circle of source profiles is reported with its members', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile a]\n${ROLE}source_profile = b\n[profile b]\n${ROLE}source_profile = a\n`);
    expect((await failureOf(rig.provider('a').current(patient()))).text).toBe(
      "No AWS credentials for profile 'a': the source_profile settings form a circle (b -> a). " +
        'Edit the profiles so that one holds credentials',
    );
  });

  test('a broken config file is reported with the line number, without its text', async () => {
    const rig = await makeRig();
    await rig.home.config('[profile a]\nregion = eu-west-1\n[profile work\naws_secret_access_key = hush\n');
    const { text } = await failureOf(rig.provider('work').current(patient()));
    expect(text).toBe(
      `No AWS credentials for profile 'work': profile 'work' is not in ${rig.home.home}/.aws/config; known profiles: a; ` +
        `${rig.home.home}/.aws/config is broken in line 3. Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'`,
    );
  });

  test('a folder in the place of the config file is reported', async () => {
    const rig = await makeRig();
    await rig.home.write('.aws/config/inside', '');
    expect((await failureOf(rig.provider('work').current(patient()))).text).toBe(
      `No AWS credentials for profile 'work': profile 'work' is not in ${rig.home.home}/.aws/config; it has no profiles; ` +
        `${rig.home.home}/.aws/config cannot be read (EISDIR). Choose another with --profile or AWS_PROFILE, or run 'aws configure --profile work'`,
    );
  });

  test('a half of a key pair is reported with the missing setting', async () => {
    const rig = await makeRig();
    await rig.home.credentials('[work]\naws_access_key_id = AKIDFILE\n');
    const failure = await failureOf(rig.provider('work').current(patient()));
    expect(failure.text).toBe(
      "No AWS credentials for profile 'work': aws_access_key_id is set in profile 'work', and aws_secret_access_key is missing. " +
        'Set aws_secret_access_key as well, or remove aws_access_key_id',
    );
    expect(failure.details).toEqual({ kind: 'failed', profile: 'work' });
  });
});
