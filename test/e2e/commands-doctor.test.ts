import { beforeAll, describe, expect, it } from 'vitest';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { NO_SUCH_HOST } from '../support/connections.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer, type ScriptedServerOptions } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify, TEST_KEY } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';
import { makeTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts';

let authority: TlsAuthority;
beforeAll(async () => {
  authority = await makeTlsAuthority(['mcp.test'], { days: 90 });
});

const serve = (
  options: SessionServerOptions = {},
  server: ScriptedServerOptions = {},
): Promise<ScriptedServer> =>
  ScriptedServer.start(new SessionServer(options).behaviour, { verify: signingVerify, ...server });

const doctor = (args: readonly string[], options: Partial<BinOptions> = {}): BinDriver =>
  BinDriver.start({
    args: ['doctor', ...signingArgs, ...args],
    env: signingEnv,
    anyStdout: true,
    ...options,
  });

/** The findings by check; of the settings, the last. */
function findingsOf(bin: BinDriver): Record<string, string> {
  const found = bin.lines.flatMap((line) => {
    const [, verdict, check] = /^(ok|warning|failed|skipped) +(\S+(?: \S+)*?) {2,}/.exec(line) ?? [];
    return verdict && check ? [[check, verdict]] : [];
  });
  return Object.fromEntries(found);
}

const remediesOf = (bin: BinDriver): string[] =>
  bin.lines.flatMap((line) => /^ +remedy: (.*)$/.exec(line)?.[1] ?? []);

const ALL_WELL = {
  version: 'ok',
  setting: 'ok',
  defaults: 'ok',
  endpoint: 'ok',
  credentials: 'ok',
  signing: 'ok',
  'HTTP proxy': 'ok',
  DNS: 'ok',
  connection: 'ok',
  clock: 'ok',
  initialize: 'ok',
  'tools/list': 'ok',
  'connection reuse': 'ok',
  'parallel calls': 'ok',
  'session closed': 'ok',
};

const keysFile = (profile: string): string =>
  `[${profile}]\naws_access_key_id = ${TEST_KEY.accessKeyId}\naws_secret_access_key = ${TEST_KEY.secretAccessKey}\naws_session_token = ${TEST_KEY.sessionToken}\n`;

describe('doctor', () => {
  it('doctor reports no failure behind an HTTP proxy and a private authority, with a profile and STS', async () => {
    const server = await serve({}, { tls: authority });
    const proxy = await ConnectProxy.start({
      hosts: { 'mcp.test': '127.0.0.1' },
      credentials: { user: 'me', password: 'geheim-pw' },
    });
    const aws = await startAwsStandIns();
    const bin = doctor(
      [server.url.replace('127.0.0.1', 'mcp.test'), '--profile', 'dev', '--header', 'x-key: geheim-key'],
      {
        env: {
          HTTPS_PROXY: proxy.url.replace('//', '//me:geheim-pw@'),
          AWS_CA_BUNDLE: authority.caFile(),
          AWS_ENDPOINT_URL_STS: `${aws.url}/sts`,
        },
        files: { '.aws/credentials': keysFile('dev') },
      },
    );
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
    expect(findingsOf(bin)).toEqual({ ...ALL_WELL, variable: 'ok', identity: 'ok', TLS: 'ok' });
    const page = bin.lines.join('\n');
    expect(page).toContain(`arn:aws:iam::123456789012:user/owner-of-${TEST_KEY.accessKeyId}`);
    expect(page).toMatch(/localhost issued by Private test authority, .*\(AWS_CA_BUNDLE\)/);
    expect(page).toMatch(/HTTP 200, scripted 0\.0\.0, revision 2025-11-25, with a session/);
    expect(page).toMatch(/\n\nNo check failed \(\d+ ok\)\.$/);
    for (const secret of [TEST_KEY.secretAccessKey, TEST_KEY.sessionToken, 'geheim'])
      expect(page).not.toContain(secret);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    // One conversation, and nothing left behind.
    expect(server.of('initialize')).toHaveLength(1);
    expect(server.of('DELETE')).toHaveLength(1);
  });

  it("doctor reports the user's settings, not the shorter limits of its checks", async () => {
    const server = await serve();
    const made = ['--timeout 600', '--connect-timeout 60', '--min-sessions 2', '--max-sessions 4', '--lazy'];
    const bin = doctor([server.url, ...made.flatMap((text) => text.split(' '))]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    for (const text of made) expect(bin.lines.join('\n')).toContain(` ${text}, from the command line\n`);
    expect(server.of('initialize')).toHaveLength(1);
  });

  it('doctor checks the credentials of every profile', async () => {
    const server = await serve();
    const aws = await startAwsStandIns();
    const bin = doctor([server.url, '--profile', 'dev', 'prod'], {
      env: { AWS_ENDPOINT_URL_STS: `${aws.url}/sts`, AWS_EC2_METADATA_DISABLED: 'true' },
      files: {
        '.aws/credentials': `${keysFile('dev')}[prod]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n`,
      },
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    const page = bin.lines.join('\n');
    expect(page).toMatch(/ok +credentials +\S+ of profile 'dev'.*\nok +identity .*owner-of-AKIDEXAMPLE\n/);
    expect(page).toMatch(
      /ok +credentials +AKIA\.\.\.MPLE of profile 'prod'.*\nok +identity .*user\/owner-of-/,
    );
  });

  it('doctor warns if the options filter all tools', async () => {
    const server = await serve({ tools: [{ name: 'a', inputSchema: { type: 'object' } }] });
    const bin = doctor([server.url, '--read-only', '--log-level', 'silent']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(findingsOf(bin)).toMatchObject({ 'tools/list': 'warning', 'connection reuse': 'ok' });
    expect(remediesOf(bin)).toEqual([expect.stringContaining('--allow-tool')]);
  });

  it('doctor prints colours on a terminal only, and none with NO_COLOR', async () => {
    const server = await serve();
    const env = { ...signingEnv, AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:9' };
    const args = ['doctor', server.url, ...signingArgs];
    const piped = doctor([server.url], { env });
    expect(await piped.exit()).toMatchObject({ code: 0 });
    expect(piped.lines.join('\n')).not.toContain('\u001b');
    const terminal = await Terminal.start({ args, env });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toContain('\u001b[32mok     \u001b[0m  version ');
    expect(terminal.output).toContain('\u001b[2mskipped\u001b[0m  identity ');
    const plain = await Terminal.start({ args, env: { ...env, NO_COLOR: '1' } });
    expect(await plain.exit()).toBe(0);
    expect(plain.output).not.toContain('\u001b');
    expect(plain.output).toContain('ok       version ');
  });

  it('doctor prints one JSON document with --json, also on a terminal', async () => {
    const server = await serve();
    const args = ['doctor', server.url, ...signingArgs, '--json'];
    const terminal = await Terminal.start({ args, env: signingEnv });
    expect(await terminal.exit()).toBe(0);
    const { verdict, checks } = JSON.parse(terminal.output) as {
      verdict: string;
      checks: { check: string; verdict: string; detail: string }[];
    };
    expect(verdict).toBe('ok');
    expect(checks).toContainEqual({ check: 'tools/list', verdict: 'ok', detail: '5 tools on 1 page' });
    expect(Object.fromEntries(checks.map((each) => [each.check, each.verdict]))).toMatchObject(ALL_WELL);
  });

  it('doctor accepts every option of the proxy and reports all problems at once', async () => {
    const bin = doctor(['http://example.com/mcp', '--args', '{}', '--retries', 'many']);
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toMatch(
      /^mcp-sigv4-proxy: 3 problems with the settings:\n {2}the endpoint must use https.*\n {2}--args is for call only\n {2}--retries must be an integer/,
    );
  });

  it('doctor ends with the exit code of the signal when it is interrupted', async () => {
    const server = await serve({ on: { initialize: () => undefined } });
    const terminal = await Terminal.start({ args: ['doctor', server.url, ...signingArgs], env: signingEnv });
    await server.until((requests) => requests.length === 1);
    terminal.type('\u0003');
    expect(await terminal.exit()).toBe(130);
    expect(terminal.output).not.toMatch(/No check failed|Problems found/);
  });
});

describe('doctor, failures', () => {
  it('doctor prints a remedy for missing credentials and skips the dependent checks', async () => {
    const server = await serve();
    const bin = doctor([server.url, '--profile', 'dev'], { env: { AWS_EC2_METADATA_DISABLED: 'true' } });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(findingsOf(bin)).toMatchObject({
      credentials: 'failed',
      identity: 'skipped',
      connection: 'ok',
      initialize: 'skipped',
      'session closed': 'skipped',
    });
    expect(remediesOf(bin)).toEqual([expect.stringContaining("run 'aws configure --profile dev'")]);
    expect(bin.lines).toContain('skipped  initialize        needs credentials');
    expect(bin.lines.at(-1)).toMatch(/^Problems found \(.*1 failed.*\)\. Start with credentials: /);
    expect(server.requests).toEqual([]);
  });

  it('doctor skips the dependent checks if the connection fails', async () => {
    const server = await serve();
    await server.close();
    const bin = doctor([server.url]);
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(findingsOf(bin)).toMatchObject({
      DNS: 'ok',
      connection: 'failed',
      TLS: 'skipped',
      initialize: 'skipped',
    });
    expect(remediesOf(bin)).toEqual(['Nothing listens there: check the host and port of the endpoint URL.']);
    expect(bin.lines).toContain('skipped  clock             needs connection');
  });

  it('doctor reports a failure of DNS or of the HTTP proxy setting before the connection', async () => {
    const dns = doctor([`https://${NO_SUCH_HOST}/mcp`]);
    expect(await dns.exit()).toMatchObject({ code: 1 });
    expect(findingsOf(dns)).toMatchObject({ DNS: 'failed', connection: 'skipped', initialize: 'skipped' });
    expect(remediesOf(dns)).toEqual([
      'Check the endpoint URL, and the name servers and VPN of this network.',
    ]);
    const proxy = doctor(['https://mcp.test/mcp'], { env: { ...signingEnv, HTTPS_PROXY: 'ftp://proxy' } });
    expect(await proxy.exit()).toMatchObject({ code: 1 });
    expect(findingsOf(proxy)).toMatchObject({
      'HTTP proxy': 'failed',
      DNS: 'skipped',
      connection: 'skipped',
    });
    expect(remediesOf(proxy)).toEqual(['Check --proxy, or HTTPS_PROXY and NO_PROXY.']);
  });

  it('doctor names the untrusted authority, or the unreadable CA file', async () => {
    const server = await serve({}, { tls: authority });
    const bin = doctor([server.url]);
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(findingsOf(bin)).toMatchObject({ connection: 'ok', TLS: 'failed', initialize: 'skipped' });
    expect(remediesOf(bin)).toEqual([expect.stringContaining('Private test authority')]);
    const file = doctor([server.url], {
      files: { '.aws/config': '[default]\nca_bundle = /nowhere/ca.pem\n' },
    });
    expect(await file.exit()).toMatchObject({ code: 1 });
    expect(remediesOf(file)).toEqual([
      'Correct the path in ca_bundle of the profile, or name another file with --ca-bundle.',
    ]);
  });

  it('doctor names the right region if the signature is rejected', async () => {
    const server = await serve();
    const bin = BinDriver.start({
      args: ['doctor', server.url, '--service', 'execute-api', '--region', 'us-east-1'],
      env: signingEnv,
      anyStdout: true,
    });
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(findingsOf(bin)).toMatchObject({ initialize: 'failed', 'tools/list': 'skipped' });
    expect(remediesOf(bin)).toEqual([expect.stringContaining('(--region eu-west-1)')]);
  });

  it('doctor fails after --timeout if the server does not answer', async () => {
    const server = await serve({ on: { initialize: () => undefined } });
    const bin = doctor([server.url, '--timeout', '1']);
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(bin.lines).toContain('failed   initialize        timeout');
    expect(remediesOf(bin)).toEqual([
      expect.stringContaining('No answer to initialize within 1 s (--timeout)'),
    ]);
  });

  it('doctor prints no secret that the server echoes', async () => {
    const { accessKeyId, secretAccessKey, sessionToken } = TEST_KEY;
    const server = await ScriptedServer.start(({ headers }, response) => {
      const message = `no ${headers['x-key']} ${secretAccessKey} ${sessionToken} ${headers.authorization}`;
      response.writeHead(403, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
    });
    const bin = doctor([server.url, '--header', 'x-key: geheim-key', '--json']);
    expect(await bin.exit()).toMatchObject({ code: 1 });
    const page = bin.lines.join('\n');
    for (const secret of ['geheim-key', secretAccessKey, sessionToken, `Credential=${accessKeyId}`])
      expect(page).not.toContain(secret);
    expect(page).toMatch(/"remedy": ".*no \[redacted\]/);
  });
});
