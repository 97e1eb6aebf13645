import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { flagOf, type Option, type OptionTable, variableOf } from '../src/config/option.ts';
import { OPTIONS, parseArguments, readSettings, type Settings } from '../src/settings.ts';
import { problemsIn, settingsIn } from './support/settings.ts';
import { makeTempHome, type TempHome } from './support/temp-home.ts';
import { makeTlsAuthority } from './support/tls-authority.ts';

/** A host with service and region, so that only the option in question is judged. */
const ENDPOINT = 'https://id.lambda-url.eu-west-1.on.aws/mcp';

let temp: TempHome;
beforeEach(async () => {
  temp = await makeTempHome();
  return temp.cleanup;
});

async function read(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return readSettings(parseArguments([ENDPOINT, ...argv]), { ...temp.env, ...env });
}

const settingsOf = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Settings> =>
  settingsIn(await read(argv, env));

const problemsOf = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  problemsIn(await read(argv, env));

/** A pair of certificate and key, which is read at the start. */
const tls = await (async () => {
  const { cert, key, ca } = await makeTlsAuthority();
  const folder = mkdtempSync(join(tmpdir(), 'mcp-options-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  return { cert: write('cert.pem', cert), key: write('key.pem', key), ca: write('ca.pem', ca) };
})();

const ROLE = 'arn:aws:iam::123456789012:role/the-role';
const OAUTH = ['--auth', 'oauth'];
const ISSUER = 'https://login.example.com';
/** Options that are refused alone. */
const COMPANIONS: Readonly<Record<string, readonly string[]>> = {
  roleSessionName: ['--role-arn', ROLE],
  externalId: ['--role-arn', ROLE],
  regionSet: ['--auth', 'sigv4a'],
  bearerTokenEnv: ['--auth', 'bearer'],
  bearerTokenFile: ['--auth', 'bearer'],
  bearerCommand: ['--auth', 'bearer'],
  accessLogArguments: ['--access-log', 'stderr'],
  limits: ['--rate-limit', '1'],
  limitKey: ['--rate-limit', '1', '--limits', 'redis://127.0.0.1:6379'],
  limitReplicas: ['--rate-limit', '1', '--limits', 'redis://127.0.0.1:6379'],
  cloudwatchDimensions: ['--cloudwatch-namespace', 'Test'],
  cloudwatchInterval: ['--cloudwatch-namespace', 'Test'],
  oauthClientId: OAUTH,
  oauthClientSecretEnv: [...OAUTH, '--oauth-client-id', 'id', '--oauth-issuer', ISSUER],
  oauthPrivateKey: [...OAUTH, '--oauth-client-id', 'id'],
  oauthScope: OAUTH,
  oauthIssuer: OAUTH,
  oauthFlow: OAUTH,
  oauthRedirectUri: OAUTH,
  oauthStore: OAUTH,
  listenTlsCert: ['--listen', '127.0.0.1:0', '--listen-tls-key', tls.key],
  listenTlsKey: ['--listen', '127.0.0.1:0', '--listen-tls-cert', tls.cert],
  listenClientCa: [
    ...['--listen', '127.0.0.1:0', '--listen-tls-cert', tls.cert],
    ...['--listen-tls-key', tls.key],
  ],
  listenIssuer: ['--listen', '127.0.0.1:0', '--listen-audience', 'mcp'],
  identityMap: ['--listen', '127.0.0.1:0', '--listen-token', 'a-token-of-enough-characters'],
  listenAudience: ['--listen', '127.0.0.1:0', '--listen-issuer', 'https://auth.example'],
  listenScope: [
    ...['--listen', '127.0.0.1:0', '--listen-issuer', 'https://auth.example'],
    ...['--listen-audience', 'mcp'],
  ],
  ...Object.fromEntries(
    [
      'listenToken',
      'allowedHost',
      'allowedOrigin',
      'forwardHeader',
      'maxClientsPerAddress',
      'listenTokenFile',
      'maxClients',
      'maxStreams',
      'maxBody',
      'maxHeaders',
      'listenPath',
      'sseKeepalive',
      'drainDelay',
      'readyCheck',
      'workers',
    ].map((key) => [key, ['--listen', '127.0.0.1:0']]),
  ),
};
/** Settings that say more than their option does where nothing is given. */
const DEFAULTS: Readonly<Record<string, unknown>> = { drainTimeout: 1.5 };

const options: readonly (readonly [string, Option])[] = Object.entries(OPTIONS as OptionTable);

/** A value that is not the default, as a person writes it and as the settings hold it. */
async function sampleOf(key: string, option: Option): Promise<readonly [raw: string, value: unknown]> {
  switch (option.kind) {
    case 'switch':
      return ['true', true];
    case 'number': {
      const lowest = Number.isFinite(option.min) ? option.min : 0;
      const value = Math.min(
        Math.max(lowest, option.fallback ?? 0) + 1,
        option.max ?? Number.MAX_SAFE_INTEGER,
      );
      return [String(value), value];
    }
    case 'list': {
      const entries: Record<string, string> = {
        header: 'x-team: a, b',
        metadata: 'k=a, b',
        healthCheck: 'ping',
        regionSet: 'eu-*',
        allowedOrigin: 'https://app.example.com',
        listenToken: 'a-token-of-enough-characters',
        cloudwatchDimensions: 'Stage=beta',
      };
      const entry = entries[key] ?? 'one';
      return [entry, [entry]];
    }
    case 'text': {
      const files: Record<string, () => Promise<string>> = {
        caBundle: async () => (await makeTlsAuthority()).caFile(),
        logFile: async () => join(temp.home, 'log.txt'),
        listenTokenFile: () => temp.write('tokens', 'ci=a-token-of-enough-characters'),
        identityMap: () => temp.write('map.json', '{"identities":[{"name":"all","match":{"token":"*"}}]}'),
        listenTlsCert: async () => tls.cert,
        listenTlsKey: async () => tls.key,
        listenClientCa: async () => tls.ca,
        envFile: () => temp.write('settings.env', ''),
        config: () => temp.write('config.json', '{}'),
      };
      const texts: Record<string, string> = {
        proxy: 'http://proxy.example:8080',
        roleArn: ROLE,
        bearerTokenEnv: 'HOME',
        region: 'eu-south-2',
        oauthClientSecretEnv: 'CLIENT_SECRET',
        oauthIssuer: ISSUER,
        oauthRedirectUri: 'http://localhost:8976/callback',
        limits: 'redis://127.0.0.1:6379',
        listen: '127.0.0.1:0',
        connectTo: 'vpce.example:8443',
        listenPath: '/tools',
        workers: 'auto',
        listenIssuer: 'https://auth.example.com/tenant',
        status: '127.0.0.1:0',
        statusToken: 'a-token-of-enough-characters',
      };
      const raw = option.choices?.at(-1) ?? (await files[key]?.()) ?? texts[key] ?? 'sample';
      return [raw, raw];
    }
  }
}

describe.each(options)('the option %s', (key, option) => {
  const setting = (settings: Settings) => settings[key as keyof Settings];
  const companions = COMPANIONS[key] ?? [];

  it(`the option ${key} has its default`, async () => {
    const settings = await settingsOf([]);
    expect(setting(settings)).toEqual(DEFAULTS[key] ?? option.fallback);
    expect(settings.from).not.toHaveProperty(key);
  });

  it(`the option ${key} is read from its flag`, async () => {
    const [raw, value] = await sampleOf(key, option);
    const settings = await settingsOf([...companions, `${flagOf(key)}=${raw}`]);
    expect(setting(settings)).toEqual(value);
    expect(settings.from[key]).toBe(flagOf(key));
  });

  it(`the option ${key} is read from its variable`, async () => {
    const [raw, value] = await sampleOf(key, option);
    const settings = await settingsOf(companions, { [variableOf(key)]: raw });
    expect(setting(settings)).toEqual(value);
    expect(settings.from[key]).toBe(variableOf(key));
  });

  it(`the option ${key} is unset by an empty variable`, async () => {
    const settings = await settingsOf([], { [variableOf(key)]: '' });
    expect(setting(settings)).toEqual(DEFAULTS[key] ?? option.fallback);
    expect(settings.from).not.toHaveProperty(key);
  });

  it(`the flag of ${key} overrides its variable, even an invalid one`, async () => {
    const [raw, value] = await sampleOf(key, option);
    const settings = await settingsOf([...companions, `${flagOf(key)}=${raw}`], {
      [variableOf(key)]: '\u0000bad',
    });
    expect(setting(settings)).toEqual(value);
  });
});

describe('a bad value', () => {
  it.each<readonly [name: string, raw: string, problem: string]>([
    ['max-connections', '0', 'must be an integer >= 1, not "0"'],
    ['max-connections', '1.5', 'must be an integer >= 1, not "1.5"'],
    ['max-connections', '1e3', 'must be an integer >= 1, not "1e3"'],
    ['max-keepalive-connections', '-1', 'must be an integer >= 0, not "-1"'],
    ['keepalive-timeout', '0', 'must be a number of seconds > 0, not "0"'],
    ['connect-timeout', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['timeout', '10d', 'must be a number of seconds >= 0, not "10d"'],
    ['tool-timeout', 'never', 'must be a number of seconds >= 0, not "never"'],
    ['read-timeout', 'NaN', 'must be a number of seconds >= 0, not "NaN"'],
    ['drain-timeout', '0', 'must be a number of seconds > 0, not "0"'],
    ['max-line', '65535', 'must be 0 (no limit) or an integer >= 65536, not "65535"'],
    ['max-line', '-1', 'must be a whole number of bytes >= 0, not "-1"'],
    ['min-sessions', '-1', 'must be an integer >= 0, not "-1"'],
    ['min-sessions', '2', 'must be <= --max-sessions (1), not 2'],
    ['max-sessions', '0', 'must be an integer >= 1, not "0"'],
    ['calls-per-session', '0', 'must be an integer >= 1, not "0"'],
    ['session-wait', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['session-lifetime', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['session-idle', 'x', 'must be a number of seconds >= 0, not "x"'],
    ['health-interval', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['health-timeout', '0', 'must be a number of seconds > 0, not "0"'],
    ['max-total-sessions', '0', 'must be an integer >= 1, not "0"'],
    [
      'health-check',
      'ping pong',
      'must name ping, tools/list, prompts/list, resources/list, resources/templates/list or skip, not "pong"',
    ],
    ['auth', 'basic', 'must be one of sigv4, sigv4a, oauth, bearer, auto, none, not "basic"'],
    ['log-level', 'loud', 'must be one of trace, debug, info, warn, error, silent, not "loud"'],
    ['log-format', 'xml', 'must be one of json, pretty, emf, not "xml"'],
    ['proxy', 'proxy:8080', 'must be an http:// or https:// URL, not "proxy:8080"'],
    ['proxy', 'socks5://me:secret@h:1', 'must be an http:// or https:// URL, not "socks5://...@h:1"'],
    ['region', 'us east', 'must be a region name such as us-east-1, not "us east"'],
    ['region-set', 'Europe', 'must name regions such as us-east-1, us-* or *, not "Europe"'],
    ['skip-auth', 'yes', 'must be true, false, 1 or 0, not "yes"'],
    ['header', 'nothing', 'must be "name: value", not "nothing..."'],
    ['header', 'authorization Bearer s3cret', 'must be "name: value", not "authorization..."'],
    ['header', 'Host: x', 'must not set Host: the proxy owns that header'],
    ['header', 'X-Amz-Date: x', 'must not set X-Amz-Date: the proxy owns that header'],
    [
      'header',
      'mcp-session-id: x',
      'must not set mcp-session-id: the proxy owns that header, except at Amazon Bedrock AgentCore',
    ],
    ['metadata', 'AWS_REGION', 'must be key=value, not "AWS_REGION"'],
    ['metadata', '=x', 'must be key=value, not "=x"'],
    [
      'role-arn',
      'the-role',
      'must be the ARN of a role, such as arn:aws:iam::123456789012:role/name, not "the-role"',
    ],
    ['user-agent', 'é', 'must be printable ASCII, not "é"'],
    [
      'listen',
      '8080',
      'must be host:port such as 127.0.0.1:8080, or unix:/absolute/path (on Windows \\\\.\\pipe\\name), not "8080"',
    ],
    ...['mcp', '/mcp?x=1', '/a b', '//', '/healthz', '/readyz/', '/mcp#x', 'http://h/mcp'].map(
      (path) =>
        [
          'listen-path',
          path,
          `must be a path such as /mcp, without query, and not /healthz or /readyz, not ${JSON.stringify(path)}`,
        ] as const,
    ),
    ['ready-check', 'all', 'must be one of credentials, endpoint, not "all"'],
    ['drain-delay', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['sse-keepalive', '-1', 'must be a number of seconds >= 0, not "-1"'],
    ['progress-heartbeat', '5x', 'must be a number of seconds >= 0, not "5x"'],
    ['max-clients', '0', 'must be an integer from 1 to 65536, not "0"'],
    ['max-streams', '-1', 'must be an integer from 1 to 65536, not "-1"'],
    ['max-body', '1', 'must be a whole number of bytes from 1024 to 268435456, not "1"'],
    ['max-headers', '1048577', 'must be a whole number of bytes from 4096 to 1048576, not "1048577"'],
    [
      'listen-token',
      'tooshort',
      'needs at least 16 characters, printable ASCII without blanks, as openssl rand -hex 24 gives',
    ],
    [
      'allowed-origin',
      'app.example.com',
      'must name origins such as https://app.example.com, or *, not "app.example.com"',
    ],
  ])(
    'an invalid value of --%s, %s, is refused in the same words by flag and by variable',
    async (name, raw, problem) => {
      const variable = `MCP_PROXY_${name.toUpperCase().replaceAll('-', '_')}`;
      expect(await problemsOf([`--${name}=${raw}`])).toEqual([`--${name} ${problem}`]);
      expect(await problemsOf([], { [variable]: raw })).toEqual([`${variable} ${problem}`]);
    },
  );

  it('an invalid value is one of all problems that are reported at once', async () => {
    const problems = await problemsOf(['--bogus', '--max-connections', '0', '--log-level', 'x'], {
      MCP_PROXY_TIMEOUT: '-1',
      MCP_PROXY_PROXY: 'nowhere',
    });
    expect(problems).toEqual([
      '--bogus is not an option',
      'MCP_PROXY_PROXY must be an http:// or https:// URL, not "nowhere"',
      '--max-connections must be an integer >= 1, not "0"',
      'MCP_PROXY_TIMEOUT must be a number of seconds >= 0, not "-1"',
      '--log-level must be one of trace, debug, info, warn, error, silent, not "x"',
    ]);
  });

  it('an invalid value that is long is shown cut', async () => {
    const [problem = ''] = await problemsOf(['--log-level', 'x'.repeat(5_000)]);
    expect(problem.length).toBeLessThan(200);
  });
});
