import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Accounts, keyLines, keyOf, profileLines, startAccounts } from '../support/accounts.ts';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { expiringLogin } from '../support/login-token.ts';
import type { Behaviour } from '../support/scripted-server.ts';

const PROFILES = ['prod', 'dev', 'staging'];
const IN_FLIGHT = 8;

const SSO =
  '[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\nregion = eu-west-1\n' +
  '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n';
const TOKEN_FILE = `.aws/sso/cache/${createHash('sha1').update('corp').digest('hex')}.json`;
const token = (expiresInMs: number): string =>
  JSON.stringify({ accessToken: 'sso-token', expiresAt: new Date(Date.now() + expiresInMs).toISOString() });

const never: Behaviour = () => undefined;
const status =
  (code: number, body = ''): Behaviour =>
  (_request, response) =>
    void response.writeHead(code, { 'content-type': 'application/json' }).end(body);
const EXPIRED = status(
  403,
  '{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}',
);

type Method = 'initialize' | 'tools/call' | 'tools/list' | 'notifications/initialized';

interface Break {
  /** The other behaviour of profile dev's server, by method. */
  readonly faults?: Partial<Record<Method, Behaviour>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** The answer to each call of profile dev; undefined: none within the test. */
  readonly error: { readonly reason: string; readonly says: readonly string[] } | undefined;
}

const BREAKS: Readonly<Record<string, Break>> = {
  'has no credentials': {
    files: { '.aws/config': profileLines('prod') + profileLines('staging') + SSO },
    error: { reason: 'no-credentials', says: ["profile 'dev'", 'aws sso login --profile dev'] },
  },
  'is refused by the server': {
    faults: { initialize: EXPIRED },
    error: { reason: 'auth-rejected', says: ['dev', 'expired'] },
  },
  'gets no session': {
    faults: { initialize: status(500) },
    error: { reason: 'no-session', says: ["profile 'dev'", '500'] },
  },
  'waits for its session for ever': { faults: { initialize: never }, error: undefined },
  'cannot say that it is initialized': {
    faults: { 'notifications/initialized': status(400) },
    error: { reason: 'no-session', says: ["profile 'dev'", '400'] },
  },
  'gets no answers': { faults: { 'tools/call': never }, error: undefined },
  'has its calls fail': {
    faults: { 'tools/call': status(503) },
    error: { reason: 'http-status', says: ['503'] },
  },
  'has its connections cut': {
    faults: { 'tools/call': (_request, response) => void response.destroy() },
    error: { reason: 'connection-lost', says: ['may have run'] },
  },
};

describe('three profiles with eight calls in flight each: one fails, the other two are unaffected', () => {
  it.each(Object.entries(BREAKS))(
    'two profiles are unaffected when the third %s',
    async (_what, { faults = {}, files, args = [], error }) => {
      const accounts = await startAccounts({
        profiles: PROFILES,
        args: ['--max-connections', '8', '--retries', '0', ...args],
        ...(files ? { files } : {}),
        before: ({ key, method }) => (key === keyOf('dev') ? faults[method as Method] : undefined),
      });
      const { bin, call, of, seen } = accounts;
      await bin.initialize({}, 'handshake');
      await bin.request('tools/list', {}, 'list');
      const numbers = Array.from({ length: IN_FLIGHT }, (_, at) => at);
      const broken = numbers.map((at) => call('sleep', { ms: 50, aws_profile: 'dev' }, `dev-${at}`));
      // Calls without an answer end with the test.
      for (const answer of broken) answer.catch(() => undefined);
      const sound = numbers.flatMap((at) =>
        ['prod', 'staging'].map((name) => call('sleep', { ms: 50, aws_profile: name }, `${name}-${at}`)),
      );
      for (const answer of await Promise.all(sound)) expect(answer).toHaveProperty('result');
      if (error) {
        for (const answer of await Promise.all(broken)) {
          expect(answer).toMatchObject({ error: { data: { reason: error.reason } } });
          for (const word of error.says) {
            expect(answer).toHaveProperty('error.message', expect.stringContaining(word));
          }
        }
      }
      // The same again, after the failures.
      for (const name of ['prod', 'staging']) {
        expect(await call('echo', { aws_profile: name }, `${name}-again`)).toHaveProperty('result');
        expect(of(name, 'initialize')).toHaveLength(1);
        expect(of(name, 'tools/call')).toHaveLength(IN_FLIGHT + 1);
      }
      expect(seen.filter(({ key }) => key === 'refused')).toEqual([]);
      expect(bin.stderr).toBe('');
    },
  );

  it('other profiles are unaffected when the default profile fails', async () => {
    let broken = false;
    const { bin, call } = await startAccounts({
      profiles: PROFILES,
      before: ({ key }) => (broken && key === keyOf('prod') ? EXPIRED : undefined),
    });
    await bin.initialize({}, 'handshake');
    broken = true;
    expect(await call('echo', {})).toMatchObject({ error: { data: { reason: 'auth-rejected' } } });
    // This needs neither a list nor a session of the default profile.
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'staging' })).toHaveProperty('result');
  });
});

