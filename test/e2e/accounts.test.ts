// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders that clients do not expand

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';

const keys = (account: string): string =>
  `aws_access_key_id = AKID${account}\naws_secret_access_key = secret-of-${account}\n`;

const KNOWN = Object.fromEntries([
  ...['MYDEV', 'MY', 'DEV', 'PROD'].map((name) => [`AKID${name}`, { secretAccessKey: `secret-of-${name}` }]),
  ['SSO-1', { secretAccessKey: 'secret-SSO-1', sessionToken: 'token-SSO-1' }],
  ['STS-1', { secretAccessKey: 'secret-STS-1', sessionToken: 'token-STS-1' }],
]);

const PARTS = `[profile my]\n${keys('MY')}[profile dev]\n${keys('DEV')}[profile prod]\n${keys('PROD')}`;

interface Signed {
  /** The access key that signed the first request. */
  readonly key: string;
  /** The values of `aws_profile`; undefined with one profile. */
  readonly offered: unknown;
}

const serverOf = (): Promise<ScriptedServer> =>
  ScriptedServer.start(new SessionServer().behaviour, {
    verify: { service: 'execute-api', region: 'eu-west-1', keys: KNOWN },
  });

async function signedBy(
  config: string,
  { env = {}, args = [], credentials = '' }: { env?: object; args?: string[]; credentials?: string },
): Promise<Signed> {
  const aws = await startAwsStandIns();
  const server = await serverOf();
  const bin = BinDriver.start({
    args: [server.url, ...signingArgs, ...args],
    env: { ...(aws.env as Record<string, string>), ...env },
    files: { '.aws/config': config, '.aws/credentials': credentials },
  });
  const answer = await bin.initialize({}, 0);
  expect(answer).toHaveProperty('result');
  const list = JSON.stringify(await bin.request('tools/list', {}, ''));
  const [, offered] = /"enum":(\["[^\]]*\])/.exec(list) ?? [];
  const { verification } = server.requests[0] ?? {};
  return {
    key: verification?.ok ? (verification.accessKeyId ?? '') : 'refused',
    offered: offered && JSON.parse(offered),
  };
}

describe('a profile name with blanks', () => {
  it.each([
    ['a quoted section of the config file', `[profile "my dev"]\n${keys('MYDEV')}`, ''],
    ['a section in single quotes', `[profile 'my dev']\n${keys('MYDEV')}`, ''],
    ['a section without quotes', `[profile my dev]\n${keys('MYDEV')}`, ''],
    ['the credentials file', "[profile 'my dev']\nregion = eu-west-1\n", `[my dev]\n${keys('MYDEV')}`],
  ])(
    'a profile name with blanks is one profile in AWS_PROFILE, also beside profiles of its parts, from %s',
    async (_where, section, credentials) => {
      const signed = await signedBy(PARTS + section, { env: { AWS_PROFILE: 'my dev' }, credentials });
      expect(signed).toEqual({ key: 'AKIDMYDEV', offered: undefined });
    },
  );

  it('a profile name with blanks is never split in AWS_PROFILE: without such a profile nothing is signed', async () => {
    const server = await serverOf();
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs],
      env: { AWS_PROFILE: 'my dev' },
      files: { '.aws/config': PARTS },
    });
    const { error } = (await bin.initialize({}, 0)) as { error: { message: string } };
    expect(error.message).toContain("profile 'my dev' is not in");
    expect(error.message).toContain(`aws configure --profile "my dev"`);
    expect(server.requests).toEqual([]);
  });

  it.each([
    ['--profile', { args: ['--profile', 'my dev'] }],
    ['MCP_PROXY_PROFILE', { env: { MCP_PROXY_PROFILE: 'my dev' } }],
    ['AWS_MCP_PROXY_PROFILES', { env: { AWS_MCP_PROXY_PROFILES: 'my dev' } }],
    ['--profile with quotes in the value', { args: ['--profile', '"my dev"'] }],
  ])('a profile name with blanks that exists precedes its parts in %s', async (_where, given) => {
    const signed = await signedBy(`${PARTS}[profile "my dev"]\n${keys('MYDEV')}`, given);
    expect(signed).toEqual({ key: 'AKIDMYDEV', offered: undefined });
  });

  it.each([
    ['two flags', { args: ['--profile', 'my dev', '--profile', 'prod'] }],
    ['one flag', { args: ['--profile', 'my dev', 'prod'] }],
    ['a list with commas', { env: { MCP_PROXY_PROFILE: 'my dev,prod' } }],
    ['a list with blanks', { env: { AWS_MCP_PROXY_PROFILES: 'my dev prod' } }],
    ['a list with lines', { env: { MCP_PROXY_PROFILE: 'my dev\nprod' } }],
  ])('a profile name with blanks may be one of several in %s', async (_where, given) => {
    const signed = await signedBy(`${PARTS}[profile "my dev"]\n${keys('MYDEV')}`, given);
    expect(signed).toEqual({ key: 'AKIDMYDEV', offered: ['my dev', 'prod'] });
  });

  it('a profile name with blanks that does not exist is split in a list', async () => {
    const signed = await signedBy(PARTS, { env: { MCP_PROXY_PROFILE: 'my dev' } });
    expect(signed).toEqual({ key: 'AKIDMY', offered: ['my', 'dev'] });
  });

  it('a profile name with blanks may hold commas, quotes and a hash, and start with a dash', async () => {
    const name = "-a, b's #1";
    const signed = await signedBy(`${PARTS}[profile "${name}"]\n${keys('MYDEV')}`.replace(' #1', '#1'), {
      args: [`--profile=${name.replace(' #1', '#1')}`],
    });
    expect(signed.key).toBe('AKIDMYDEV');
  });

  it('a profile name with blanks works with a login, and with a role whose source profile has blanks', async () => {
    const sso =
      '[profile "my dev"]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
      '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';
    const role = `[profile "the source"]\n${keys('MY')}[profile "my dev"]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = the source\n`;
    expect((await signedBy(role, { env: { AWS_PROFILE: 'my dev' } })).key).toBe('STS-1');
    const aws = await startAwsStandIns();
    const server = await serverOf();
    const token = { accessToken: 'a', expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs],
      env: { ...(aws.env as Record<string, string>), AWS_PROFILE: 'my dev' },
      files: {
        '.aws/config': sso,
        [`.aws/sso/cache/${createHash('sha1').update('corp').digest('hex')}.json`]: JSON.stringify({
          ...token,
          startUrl: 'https://corp.awsapps.com/start',
          region: 'eu-north-1',
        }),
      },
    });
    expect(await bin.initialize({}, 0)).toHaveProperty('result');
    const { verification } = server.requests[0] ?? {};
    expect(verification).toMatchObject({ ok: true, accessKeyId: 'SSO-1' });
  });
});

