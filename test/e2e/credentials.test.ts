import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type AwsStandIns, startAwsStandIns } from '../support/aws-stand-ins.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { expiringLogin } from '../support/login-token.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs } from '../support/signing.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';

const KEYS = (name: string): string =>
  `aws_access_key_id = AKIDEXAMPLE${name}\naws_secret_access_key = secret-of-${name}\n`;
const ROLE = 'role_arn = arn:aws:iam::123456789012:role/the-role\n';
const SSO =
  '[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
  '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';
const LOGIN = 'arn:aws:iam::123456789012:user/me';
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

/** The access keys of the AWS stand-ins and of the files. */
const known = Object.fromEntries([
  ...['STS', 'SSO', 'IMDS', 'CONTAINER', 'LOGIN'].flatMap((name) =>
    [1, 2, 3].map((number) => [
      `${name}-${number}`,
      { secretAccessKey: `secret-${name}-${number}`, sessionToken: `token-${name}-${number}` },
    ]),
  ),
  ...['A', 'B'].map((name) => [`AKIDEXAMPLE${name}`, { secretAccessKey: `secret-of-${name}` }]),
]);

interface Rig {
  readonly aws: AwsStandIns;
  readonly home: TempHome;
  readonly server: ScriptedServer;
  start(env?: NodeJS.ProcessEnv, ...args: string[]): BinDriver;
  /** The keys that signed the requests so far, in order, each once per run of it. */
  signers(): string[];
}

async function makeRig(): Promise<Rig> {
  const aws = await startAwsStandIns();
  const home = await makeTempHome();
  const server = await ScriptedServer.start(new SessionServer().behaviour, {
    verify: { service: 'execute-api', region: 'eu-west-1', keys: known },
  });
  return {
    aws,
    home,
    server,
    start(env = {}, ...args) {
      return BinDriver.start({
        args: [server.url, ...signingArgs, ...args],
        env: { ...(aws.env as Record<string, string>), ...(env as Record<string, string>), HOME: home.home },
      });
    },
    signers: () =>
      server.requests
        .map(({ verification }) => (verification?.ok ? verification.accessKeyId : 'refused'))
        .filter((key, at, all) => key !== all[at - 1]),
  };
}

interface Kind {
  readonly profile?: string;
  readonly env?: (rig: Rig) => NodeJS.ProcessEnv;
  readonly prepare?: (rig: Rig) => Promise<unknown>;
  readonly signer: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  'the environment': {
    env: () => ({ AWS_ACCESS_KEY_ID: 'AKIDEXAMPLEA', AWS_SECRET_ACCESS_KEY: 'secret-of-A' }),
    signer: 'AKIDEXAMPLEA',
  },
  'the shared files': {
    prepare: ({ home }) => home.credentials(`[default]\n${KEYS('A')}`),
    signer: 'AKIDEXAMPLEA',
  },
  'a profile over the environment': {
    profile: 'work',
    env: () => ({ AWS_ACCESS_KEY_ID: 'AKIDEXAMPLEA', AWS_SECRET_ACCESS_KEY: 'secret-of-A' }),
    prepare: ({ home }) => home.config(`[profile work]\n${KEYS('B')}`),
    signer: 'AKIDEXAMPLEB',
  },
  'a credential_process': {
    profile: 'work',
    prepare: async ({ home }) => {
      const command = await home.script(
        'helper.mjs',
        'process.stdin.resume().on("end", () => console.log(JSON.stringify({ Version: 1, AccessKeyId: "AKIDEXAMPLEA", SecretAccessKey: "secret-of-A" })))',
      );
      await home.config(`[profile work]\ncredential_process = ${command}\n`);
    },
    signer: 'AKIDEXAMPLEA',
  },
  'a role over a source profile': {
    profile: 'work',
    prepare: ({ home }) =>
      home.config(`[profile base]\n${KEYS('A')}[profile work]\n${ROLE}source_profile = base\n`),
    signer: 'STS-1',
  },
  'a web identity': {
    profile: 'work',
    prepare: async ({ home }) => {
      const token = await home.write('token', 'the-web-identity');
      await home.config(`[profile work]\n${ROLE}web_identity_token_file = ${token}\n`);
    },
    signer: 'STS-1',
  },
  'an SSO login': {
    profile: 'work',
    prepare: async ({ home }) => {
      await home.config(SSO);
      await home.ssoToken('corp', { accessToken: 'sso-token', expiresAt: inAnHour() });
    },
    signer: 'SSO-1',
  },
  'aws login': {
    profile: 'work',
    prepare: async ({ home }) => {
      await home.config(`[profile work]\nlogin_session = ${LOGIN}\n`);
      await home.loginToken(LOGIN, expiringLogin());
    },
    signer: 'LOGIN-1',
  },
  'a container': { env: ({ aws }) => aws.containerEnv, signer: 'CONTAINER-1' },
  'an EC2 instance': { env: ({ aws }) => aws.imdsEnv, signer: 'IMDS-1' },
};