describe('a limit that one profile has reached', () => {
  it('calls that hang with one profile take no place of another profile', async () => {
    const { bin, call, until, of } = await startAccounts({
      profiles: ['prod', 'dev'],
      args: ['--max-concurrent', '2', '--queue-size', '1'],
      before: ({ key, method }) => (key === keyOf('dev') && method === 'tools/call' ? never : undefined),
    });
    await bin.initialize({}, 'handshake');
    const hanging = [0, '', -1].map((id) => call('echo', { aws_profile: 'dev' }, id));
    for (const answer of hanging) answer.catch(() => undefined);
    await until('dev', 'tools/call', 2);
    expect(await call('echo', { aws_profile: 'dev' }, 'refused')).toMatchObject({
      error: { code: -32001, data: { reason: 'queue_full', active: 2, queued: 1 } },
    });
    const well = ['a', 'b', 'c'].map((id) => call('sleep', { ms: 20, aws_profile: 'prod' }, id));
    for (const answer of await Promise.all(well)) expect(answer).toHaveProperty('result');
    expect(of('dev', 'tools/call')).toHaveLength(2);
  });

  it("a server's Retry-After for one profile does not delay another profile", async () => {
    const { bin, call } = await startAccounts({
      profiles: ['prod', 'dev'],
      args: ['--rate-limit', '1000', '--retries', '0'],
      before: ({ key, method }) =>
        key === keyOf('dev') && method === 'tools/call'
          ? (_request, response) => void response.writeHead(429, { 'retry-after': '60' }).end()
          : undefined,
    });
    await bin.initialize({}, 'handshake');
    expect(await call('echo', { aws_profile: 'dev' })).toMatchObject({
      error: { data: { reason: 'http-status', retryAfterMs: 60_000 } },
    });
    expect(await call('echo', { aws_profile: 'dev' })).toMatchObject({
      error: { data: { reason: 'rate-limited' } },
    });
    expect(await call('echo', { aws_profile: 'prod' })).toHaveProperty('result');
  });
});

