import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseArguments, readSettings, type Settings } from '../src/settings.ts';
import { problemsIn, settingsIn } from './support/settings.ts';
import { makeTempHome, type TempHome } from './support/temp-home.ts';
import { makeTlsAuthority } from './support/tls-authority.ts';

const LAMBDA = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const UNKNOWN = 'https://tools.example.com/mcp';

let temp: TempHome;
beforeEach(async () => {
  temp = await makeTempHome();
  return temp.cleanup;
});

const read = (argv: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  readSettings(parseArguments(argv), Object.assign(temp.env, env));

const settingsOf = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Settings> =>
  settingsIn(await read(argv, env));

const problemsOf = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  problemsIn(await read(argv, env));

describe('the variables of a listener', () => {
  const LISTENER = { MCP_PROXY_LISTEN_TOKEN: 'secret-secret-secret', MCP_PROXY_WORKERS: '2' };
  const commandWith = (argv: readonly string[]) =>
    readSettings({ ...parseArguments(argv), command: 'ping' }, Object.assign(temp.env, LISTENER));

  it('the variables of a listener are a problem only where a client is to be served without one', async () => {
    expect(await problemsOf([], LISTENER)).toEqual([
      'MCP_PROXY_LISTEN_TOKEN needs --listen',
      'MCP_PROXY_WORKERS needs --listen',
    ]);
    expect(problemsIn(await commandWith([]))).toEqual([]);
  });

  it('a flag of a listener is a problem for every command', async () => {
    expect(problemsIn(await commandWith(['--workers', '2']))).toEqual(['--workers needs --listen']);
  });
});

describe('the endpoint', () => {
  it('the endpoint defaults to the AWS MCP Server', async () => {
    for (const env of [{}, { MCP_PROXY_ENDPOINT: '' }]) {
      const { endpoint, scope } = await settingsOf([], env);
      expect(endpoint.href).toBe('https://aws-mcp.us-east-1.api.aws/mcp');
      expect(scope).toEqual({ service: 'aws-mcp', region: 'us-east-1' });
    }
  });

  it('the endpoint of the command line overrides the variable', async () => {
    expect((await settingsOf([], { MCP_PROXY_ENDPOINT: LAMBDA })).endpoint.href).toBe(LAMBDA);
    const { endpoint } = await settingsOf(['https://b.execute-api.us-west-2.amazonaws.com/x']);
    expect(endpoint.hostname).toBe('b.execute-api.us-west-2.amazonaws.com');
  });

  it('an empty endpoint argument is not replaced by another endpoint', async () => {
    const [problem] = await problemsOf([''], { MCP_PROXY_ENDPOINT: LAMBDA });
    expect(problem).toBe(
      'the endpoint must be an https URL or the ARN of an AgentCore runtime or gateway, not ""',
    );
  });

  it.each([
    [[]],
    [['--auth', 'none']],
    [['--skip-auth']],
    [['--auth', 'none', '--skip-auth', '--service', 'x', '--region', 'us-east-1']],
  ])('the endpoint must be https whatever else is given: %j', async (flags) => {
    expect(await problemsOf(['http://tools.example.com/mcp', ...flags])).toEqual([
      'the endpoint must use https: http sends signed requests unencrypted, and is allowed for loopback addresses only, not "http://tools.example.com/mcp"',
    ]);
  });

  it.each([
    ['ftp://tools.example.com/', 'must start with https://, not "ftp://tools.example.com/"'],
    ['file:///etc/passwd', 'must start with https://, not "file:///etc/passwd"'],
  ])('the endpoint %s is refused for its scheme', async (url, problem) => {
    expect(await problemsOf([url])).toEqual([`the endpoint ${problem}`]);
    expect(await problemsOf([], { MCP_PROXY_ENDPOINT: url })).toEqual([`MCP_PROXY_ENDPOINT ${problem}`]);
  });

  it('an endpoint without its scheme is refused with a suggestion', async () => {
    expect(await problemsOf(['tools.example.com/mcp'])).toEqual([
      'the endpoint must be an https URL or the ARN of an AgentCore runtime or gateway, not "tools.example.com/mcp"; did you mean https://tools.example.com/mcp ?',
    ]);
  });

  it('the endpoint may be http on loopback', async () => {
    for (const host of ['127.0.0.1:8080', 'localhost', '[::1]:1']) {
      const { endpoint, scope } = await settingsOf([`http://${host}/mcp`, '--auth', 'none']);
      expect(endpoint.protocol).toBe('http:');
      expect(scope).toBeUndefined();
    }
  });

  it('an endpoint error is the first problem, and does not show its password', async () => {
    const [first, second] = await problemsOf(['--bogus', 'https://me:s3cret@h.example/mcp']);
    expect(first).toBe(
      'the endpoint must not contain a user name or password: requests are signed with AWS credentials, not "https://...@h.example/mcp"',
    );
    expect(second).toBe('--bogus is not an option');
  });
});

describe('the scope of signatures', () => {
  it('the scope of signatures must be given if the host does not imply it, and the problem says how', async () => {
    expect(await problemsOf([UNKNOWN])).toEqual([
      '--service <name> and --region <region> must be given: the host tools.example.com does not determine what to sign for (--auth none sends requests unsigned)',
    ]);
    expect(await problemsOf([UNKNOWN, '--service', 'execute-api'])).toEqual([
      expect.stringMatching(/^--region <region> must be given/),
    ]);
    expect(await problemsOf([UNKNOWN, '--region', 'eu-west-1'])).toEqual([
      expect.stringMatching(/^--service <name> must be given/),
    ]);
  });

  it('the signing region comes from the flag, the host, AWS_REGION, AWS_DEFAULT_REGION or the profile, in this order', async () => {
    const regionOf = async (argv: readonly string[]) => (await settingsOf(argv)).scope?.region;
    const service = ['--service', 'execute-api'];
    await temp.config('[default]\nregion = eu-north-1\n[profile dev]\nregion = eu-south-1\n');
    expect(await regionOf([UNKNOWN, ...service])).toBe('eu-north-1');
    expect(await regionOf([UNKNOWN, ...service, '--profile', 'dev'])).toBe('eu-south-1');
    temp.env.AWS_DEFAULT_REGION = 'ap-south-1';
    expect(await regionOf([UNKNOWN, ...service, '--profile', 'dev'])).toBe('ap-south-1');
    temp.env.AWS_REGION = 'us-west-2';
    expect(await regionOf([UNKNOWN, ...service])).toBe('us-west-2');
    expect(await regionOf([LAMBDA])).toBe('eu-west-1');
    expect(await regionOf([LAMBDA, '--region', 'us-east-2'])).toBe('us-east-2');
  });

  it('the scope of signatures is undefined with --auth none', async () => {
    expect((await settingsOf([UNKNOWN, '--auth', 'none'])).scope).toBeUndefined();
  });
});

describe('the profile', () => {
  it.each([
    [['--profile', 'flag'], 'flag'],
    [[], 'ours'],
  ])(
    'the profile with %j is %s, by flag, MCP_PROXY_PROFILE, AWS_MCP_PROXY_PROFILES and AWS_PROFILE',
    async (argv, name) => {
      const env = { MCP_PROXY_PROFILE: 'ours', AWS_MCP_PROXY_PROFILES: 'theirs', AWS_PROFILE: 'aws' };
      expect((await settingsOf([LAMBDA, ...argv], env)).defaultProfile).toBe(name);
    },
  );

  it('the profile falls through empty variables, to the default chain in the end', async () => {
    const env = { MCP_PROXY_PROFILE: '', AWS_MCP_PROXY_PROFILES: 'theirs', AWS_PROFILE: 'aws' };
    expect((await settingsOf([LAMBDA], env)).defaultProfile).toBe('theirs');
    expect((await settingsOf([LAMBDA], { AWS_MCP_PROXY_PROFILES: '' })).defaultProfile).toBe('aws');
    expect((await settingsOf([LAMBDA], { AWS_PROFILE: '' })).defaultProfile).toBe('');
  });

  it('the profile is the first of several, each of which counts once', async () => {
    await temp.config('[default]\nregion=x\n[profile b]\nregion=x\n[profile a]\nregion=x\n');
    await temp.credentials('[c]\naws_access_key_id=x\n');
    for (const [argv, env] of [
      [['--profile', 'b,a', 'c', '--profile', 'b', 'default'], {}],
      [[], { MCP_PROXY_PROFILE: ' b  a,c b default ' }],
      [[], { AWS_MCP_PROXY_PROFILES: 'b a c b default', AWS_PROFILE: 'a' }],
    ] as const) {
      const { profiles, defaultProfile } = await settingsOf([LAMBDA, ...argv], { ...env });
      expect({ profiles, defaultProfile }).toEqual({
        profiles: ['b', 'a', 'c', 'default'],
        defaultProfile: 'b',
      });
    }
  });

  it('a single profile may be missing, because a login may create it', async () => {
    const { profiles, defaultProfile } = await settingsOf([LAMBDA, '--profile', 'a', 'a']);
    expect({ profiles, defaultProfile }).toEqual({ profiles: ['a'], defaultProfile: 'a' });
    expect((await settingsOf([LAMBDA], { AWS_MCP_PROXY_PROFILES: '', AWS_PROFILE: '' })).profiles).toEqual(
      [],
    );
  });

  it('several profiles must all exist', async () => {
    await temp.config(
      '[profile work]\nregion=x\n[profile dev]\nregion=x\n[sso-session corp]\nsso_region=x\n',
    );
    const files = `${join(temp.home, '.aws/config')} or ${join(temp.home, '.aws/credentials')}`;
    expect(
      await problemsOf([LAMBDA, '--profile', 'work', 'wrok', 'constructor', 'sso-session.corp']),
    ).toEqual([
      `--profile must name profiles that are in ${files}, not "wrok", "constructor", "sso-session.corp"; there are: dev, work; did you mean work?`,
    ]);
    await temp.config('[profile work\n');
    expect(await problemsOf([LAMBDA], { AWS_MCP_PROXY_PROFILES: 'work dev' })).toEqual([
      `AWS_MCP_PROXY_PROFILES must name profiles that are in ${files}, not "work", "dev"; they have no profiles; ${join(temp.home, '.aws/config')} is broken in line 1`,
    ]);
  });
});

describe('a role', () => {
  const ARN = 'arn:aws:iam::123456789012:role/path/the-role';

  it('a role may have a session name and an external id, but they alone are no role', async () => {
    const given = ['--role-session-name', 'me@corp', '--external-id', 'a:b/c'];
    expect(await settingsOf([LAMBDA, '--role-arn', ARN, ...given])).toMatchObject({
      roleArn: ARN,
      roleSessionName: 'me@corp',
      externalId: 'a:b/c',
    });
    expect(await problemsOf([LAMBDA, ...given])).toEqual([
      '--role-session-name needs --role-arn, the role to assume',
      '--external-id needs --role-arn, the role to assume',
    ]);
    expect(await problemsOf([LAMBDA, '--role-arn', 'the-role', ...given])).toHaveLength(1);
  });
});

describe('kept connections', () => {
  it.each([
    [[], 5, 1],
    [['--max-connections', '16'], 16, 16],
    [['--max-connections', '16', '--max-keepalive-connections', '2'], 16, 2],
    [['--max-connections', '4', '--max-keepalive-connections', '9'], 4, 4],
    [['--max-keepalive-connections', '0'], 5, 0],
    [['--max-keepalive-connections', '9'], 5, 5],
    [['--max-connections', '1'], 1, 1],
  ])('the kept connections with %j: %i connections, %i kept', async (argv, connections, kept) => {
    const { maxConnections, keepConnections } = await settingsOf([LAMBDA, ...argv]);
    expect([maxConnections, keepConnections]).toEqual([connections, kept]);
  });
});

describe('headers', () => {
  it('--header expands variables, and the last header of a name wins', async () => {
    const argv = ['--header', `X-Key: a \${KEY}-\${KEY} $KEY`, '--header=x-b:1', '--header', 'X-B:  2 '];
    const { headers } = await settingsOf([LAMBDA, ...argv], { KEY: 'k' });
    expect(headers).toEqual({ 'x-key': 'a k-k $KEY', 'x-b': '2' });
  });

  it('--header entries are on lines of their own in the variable', async () => {
    const { headers } = await settingsOf([LAMBDA], { MCP_PROXY_HEADER: 'a: 1, 2\n\nb: 3\r\n' });
    expect(headers).toEqual({ a: '1, 2', b: '3' });
  });

  it('--header must name variables that are set, and fit in a header', async () => {
    const env = { MCP_PROXY_HEADER: `a: \${NOT_SET}\nb: \${EMPTY}\nc: \${LINES}`, EMPTY: '', LINES: 'x\ny' };
    expect(await problemsOf([LAMBDA], env)).toEqual([
      'MCP_PROXY_HEADER names the environment variable NOT_SET, which is not set',
      'MCP_PROXY_HEADER names the environment variable EMPTY, which is not set',
      'MCP_PROXY_HEADER has a value for c that no header can carry',
    ]);
  });

  it('--header cannot set authorization beside a signature', async () => {
    const argv = [LAMBDA, '--header', 'Authorization: Bearer x'];
    expect(await problemsOf(argv)).toEqual([
      '--header must not set authorization: requests are signed (--auth none sends them unsigned)',
    ]);
    expect((await settingsOf([...argv, '--auth', 'none'])).headers).toEqual({ authorization: 'Bearer x' });
  });
});

describe('--env-file', () => {
  it('--env-file sets what the environment lacks, and an empty variable counts as absent', async () => {
    const path = await temp.write(
      'proxy.env',
      '# comment\nMCP_PROXY_TIMEOUT=7\nMCP_PROXY_TOOL_TIMEOUT="8"\nAWS_PROFILE=from-file\nMCP_PROXY_ENDPOINT=https://a.example/x\n',
    );
    const env = { MCP_PROXY_TIMEOUT: '3', AWS_PROFILE: '' };
    const settings = await settingsOf([LAMBDA, '--env-file', path], env);
    expect(settings).toMatchObject({ timeout: 3, toolTimeout: 8, defaultProfile: 'from-file' });
    expect(settings.endpoint.href).toBe(LAMBDA);
    expect(settings.env.AWS_PROFILE).toBe('from-file');
  });

  it('--env-file can be set by its variable', async () => {
    const path = await temp.write('proxy.env', 'MCP_PROXY_TIMEOUT=7\n');
    expect(await settingsOf([LAMBDA], { MCP_PROXY_ENV_FILE: path })).toMatchObject({ timeout: 7 });
  });

  it('--env-file is not read unless it is named', async () => {
    await temp.write('.env', 'MCP_PROXY_TIMEOUT=7\n');
    const before = process.cwd();
    process.chdir(temp.home);
    try {
      expect(await settingsOf([LAMBDA])).toMatchObject({ timeout: 180 });
    } finally {
      process.chdir(before);
    }
  });

  it('--env-file must be readable, and the error names its setting', async () => {
    const path = join(temp.home, 'missing.env');
    expect(await problemsOf([LAMBDA, '--env-file', path])).toEqual([
      expect.stringContaining(`--env-file must be a readable file: ENOENT`),
    ]);
    expect(await problemsOf([LAMBDA], { MCP_PROXY_ENV_FILE: temp.home })).toEqual([
      expect.stringContaining(`MCP_PROXY_ENV_FILE must be a readable file: EISDIR`),
    ]);
  });

  it('--env-file variables are checked by the same rules, under their names', async () => {
    const path = await temp.write('proxy.env', 'MCP_PROXY_MAX_CONNECTIONS=0\n');
    expect(await problemsOf([LAMBDA, '--env-file', path])).toEqual([
      'MCP_PROXY_MAX_CONNECTIONS must be an integer >= 1, not "0"',
    ]);
  });
});

describe('files that are named', () => {
  it.each(['AWS_CA_BUNDLE', 'SSL_CERT_FILE'])('the file of %s must be a PEM file', async (name) => {
    const empty = await temp.write('empty.pem', 'no certificate');
    expect(await problemsOf([LAMBDA], { [name]: empty })).toEqual([
      `${name} must be a PEM file with certificates; ${empty} holds none`,
    ]);
    expect(await problemsOf([LAMBDA], { [name]: join(temp.home, 'x') })).toEqual([
      expect.stringMatching(new RegExp(`^${name} must be a readable PEM file: ENOENT`)),
    ]);
  });

  it('--ca-bundle overrides the variables, whose files are then not read', async () => {
    const good = (await makeTlsAuthority()).caFile();
    const env = { AWS_CA_BUNDLE: join(temp.home, 'missing') };
    expect(await settingsOf([LAMBDA, '--ca-bundle', good], env)).toMatchObject({ caBundle: good });
    expect(await problemsOf([LAMBDA, '--ca-bundle', temp.home])).toEqual([
      expect.stringMatching(/^--ca-bundle must be a readable PEM file: EISDIR/),
    ]);
  });

  it('the log file is created for its owner only, and kept if it exists', async () => {
    const path = join(temp.home, 'proxy.log');
    await settingsOf([LAMBDA, '--log-file', path]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await temp.write('proxy.log', 'a line\n');
    await settingsOf([LAMBDA, '--log-file', path]);
    expect(await readFile(path, 'utf8')).toBe('a line\n');
  });

  it('the log file must be writable', async () => {
    expect(await problemsOf([LAMBDA, '--log-file', join(temp.home, 'no', 'log')])).toEqual([
      expect.stringMatching(/^--log-file must be a regular file in a folder .*ENOENT/),
    ]);
  });
});

describe('where settings come from', () => {
  it('the origin of settings is known for options, endpoint and scope', async () => {
    const { from, scopeFrom } = await settingsOf([LAMBDA, '--retries', '0'], {
      MCP_PROXY_TIMEOUT: '5',
      AWS_PROFILE: 'dev',
    });
    expect(from).toEqual({
      endpoint: 'the argument',
      retries: '--retries',
      timeout: 'MCP_PROXY_TIMEOUT',
      profile: 'AWS_PROFILE',
    });
    expect(scopeFrom).toEqual({ service: 'the host', region: 'the host' });
  });

  it('the origin of settings leaves out defaults', async () => {
    expect((await settingsOf([])).from).toEqual({});
    expect((await settingsOf([], { MCP_PROXY_ENDPOINT: LAMBDA })).from).toEqual({
      endpoint: 'MCP_PROXY_ENDPOINT',
    });
  });

  it.each<[argv: string[], env: NodeJS.ProcessEnv, from: string]>([
    [['--region', 'eu-west-1'], { AWS_REGION: 'x' }, '--region'],
    [[], { MCP_PROXY_REGION: 'eu-west-1', AWS_REGION: 'x' }, 'MCP_PROXY_REGION'],
    [[], { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'x' }, 'AWS_REGION'],
    [[], { AWS_DEFAULT_REGION: 'eu-west-1' }, 'AWS_DEFAULT_REGION'],
    [['--profile', 'dev'], {}, 'the profile'],
  ])('the origin of the region is the first that names it: %j, %j', async (argv, env, from) => {
    await temp.config('[profile dev]\nregion = eu-west-1\n');
    const { scope, scopeFrom } = await settingsOf([UNKNOWN, '--service', 'execute-api', ...argv], env);
    expect(scope).toEqual({ service: 'execute-api', region: 'eu-west-1' });
    expect(scopeFrom).toEqual({ service: '--service', region: from });
  });

  it('the origin of settings distinguishes --env-file from the environment', async () => {
    const file = await temp.write('proxy.env', 'MCP_PROXY_RETRIES=0\nMCP_PROXY_TIMEOUT=1\nAWS_REGION=\n');
    const { fromFile, retries, timeout } = await settingsOf([LAMBDA, '--env-file', file], {
      MCP_PROXY_TIMEOUT: '5',
    });
    expect({ retries, timeout }).toEqual({ retries: 0, timeout: 5 });
    expect([...fromFile]).toEqual(['MCP_PROXY_RETRIES']);
  });
});