describe('the source of credentials', () => {
  it.each(Object.entries(KINDS))(
    'the proxy signs with credentials from %s',
    async (_kind, { profile, env, prepare, signer }) => {
      const rig = await makeRig();
      await prepare?.(rig);
      const proxy = rig.start(env?.(rig), ...(profile ? ['--profile', profile] : []));
      await proxy.initialize();
      expect(await proxy.request('tools/list')).toHaveProperty('result.tools');
      expect(rig.signers()).toEqual([signer]);
      expect(proxy.stderr).toBe('');
    },
  );
});

describe('--role-arn', () => {
  const ARN = 'arn:aws:iam::123456789012:role/over';
  const ECHO = { name: 'echo', arguments: { text: 'x' } };

  it('--role-arn signs as the role, with the chosen session name and external id', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS('A')}`);
    const role = ['--role-arn', ARN, '--role-session-name', 'me@corp', '--external-id', 'ext:1'];
    const accessLog = join(rig.home.home, 'access.log');
    const proxy = rig.start({}, '--profile', 'work', ...role, '--access-log', accessLog);
    await proxy.initialize();
    expect(await proxy.request('tools/list')).toHaveProperty('result.tools');
    expect(rig.signers()).toEqual(['STS-1']);
    const asked = rig.aws
      .of('sts')
      .map(({ accessKeyId, form }) => [
        accessKeyId,
        form.get('RoleArn'),
        form.get('RoleSessionName'),
        form.get('ExternalId'),
      ]);
    expect(asked).toEqual([['AKIDEXAMPLEA', ARN, 'me@corp', 'ext:1']]);
    proxy.closeStdin();
    await proxy.exit();
    expect(proxy.stderr).toBe('');
    for (const line of readFileSync(accessLog, 'utf8').trim().split('\n'))
      expect(JSON.parse(line)).toMatchObject({ profile: 'work', account: '123456789012', role: 'over' });
  });

  it.each([
    ['--role-arn', `[profile work]\n${KEYS('A')}`, ['--role-arn', ARN]],
    ['the profile', `[profile base]\n${KEYS('A')}[profile work]\n${ROLE}source_profile = base\n`, []],
  ])(
    '--role-arn of %s is assumed anew under one session name, because sessions belong to that name',
    async (_of, config, args) => {
      const rig = await makeRig();
      await rig.home.config(config);
      rig.aws.lifetimeMs = 3_000;
      const proxy = rig.start({}, '--profile', 'work', ...args);
      await proxy.initialize();
      while (!rig.signers().includes('STS-2')) {
        expect(await proxy.request('tools/call', ECHO)).toHaveProperty('result');
        await wait(50);
      }
      const names = rig.aws.of('sts').map(({ form }) => form.get('RoleSessionName'));
      expect(names.length).toBeGreaterThan(1);
      expect(new Set(names).size).toBe(1);
      expect(rig.signers().slice(0, 2)).toEqual(['STS-1', 'STS-2']);
      expect(rig.server.requests.filter(({ rpc }) => rpc.method === 'initialize')).toHaveLength(1);
    },
  );

  it('--role-arn with a role that STS denies is an error with the remedy, and works once it is allowed', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS('A')}`);
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>',
    });
    const proxy = rig.start({}, '--profile', 'work', '--role-arn', ARN);
    const { error } = await proxy.request(
      'initialize',
      { protocolVersion: '2025-11-25', capabilities: {} },
      '',
    );
    expect(error).toMatchObject({ code: -31006, data: { profile: 'work', mayHaveRun: false } });
    for (const word of [
      `the role ${ARN} cannot be assumed`,
      'not authorized',
      '--role-arn',
      'trust policy',
    ]) {
      expect(error).toHaveProperty('message', expect.stringContaining(word));
    }
    rig.aws.fail('sts', undefined);
    await proxy.initialize();
    expect(rig.signers()).toEqual(['STS-1']);
  });

  it('--role-arn calls STS through the HTTP proxy', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile work]\n${KEYS('A')}`);
    const gate = await ConnectProxy.start();
    const sts = 'https://sts.example.invalid';
    const proxy = rig.start(
      { AWS_ENDPOINT_URL_STS: sts },
      '--profile',
      'work',
      '--role-arn',
      ARN,
      '--proxy',
      gate.url,
    );
    const { error } = await proxy.request('initialize', { protocolVersion: '2025-11-25', capabilities: {} });
    expect(error).toMatchObject({ code: -31006 });
    expect(gate.tunnels).toContainEqual(expect.objectContaining({ authority: 'sts.example.invalid:443' }));
  });
});

describe('credentials that change while the proxy runs', () => {
  it('credentials that change while the proxy runs count on the next request', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${KEYS('A')}`);
    const proxy = rig.start({}, '--profile', 'work');
    await proxy.initialize();
    await proxy.request('tools/list');
    await rig.home.credentials(`[work]\n${KEYS('B')}`);
    await proxy.request('tools/list', {}, -1);
    expect(rig.signers()).toEqual(['AKIDEXAMPLEA', 'AKIDEXAMPLEB']);
  });

  it('credentials that appear while the proxy runs replace a missing login without a restart', async () => {
    const rig = await makeRig();
    await rig.home.config(SSO);
    const proxy = rig.start({}, '--profile', 'work');
    const refused = await proxy.request(
      'initialize',
      { protocolVersion: '2025-11-25', capabilities: {} },
      '',
    );
    expect(refused.error).toMatchObject({
      code: -31006,
      data: { reason: 'no-credentials', mayHaveRun: false },
    });
    expect(refused).toHaveProperty('error.message', expect.stringContaining('aws sso login --profile work'));
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt: inAnHour() });
    await proxy.initialize();
    expect(rig.signers()).toEqual(['SSO-1']);
  });
});