describe('the circuit breaker of one profile', () => {
  const startBroken = async (reset: string) => {
    const dev = { down: true };
    const accounts = await startAccounts({
      profiles: ['prod', 'dev'],
      args: ['--breaker-threshold', '2', '--breaker-reset', reset, '--retries', '0'],
      before: ({ key, method }) =>
        dev.down && key === keyOf('dev') && method === 'initialize' ? status(500) : undefined,
    });
    await accounts.bin.initialize({}, 'handshake');
    await accounts.bin.request('tools/list', {}, 'list');
    return { ...accounts, dev };
  };

  it('the circuit breaker opens for the failing profile only', async () => {
    const { call, of } = await startBroken('600');
    const reasons: unknown[] = [];
    for (let at = 0; at < 4; at++) {
      const { error } = (await call('echo', { aws_profile: 'dev' })) as {
        error: { data: { reason: string } };
      };
      reasons.push(error.data.reason);
      expect(await call('echo', {})).toHaveProperty('result');
    }
    expect(reasons).toEqual(['no-session', 'no-session', 'circuit-open', 'circuit-open']);
    expect(of('dev', 'initialize')).toHaveLength(2);
  });

  it('the circuit breaker of a profile closes by itself', async () => {
    const { call, dev } = await startBroken('0.3');
    for (let at = 0; at < 2; at++) {
      expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('error');
    }
    dev.down = false;
    await expect.poll(() => call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
  });
});

describe('a profile whose login has expired', () => {
  const start = async (signedIn: string | undefined): Promise<Accounts> => {
    const aws = await startAwsStandIns();
    const accounts = await startAccounts({
      profiles: ['prod', 'dev'],
      env: aws.env as Record<string, string>,
      files: {
        '.aws/config': profileLines('prod') + SSO,
        ...(signedIn === undefined ? {} : { [TOKEN_FILE]: signedIn }),
      },
    });
    await accounts.bin.initialize({}, 'handshake');
    return accounts;
  };

  it.each([
    ['never began', undefined],
    ['is over', token(-60_000)],
  ])(
    'a profile whose login %s works again after the next login, without a restart',
    async (_what, signedIn) => {
      const { bin, call, seen, write } = await start(signedIn);
      const refused = await call('echo', { aws_profile: 'dev' }, 0);
      expect(refused).toMatchObject({
        id: 0,
        error: {
          code: -31006,
          message: expect.stringContaining("Run 'aws sso login --profile dev'"),
          data: { reason: 'no-credentials', mayHaveRun: false, profile: 'dev' },
        },
      });
      expect(await call('echo', {})).toHaveProperty('result');
      write(TOKEN_FILE, token(3_600_000));
      expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
      expect(seen.filter(({ method }) => method === 'tools/call').map(({ key }) => key)).toEqual([
        keyOf('prod'),
        'SSO-1',
      ]);
      expect(bin.stderr).toBe('');
    },
  );
});

describe('a profile whose credentials and session expire during the run', () => {
  it('a profile with expired credentials and session goes on with new ones, and no other profile is affected', async () => {
    let expired = false;
    const { bin, call, seen, by, write } = await startAccounts({
      profiles: ['prod', 'dev'],
      before: ({ key }) => (expired && key === keyOf('dev') ? EXPIRED : undefined),
    });
    await bin.initialize({}, 'handshake');
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expired = true;
    const refused = await call('echo', { aws_profile: 'dev' }, -1);
    expect(refused).toMatchObject({ id: -1, error: { data: { reason: 'auth-rejected' } } });
    expect(refused).toHaveProperty('error.message', expect.stringContaining("profile 'dev' have expired"));
    expect(await call('echo', {})).toHaveProperty('result');
    const renewed =
      '[profile dev]\naws_access_key_id = STS-1\naws_secret_access_key = secret-STS-1\naws_session_token = token-STS-1\n';
    write('.aws/config', profileLines('prod') + renewed);
    expect(await call('echo', { aws_profile: 'dev' }, 0)).toHaveProperty('result');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(by('initialize')).toEqual([keyOf('prod'), keyOf('dev'), 'STS-1']);
    expect(seen.filter(({ method }) => method === 'tools/call').at(-1)?.key).toBe(keyOf('prod'));
  });
});

describe('the credentials of a second profile', () => {
  const LOGIN = 'arn:aws:iam::123456789012:user/me';
  const loginFile = `.aws/login/cache/${createHash('sha256').update(LOGIN).digest('hex')}.json`;
  const ROLE = 'role_arn = arn:aws:iam::123456789012:role/the-role\n';
  it.each<[string, string, Record<string, string>, string]>([
    [
      'a chain of roles',
      `[profile base]\n${keyLines('dev')}[profile middle]\n${ROLE}source_profile = base\n[profile dev]\n${ROLE}source_profile = middle\n`,
      {},
      'STS-2',
    ],
    ['an SSO login', SSO, { [TOKEN_FILE]: token(3_600_000) }, 'SSO-1'],
    [
      'aws login, with no region anywhere',
      `[profile dev]\nlogin_session = ${LOGIN}\n`,
      { [loginFile]: JSON.stringify(expiringLogin()) },
      'LOGIN-1',
    ],
    [
      'a credential_process',
      `[profile dev]\ncredential_process = echo {"Version":1,"AccessKeyId":"${keyOf('dev')}","SecretAccessKey":"secret-of-dev"}\n`.replace(
        /echo (.*)/,
        "echo '$1'",
      ),
      {},
      keyOf('dev'),
    ],
  ])('a second profile signs with %s', async (_what, lines, files, key) => {
    const aws = await startAwsStandIns();
    const { bin, call, seen } = await startAccounts({
      profiles: ['prod', 'dev'],
      env: aws.env as Record<string, string>,
      files: { '.aws/config': profileLines('prod') + lines, ...files },
    });
    await bin.initialize({}, 'handshake');
    expect(await call('echo', { aws_profile: 'dev' }, '')).toHaveProperty('result');
    expect(await call('echo', {}, -1)).toHaveProperty('result');
    const calls = seen.filter(({ method }) => method === 'tools/call').map((one) => one.key);
    expect(calls).toEqual([key, keyOf('prod')]);
    expect(bin.stderr).toBe('');
  });

  it('each profile assumes --role-arn with its own credentials', async () => {
    const arn = 'arn:aws:iam::123456789012:role/over';
    const aws = await startAwsStandIns();
    const { bin, call, seen } = await startAccounts({
      profiles: ['prod', 'dev'],
      env: aws.env as Record<string, string>,
      args: ['--role-arn', arn, '--external-id', 'ext'],
    });
    await bin.initialize({}, 'handshake');
    await bin.request('tools/list', {}, 'list');
    await Promise.all([1, 2, 3, 4].map(() => call('echo', { aws_profile: 'dev' })));
    await call('echo', {});
    const asked = aws
      .of('sts')
      .map(({ accessKeyId, form }) => [accessKeyId, form.get('RoleArn'), form.get('ExternalId')]);
    expect(asked).toEqual([
      [keyOf('prod'), arn, 'ext'],
      [keyOf('dev'), arn, 'ext'],
    ]);
    expect(new Set(aws.of('sts').map(({ form }) => form.get('RoleSessionName'))).size).toBe(1);
    const calls = seen.filter(({ method }) => method === 'tools/call').map((one) => one.key);
    expect(calls).toEqual(['STS-2', 'STS-2', 'STS-2', 'STS-2', 'STS-1']);
  });
});

describe('several profiles at the start', () => {
  it('an unknown profile ends the process at the start, and the error lists the existing profiles', async () => {
    const { bin, server } = await startAccounts({
      profiles: ['prod', 'dev', 'prod', 'typo', 'tpyo'],
      files: { '.aws/config': profileLines('prod') + profileLines('dev') },
    });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    for (const word of ['--profile', '"typo", "tpyo"', 'there are: dev, prod', '.aws/config']) {
      expect(bin.stderr).toContain(word);
    }
    expect(bin.lines).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  it.each([
    ['MCP_PROXY_PROFILE', { MCP_PROXY_PROFILE: 'dev,prod dev', AWS_PROFILE: 'staging' }],
    ['AWS_MCP_PROXY_PROFILES', { AWS_MCP_PROXY_PROFILES: 'dev prod dev', AWS_PROFILE: 'staging' }],
  ])('several profiles can be set by %s', async (_name, env) => {
    const { bin, by, call } = await startAccounts({
      profiles: ['prod', 'dev', 'staging'],
      flag: false,
      env,
    });
    await bin.initialize({}, 'handshake');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'prod' })).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'staging' })).toMatchObject({ error: { code: -31018 } });
    expect(by('tools/call')).toEqual(['AKIDDEV 1', 'AKIDPROD 2']);
  });

  it('several profiles send no request before the first message', async () => {
    const aws = await startAwsStandIns();
    const { bin, server } = await startAccounts({
      profiles: ['prod', 'dev'],
      env: aws.env as Record<string, string>,
      files: { '.aws/config': profileLines('prod') + SSO, [TOKEN_FILE]: token(3_600_000) },
    });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(aws.requests).toEqual([]);
    expect(server.requests).toEqual([]);
  });
});