describe('a placeholder that the client did not expand', () => {
  const ENDPOINT = 'https://mcp.example.com/mcp';
  const SCOPE = ['--service', 'execute-api', '--region', 'eu-west-1'];
  const complaintOf = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
    const bin = BinDriver.start({ args, env });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.lines).toEqual([]);
    return bin.stderr;
  };

  it.each<[string, string[], Record<string, string>]>([
    ['--region', [ENDPOINT, '--service', 'execute-api', '--region', '${AWS_REGION}'], {}],
    ['--profile', [ENDPOINT, ...SCOPE, '--profile', 'a', '${env:AWS_PROFILE}'], {}],
    ['--metadata', [ENDPOINT, ...SCOPE, '--metadata', 'k=${K}'], {}],
    ['--max-connections', [ENDPOINT, ...SCOPE, '--max-connections', '${N}'], {}],
    ['--skip-auth', [ENDPOINT, ...SCOPE, '--skip-auth=${SKIP}'], {}],
    ['MCP_PROXY_ENV_FILE', [ENDPOINT, ...SCOPE], { MCP_PROXY_ENV_FILE: '${HOME}/x' }],
    ['the endpoint', ['https://${HOST}/mcp', ...SCOPE], {}],
    ['MCP_PROXY_ENDPOINT', SCOPE, { MCP_PROXY_ENDPOINT: '${MCP_URL}' }],
    ['MCP_PROXY_REGION', [ENDPOINT, '--service', 'execute-api'], { MCP_PROXY_REGION: '${env:AWS_REGION}' }],
    ['AWS_REGION', [ENDPOINT, '--service', 'execute-api'], { AWS_REGION: '${AWS_REGION}' }],
    ['AWS_REGION', [ENDPOINT, ...SCOPE], { AWS_REGION: '${AWS_REGION}' }],
    ['AWS_REGION', [], { AWS_REGION: '${env:AWS_REGION}' }],
    ['AWS_DEFAULT_REGION', [ENDPOINT, ...SCOPE], { AWS_DEFAULT_REGION: '${X}' }],
    ['AWS_PROFILE', [ENDPOINT, ...SCOPE], { AWS_PROFILE: '${AWS_PROFILE}' }],
    ['AWS_MCP_PROXY_PROFILES', [ENDPOINT, ...SCOPE], { AWS_MCP_PROXY_PROFILES: 'a ${P}' }],
    ['AWS_ACCESS_KEY_ID', [ENDPOINT, ...SCOPE], { AWS_ACCESS_KEY_ID: '${AWS_ACCESS_KEY_ID}' }],
    ['AWS_SECRET_ACCESS_KEY', [ENDPOINT, ...SCOPE], { AWS_SECRET_ACCESS_KEY: 's3cr3t${X}' }],
    ['AWS_SESSION_TOKEN', [ENDPOINT, ...SCOPE], { AWS_SESSION_TOKEN: '${input:token}' }],
    ['AWS_CONFIG_FILE', [ENDPOINT, ...SCOPE], { AWS_CONFIG_FILE: '{env:HOME}/config' }],
    ['AWS_ENDPOINT_URL_STS', [ENDPOINT, ...SCOPE], { AWS_ENDPOINT_URL_STS: 'https://${STS}' }],
    ['HTTPS_PROXY', [ENDPOINT, ...SCOPE], { HTTPS_PROXY: '${HTTPS_PROXY}' }],
    ['NO_PROXY', [ENDPOINT, ...SCOPE], { NO_PROXY: '${NO_PROXY}' }],
    ['XDG_CACHE_HOME', [ENDPOINT, ...SCOPE], { XDG_CACHE_HOME: '/cache/${USER}' }],
    ['OTEL_SERVICE_NAME', [ENDPOINT, ...SCOPE], { OTEL_SERVICE_NAME: '${NAME}' }],
  ])('a placeholder that the client did not expand in %s ends the start: %j', async (name, args, env) => {
    const said = await complaintOf(args, env);
    expect(said).toMatch(/(a problem|2 problems) with the settings/);
    expect(said).toContain(`  ${name} holds `);
    expect(said).toContain('which the client did not expand');
    expect(said).not.toContain('s3cr3t');
  });

  it('a placeholder in --header is expanded by the proxy, in both spellings, if its variable is set', async () => {
    const server = await ScriptedServer.start(new SessionServer().behaviour);
    const bin = BinDriver.start({
      args: [server.url, '--auth', 'none', '--header', 'x-a: ${TOKEN_A}', '--header', 'x-b: ${env:TOKEN_B}'],
      env: { TOKEN_A: 'value-of-a', TOKEN_B: 'value-of-b' },
    });
    await bin.initialize({}, 0);
    expect(server.requests[0]?.headers).toMatchObject({ 'x-a': 'value-of-a', 'x-b': 'value-of-b' });
    const nested = await complaintOf([ENDPOINT, ...SCOPE, '--header', 'x-a: ${TOKEN}'], {
      TOKEN: '${TOKEN}',
    });
    expect(nested).toContain('names the environment variable TOKEN, which holds ${TOKEN}');
    const other = await complaintOf([ENDPOINT, ...SCOPE, '--header', 'x-a: ${input:token}']);
    expect(other).toContain('--header holds ${input:token}, which names no environment variable');
  });
});