describe('credentials that cannot be resolved', () => {
  it('credentials are not resolved before the first message', async () => {
    const rig = await makeRig();
    await rig.home.config(SSO);
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt: inAnHour() });
    const proxy = rig.start({}, '--profile', 'work');
    await proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect(rig.aws.requests).toEqual([]);
    expect(rig.server.requests).toEqual([]);
  });

  it('credentials that cannot be resolved are an error with the profile, the file and the known profiles', async () => {
    const rig = await makeRig();
    await rig.home.config(`[profile dev]\n${KEYS('A')}[profile prod]\n${KEYS('B')}`);
    const proxy = rig.start({}, '--profile', 'typo');
    const { error } = await proxy.request(
      'initialize',
      { protocolVersion: '2025-11-25', capabilities: {} },
      -1,
    );
    expect(error).toMatchObject({ code: -31006 });
    for (const word of ["'typo'", '.aws/config', 'dev, prod']) {
      expect(error).toHaveProperty('message', expect.stringContaining(word));
    }
    expect(rig.server.requests).toEqual([]);
  });

  it('credentials change for many calls after one run of a credential_process', async () => {
    const rig = await makeRig();
    const runs = join(rig.home.home, 'runs');
    // The first run returns the keys of A, all later ones those of B.
    const command = await rig.home.script(
      'helper.mjs',
      `import { appendFileSync, readFileSync } from 'node:fs';
       appendFileSync(${JSON.stringify(runs)}, 'x');
       const name = readFileSync(${JSON.stringify(runs)}, 'utf8') === 'x' ? 'A' : 'B';
       console.log(JSON.stringify({ Version: 1, AccessKeyId: "AKIDEXAMPLE" + name, SecretAccessKey: "secret-of-" + name }))`,
    );
    await rig.home.config(`[profile work]\ncredential_process = ${command}\n`);
    const proxy = rig.start({}, '--profile', 'work', '--max-connections', '16');
    await proxy.initialize();
    // The notification of the handshake would otherwise be the only request that finds the edit.
    await rig.server.until((requests) => requests.some(({ method }) => method === 'GET'));
    // All find the file changed, and none has credentials until the process has run again.
    await rig.home.config(`[profile work]\ncredential_process = ${command}\nregion = eu-west-1\n`);
    const calls = Array.from({ length: 16 }, (_, at) =>
      proxy.request('tools/call', { name: 'echo', arguments: { text: String(at) } }),
    );
    for (const answer of await Promise.all(calls)) expect(answer).toHaveProperty('result');
    expect(readFileSync(runs, 'utf8')).toBe('xx');
    const signed = rig.server.of('tools/call').map(({ verification }) => verification);
    expect(signed).toEqual(
      Array.from({ length: 16 }, () => expect.objectContaining({ accessKeyId: 'AKIDEXAMPLEB' })),
    );
  });
});