describe('a region that is not a region name', () => {
  it.each<[string, string[], Record<string, string>]>([
    ['--region', ['--region', 'us-east'], {}],
    ['--region', ['--region', 'US-EAST-1'], {}],
    ['MCP_PROXY_REGION', [], { MCP_PROXY_REGION: 'us_east_1' }],
    ['AWS_REGION', [], { AWS_REGION: 'virginia' }],
    ['AWS_DEFAULT_REGION', [], { AWS_DEFAULT_REGION: 'us-east-1/x' }],
  ])('an invalid region name in %s ends the start: %j %j', async (name, args, env) => {
    const bin = BinDriver.start({
      args: ['https://mcp.example.com/mcp', '--service', 'execute-api', ...args],
      env,
    });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain(`  ${name} must be a region name such as us-east-1, not "`);
  });

  it('an invalid region name in the AWS files ends the start if requests are signed for it', async () => {
    const bin = BinDriver.start({
      args: ['https://mcp.example.com/mcp', '--service', 'execute-api', '--profile', 'dev'],
      files: { '.aws/config': '[profile dev]\nregion = ${AWS_REGION}\n' },
    });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain(
      'region of profile "dev" must be a region name such as us-east-1, not "${AWS_REGION}"',
    );
  });

  it('an invalid region name in the AWS files rejects requests until it is corrected', async () => {
    const server = await serverOf();
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--profile', 'dev'],
      files: { '.aws/config': `[profile dev]\n${keys('DEV')}region = east\n` },
    });
    const { error } = (await bin.initialize({}, 0)) as { error: object };
    expect(error).toMatchObject({
      code: -31026,
      message: expect.stringContaining("The region of AWS profile 'dev' must be a region name"),
      data: { reason: 'invalid-region', mayHaveRun: false },
    });
    expect(server.requests).toEqual([]);
    writeFileSync(`${bin.home}/.aws/config`, `[profile dev]\n${keys('DEV')}region = eu-west-2\n`);
    expect(await bin.initialize({}, '')).toHaveProperty('result');
  });
});

describe('half of a key pair', () => {
  const refusalOf = async (env: Record<string, string>, files = {}): Promise<string> => {
    const server = await serverOf();
    const bin = BinDriver.start({ args: [server.url, ...signingArgs], env, files });
    const { error } = (await bin.initialize({}, 0)) as { error: { message: string } };
    expect(server.requests).toEqual([]);
    return error.message;
  };

  it('half of a key pair in the environment is an error that names the missing variable', async () => {
    const files = { '.aws/credentials': `[default]\n${keys('DEV')}` };
    expect(await refusalOf({ AWS_ACCESS_KEY_ID: 'AKIDX' }, files)).toBe(
      'No AWS credentials (default chain): AWS_ACCESS_KEY_ID is set in the environment, and AWS_SECRET_ACCESS_KEY is missing. Set AWS_SECRET_ACCESS_KEY as well, or remove AWS_ACCESS_KEY_ID',
    );
    expect(await refusalOf({ AWS_SECRET_ACCESS_KEY: 'top-secret-value' })).toBe(
      'No AWS credentials (default chain): AWS_SECRET_ACCESS_KEY is set in the environment, and AWS_ACCESS_KEY_ID is missing. Set AWS_ACCESS_KEY_ID as well, or remove AWS_SECRET_ACCESS_KEY',
    );
  });

  it('half of a web identity is an error that names the missing role', async () => {
    const message = await refusalOf({
      AWS_WEB_IDENTITY_TOKEN_FILE: '/token',
      AWS_EC2_METADATA_DISABLED: 'true',
    });
    expect(message).toContain(
      'AWS_WEB_IDENTITY_TOKEN_FILE is set in the environment, and AWS_ROLE_ARN is missing',
    );
  });

  it('half of a key pair in a profile is an error that names the missing setting', async () => {
    const files = { '.aws/credentials': '[default]\naws_secret_access_key = top-secret-value\n' };
    const message = await refusalOf({}, files);
    expect(message).toContain(
      "aws_secret_access_key is set in profile 'default', and aws_access_key_id is missing",
    );
    expect(message).not.toContain('top-secret-value');
  });
});

describe('the block that config prints', () => {
  it.each(['claude-code', 'claude-desktop', 'opencode', 'cursor', 'vscode', 'kiro'])(
    'the block of config for %s names profile and region, and its process signs with them',
    async (client) => {
      const server = await serverOf();
      const files = { '.aws/config': `${PARTS}[profile "my dev"]\n${keys('MYDEV')}` };
      const config = BinDriver.start({
        args: ['config', client, server.url, '--service', 'execute-api'],
        env: { AWS_PROFILE: 'my dev', AWS_REGION: 'eu-west-1' },
        files,
        anyStdout: true,
      });
      expect(await config.exit()).toEqual({ code: 0, signal: null });
      const printed = JSON.parse(config.lines.join(''));
      const entry = (printed.mcpServers ?? printed.mcp ?? printed.servers).aws;
      const words: string[] = Array.isArray(entry.command) ? entry.command : entry.args;
      const args = words.slice(words.indexOf('mcp-sigv4-proxy') + 1);
      expect(args).toEqual(expect.arrayContaining(['--profile', 'my dev', '--region', 'eu-west-1']));
      expect(entry.env ?? entry.environment ?? {}).toEqual({});
      const bin = BinDriver.start({ args, env: { AWS_PROFILE: 'my', AWS_REGION: 'us-west-2' }, files });
      expect(await bin.initialize({}, 0)).toHaveProperty('result');
      expect(server.requests[0]?.verification).toMatchObject({ ok: true, accessKeyId: 'AKIDMYDEV' });
    },
  );
});

describe('--env-file', () => {
  it('--env-file sets variables of the proxy, and no other variables of a credential_process', async () => {
    const home = await makeTempHome();
    const command = await home.script(
      'keys.mjs',
      `import { writeFileSync } from 'node:fs';
       writeFileSync(${JSON.stringify(join(home.home, 'env.json'))}, JSON.stringify(process.env));
       console.log(JSON.stringify({ Version: 1, AccessKeyId: 'AKIDDEV', SecretAccessKey: 'secret-of-DEV' }));`,
    );
    await home.write('aws.config', `[profile dev]\ncredential_process = ${command}\n`);
    const file = await home.write(
      'settings.env',
      `AWS_CONFIG_FILE=${join(home.home, 'aws.config')}\nAWS_PROFILE=dev\nMCP_PROXY_RETRIES=0\nTEAM=blue\n` +
        'NODE_OPTIONS=--no-warnings\nLD_LIBRARY_PATH=/evil\nPATH=/evil\nAWS_EVIL=1\nSHELL_STARTUP=1\n',
    );
    const server = await serverOf();
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--header', 'x-team: ${TEAM}'],
      env: { MCP_PROXY_ENV_FILE: file },
    });
    expect(await bin.initialize({}, 0)).toHaveProperty('result');
    expect(server.requests[0]?.verification).toMatchObject({ ok: true, accessKeyId: 'AKIDDEV' });
    expect(server.requests[0]?.headers).toMatchObject({ 'x-team': 'blue' });
    const inherited = JSON.parse(readFileSync(join(home.home, 'env.json'), 'utf8'));
    expect(inherited).toMatchObject({ AWS_PROFILE: 'dev', MCP_PROXY_RETRIES: '0', PATH: process.env.PATH });
    for (const name of ['NODE_OPTIONS', 'LD_LIBRARY_PATH', 'AWS_EVIL', 'SHELL_STARTUP', 'TEAM'])
      expect(inherited).not.toHaveProperty(name);
  });
});

describe('the scope of signatures', () => {
  const GATEWAY = 'my-gw-abcdef1234.gateway.bedrock-agentcore';

  it.each([
    [
      'arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/my-gw-abcdef1234',
      `https://${GATEWAY}.us-east-1.amazonaws.com/mcp`,
      'bedrock-agentcore',
    ],
    [
      `https://${GATEWAY}-fips.us-east-1.amazonaws.com/mcp`,
      `https://${GATEWAY}-fips.us-east-1.amazonaws.com/mcp`,
      'bedrock-agentcore',
    ],
    [
      'https://a1.execute-api.dualstack.us-east-1.amazonaws.com/x',
      'https://a1.execute-api.dualstack.us-east-1.amazonaws.com/x',
      'execute-api',
    ],
    ['https://constructor.us-east-1.api.aws/mcp', 'https://constructor.us-east-1.api.aws/mcp', 'constructor'],
  ])('the scope of signatures comes from the endpoint %s', async (endpoint, url, service) => {
    const bin = BinDriver.start({
      // No server listens there: the endpoint is never reached.
      args: ['doctor', endpoint, '--proxy', 'http://127.0.0.1:9'],
      env: {
        AWS_ACCESS_KEY_ID: 'AKIDX',
        AWS_SECRET_ACCESS_KEY: 'secret-of-x',
        AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:9',
      },
      anyStdout: true,
    });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    const said = bin.lines.join('\n');
    expect(said).toContain(`${url}, from the command line`);
    expect(said).toContain(`for service ${service} (from the host) in region us-east-1 (from the host)`);
  });

  it('the scope of signatures is not guessed for a load balancer, although its host name is an AWS name', async () => {
    const bin = BinDriver.start({
      args: ['https://my-alb-1.us-east-1.elb.amazonaws.com/mcp', '--region', 'us-east-1'],
    });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain('--service <name> must be given');
  });
});
