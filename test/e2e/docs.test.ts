import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/command-table.ts';
import { configBlock } from '../../src/commands/config/block.ts';
import { startDemoEndpoint } from '../../src/demo/endpoint.ts';
import { verifySignature } from '../../src/demo/sigv4-verifier.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { issuedKeys } from '../support/accounts.ts';
import { type AwsStandIns, startAwsStandIns } from '../support/aws-stand-ins.ts';
import { BIN_PATH, BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { blocksIn, clientArgs, commandsIn, DOC_PAGES, type ShownCommand } from '../support/doc-pages.ts';
import { listenerUrl } from '../support/listening.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { TEST_KEY } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { makeTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts';

const ROOT = join(import.meta.dirname, '../..');
const scripts: Record<string, string> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;

const KEY_LINES = `aws_access_key_id = ${TEST_KEY.accessKeyId}\naws_secret_access_key = ${TEST_KEY.secretAccessKey}\naws_session_token = ${TEST_KEY.sessionToken}\n`;

/** The AWS config file of a page, with a login; otherwise the profiles that pages name, with keys. */
function homeOf(page: string): Record<string, string> {
  const config = blocksIn(page, 'ini').join('\n');
  if (config === '') {
    const profiles = ['default', 'dev', 'staging', 'prod'].map((name) => `[${name}]\n${KEY_LINES}`);
    return { '.aws/credentials': profiles.join('') };
  }
  const [, session = ''] = /^\[sso-session (\w+)\]$/m.exec(config) ?? [];
  const token = { accessToken: 'sso-token', expiresAt: new Date(Date.now() + 3_600_000).toISOString() };
  const cached = `.aws/sso/cache/${createHash('sha1').update(session).digest('hex')}.json`;
  return { '.aws/config': config, [cached]: JSON.stringify(token) };
}

/** The scope of each host name on a page, as AWS documents it. */
const SCOPES: readonly (readonly [host: RegExp, service: string])[] = [
  [/^[\w-]+\.lambda-url\.([\w-]+)\.on\.aws$/, 'lambda'],
  [/^[\w-]+\.execute-api\.([\w-]+)\.amazonaws\.com$/, 'execute-api'],
  [/^[\w.-]+\.vpc-lattice-svcs\.([\w-]+)\.on\.aws$/, 'vpc-lattice-svcs'],
  [/^(?:[\w-]+\.gateway\.)?bedrock-agentcore\.([\w-]+)\.amazonaws\.com$/, 'bedrock-agentcore'],
  [/^aws-mcp\.([\w-]+)\.api\.aws$/, 'aws-mcp'],
];

/** The scope for a command's host, or that of its flags for a custom host. */
function scopeFor(host: string, { args }: ShownCommand): { service: string; region: string } {
  for (const [pattern, service] of SCOPES) {
    const [, region] = pattern.exec(host) ?? [];
    if (region !== undefined) return { service, region };
  }
  const given = (flag: string): string => args[args.indexOf(flag) + 1] ?? '';
  return { service: given('--service'), region: given('--region') };
}

let authority: TlsAuthority;
let aws: AwsStandIns;
let caFile: string;

beforeAll(async () => {
  authority = await makeTlsAuthority([
    '*.lambda-url.eu-west-1.on.aws',
    '*.execute-api.eu-west-1.amazonaws.com',
    '*.7d67968.vpc-lattice-svcs.eu-west-1.on.aws',
    'bedrock-agentcore.us-east-1.amazonaws.com',
    '*.gateway.bedrock-agentcore.us-east-1.amazonaws.com',
    '*.us-east-1.api.aws',
    '*.eu-central-1.api.aws',
    '*.example.com',
  ]);
  caFile = authority.caFile();
  aws = await startAwsStandIns();
});

afterAll(() => aws.close());

/** Starts the proxy as shown, before a TLS server that verifies signatures; returns its requests. */
async function tryServing(page: string, command: ShownCommand) {
  const { args, env } = command;
  const unsigned = args.includes('none');
  const session = new SessionServer();
  const verdicts: unknown[] = [];
  const keys: Record<string, { secretAccessKey: string; sessionToken?: string }> = {
    ...issuedKeys,
    [TEST_KEY.accessKeyId]: TEST_KEY,
  };
  const server = await ScriptedServer.start(
    (request, response) => {
      const { method, url, rawHeaders, body, headers } = request;
      const host = (headers.host ?? '').replace(/:\d+$/, '');
      const scope = scopeFor(host, command);
      const received = { method, rawUrl: url, rawHeaders, body };
      const settings = { ...scope, secretOf: (id: string) => keys[id], now: new Date() };
      verdicts.push(unsigned ? headers.authorization : verifySignature(received, settings));
      return session.behaviour(request, response);
    },
    args.some((word) => word.startsWith('http://127.')) ? {} : { tls: authority },
  );
  // The page's values of these flags name machines that do not exist.
  const replaced = { '--connect-to': `127.0.0.1:${server.port}`, '--ca-bundle': caFile };
  const { home } = await makeTempHome();
  const shown = args.map((word, at) =>
    (replaced[args[at - 1] as keyof typeof replaced] ?? word).replace(/^\/home\/dev\//, `${home}/`),
  );
  const bin = BinDriver.start({
    args: shown.map((word) => (word.startsWith('http://127.') ? `${server.origin}/mcp` : word)),
    env: {
      ...aws.env,
      MCP_PROXY_CONNECT_TO: `127.0.0.1:${server.port}`,
      MCP_PROXY_CA_BUNDLE: caFile,
      ...env,
    },
    files: homeOf(page),
  });
  const answer = await bin.initialize();
  const list = await bin.request('tools/list');
  return { bin, answer, list, verdicts, unsigned };
}

const HTTP_PROXY = '--proxy';
/** Values of `--auth` for servers that do not verify SigV4. */
const OTHER_KINDS: ReadonlySet<string> = new Set(['sigv4a', 'oauth', 'bearer']);
/** The file of `--listen-token-file`: a secret has at least 16 characters. */
const TOKENS = 'alice=0123456789abcdef0123456789abcdef\nbob=fedcba9876543210fedcba9876543210\n';
const isServing = ({ args }: ShownCommand): boolean =>
  !Object.hasOwn(COMMANDS, args[0] ?? '') && !args.includes('--listen');

describe('the README', () => {
  it('the README starts with two commands that package.json declares', () => {
    const [first = '', second = ''] = blocksIn('README.md', 'sh');
    expect(first.trim()).toBe('npm ci && npm run demo');
    expect(scripts.demo).toBe('node bin/mcp-sigv4-proxy.js demo');
    expect(second.trim()).toBe('npm test');
    expect(scripts.test).toContain('vitest run');
  });

  const configs = blocksIn('README.md', 'json').map((block) => JSON.parse(block) as unknown);

  it('the README has a block for Claude Code and one for opencode', () => {
    expect(configs.map((config) => Object.keys(config as object).at(-1))).toEqual(['mcpServers', 'mcp']);
  });

  it.each(['claude-code', 'opencode'] as const)(
    'the README shows the block that the config command prints for %s',
    async (client) => {
      const shown = commandsIn('README.md').find(({ args }) => args[0] === 'config');
      const args = parseArguments(['config', client, ...(shown?.args.slice(2) ?? [])], COMMANDS);
      const settings = settingsIn(await readSettings(args, {}));
      const { text } = await configBlock(client, args, settings, { platform: 'linux', cwd: ROOT });
      expect(configs).toContainEqual(JSON.parse(text));
    },
  );
});

const shown = DOC_PAGES.map((page) => [page, commandsIn(page)] as const);

it('the docs show command lines of the proxy for these tests to run', () => {
  expect(shown.flatMap(([, commands]) => commands).filter(isServing).length).toBeGreaterThan(20);
});

const serving = shown.flatMap(([page, commands]) =>
  commands.filter(isServing).map((command) => [page, command.args.join(' '), command] as const),
);

it.each(serving)(
  'the command of %s: `%s` serves tools and signs for the scope of its host',
  async (page, _line, command) => {
    // The HTTP proxy and the tokens do not exist: the test can only see that the options are accepted.
    if (command.args.some((word) => word === HTTP_PROXY || OTHER_KINDS.has(word))) {
      expect(await readSettings(parseArguments([...command.args], COMMANDS), {})).toHaveProperty('settings');
      return;
    }
    const { bin, answer, list, verdicts, unsigned } = await tryServing(page, command);
    expect(answer, bin.stderr).toHaveProperty('result');
    expect(list).toHaveProperty('result.tools');
    expect(verdicts.length).toBeGreaterThan(1);
    for (const verdict of verdicts) {
      if (unsigned) expect([undefined, 'Bearer example']).toContain(verdict);
      else expect(verdict).toMatchObject({ ok: true });
    }
  },
);

const others = shown.flatMap(([page, commands]) =>
  commands
    .filter((command) => !isServing(command))
    .map((command) => [page, command.args.join(' '), command] as const),
);

it.each(others)(
  'the command of %s: `%s` is accepted without an error',
  async (_page, _line, { args, env }) => {
    const { write } = await makeTempHome();
    const tokens = await write('tokens', TOKENS);
    const given: Readonly<Record<string, string>> = {
      '--listen-token-file': tokens,
      '--listen-tls-cert': await write('cert.pem', authority.cert),
      '--listen-tls-key': await write('key.pem', authority.key),
    };
    const words = args.map((word, at) => given[args[at - 1] ?? ''] ?? word);
    const outcome = await readSettings(parseArguments(words, COMMANDS), env);
    if (args[0] !== 'demo') expect(outcome).toHaveProperty('settings');
  },
);

const blocks = DOC_PAGES.flatMap((page) =>
  blocksIn(page, 'json').map((block) => [page, clientArgs(JSON.parse(block)) ?? [], block] as const),
);

it.each(blocks)('the docs %s: a client configuration with %j starts a working server', async (page, args) => {
  const { answer, list, verdicts } = await tryServing(page, { args, env: {} });
  expect(answer).toHaveProperty('result');
  expect(list).toHaveProperty('result.tools');
  for (const verdict of verdicts) expect(verdict).toMatchObject({ ok: true });
});

it('docs/accounts.md: a call that names another profile is signed with the credentials of its account', async () => {
  const page = 'docs/accounts.md';
  const [block = ''] = blocksIn(page, 'json');
  const { bin, list } = await tryServing(page, { args: clientArgs(JSON.parse(block)) ?? [], env: {} });
  expect(JSON.stringify(list)).toContain('"enum":["dev","staging","prod"]');
  const before = aws.of('sso').length;
  const params = { name: 'echo', arguments: { text: 'x', aws_profile: 'prod' } };
  expect(await bin.request('tools/call', params)).toHaveProperty('result');
  expect(aws.of('sso').at(before)?.url.searchParams.get('account_id')).toBe('333344445555');
});

it('docs/listener.md: the first command listens, and the checks of the page succeed', async () => {
  const [command] = commandsIn('docs/listener.md');
  const at = command?.args.indexOf('127.0.0.1:8080') ?? -1;
  expect(at).toBeGreaterThan(0);
  const bin = BinDriver.start({
    args: [...(command?.args.with(at, '127.0.0.1:0') ?? []), '--log-level', 'info'],
    files: homeOf('docs/listener.md'),
  });
  const url = await listenerUrl(bin);
  const checks = blocksIn('docs/listener.md', 'sh')
    .join('')
    .matchAll(/^curl -fsS http:\/\/127\.0\.0\.1:8080(\S+)$/gm);
  const paths = [...checks].map(([, path = '']) => path);
  expect(paths).toEqual(['/healthz', '/readyz']);
  for (const path of paths) expect((await fetch(new URL(path, url))).status, path).toBe(200);
});

it('docs/commands.md: its examples print what the commands print', async () => {
  const endpoint = await startDemoEndpoint();
  afterThisTest(() => endpoint.close());
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentials;
  const examples = blocksIn('docs/commands.md', 'console');
  expect(examples.length).toBeGreaterThanOrEqual(2);
  for (const example of examples) {
    const [line = '', ...lines] = example.trimEnd().split('\n');
    const words = line.replace('$ mcp-sigv4-proxy ', '').match(/'[^']*'|\S+/g) ?? [];
    const bin = BinDriver.start({
      args: words.map((word) => word.replaceAll("'", '')),
      env: {
        MCP_PROXY_ENDPOINT: endpoint.url,
        MCP_PROXY_SERVICE: endpoint.service,
        MCP_PROXY_REGION: endpoint.region,
      },
      files: {
        '.aws/credentials': `[dev]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\naws_session_token = ${sessionToken}\n`,
      },
      anyStdout: true,
    });
    expect(await bin.exit(), line).toEqual({ code: 0, signal: null });
    expect(bin.lines, line).toEqual(lines);
  }
});

it('docs/commands.md: the script calls a tool for each line of a file, and reports the call that fails', async () => {
  const endpoint = await startDemoEndpoint();
  afterThisTest(() => endpoint.close());
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentials;
  const { home } = await makeTempHome();
  const [script = ''] = blocksIn('docs/commands.md', 'bash');
  writeFileSync(join(home, 'script.sh'), script);
  writeFileSync(join(home, 'durations.txt'), '0\n20\n1\n');
  writeFileSync(join(home, 'mcp-sigv4-proxy'), `#!/bin/sh\nexec '${process.execPath}' '${BIN_PATH}' "$@"\n`, {
    mode: 0o755,
  });
  const { stdout } = await promisify(execFile)('sh', ['script.sh'], {
    cwd: home,
    env: {
      HOME: home,
      PATH: `${home}:/usr/bin:/bin`,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      MCP_PROXY_ENDPOINT: endpoint.url,
      MCP_PROXY_SERVICE: endpoint.service,
      MCP_PROXY_REGION: endpoint.region,
    },
  });
  const [first, second, third, refused] = stdout.split('\n');
  expect([first, second, third]).toEqual(['waited 0 ms', 'waited 20 ms', 'waited 1 ms']);
  expect(refused).toMatch(/^refused: mcp-sigv4-proxy: The server answered with error -32602: ms must be/);
});

it('docs/troubleshooting.md: shows what doctor prints behind TLS inspection, except what differs from run to run', async () => {
  const [example = ''] = blocksIn('docs/troubleshooting.md', 'console');
  const [line = '', ...lines] = example.trimEnd().split('\n');
  const host = 'tools.example.com';
  const inspector = await makeTlsAuthority([host], { host, name: 'Example Corp TLS inspection' });
  const server = await ScriptedServer.start((_request, response) => void response.end(), {
    tls: inspector,
  });
  const sts = await ScriptedServer.start((_request, response) => {
    response.end('<Arn>arn:aws:iam::123456789012:user/dev</Arn>');
  });
  const proxy = await ConnectProxy.start({ hosts: { [host]: `127.0.0.1:${server.port}` } });
  const bin = BinDriver.start({
    args: line.replace('$ mcp-sigv4-proxy ', '').split(' '),
    env: { HTTPS_PROXY: proxy.url, AWS_ENDPOINT_URL_STS: sts.origin },
    files: {
      '.aws/credentials': '[dev]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n',
    },
    anyStdout: true,
  });
  expect(await bin.exit()).toEqual({ code: 1, signal: null });
  const leveled = (text: string): string =>
    text
      .replace(/mcp-sigv4-proxy \S+, Node \S+, .*/, 'mcp-sigv4-proxy V, Node V, P')
      .replace(/proxy\.example\.com is 10\.0\.0\.1|127\.0\.0\.1 is an IP address/, 'the address')
      .replace(/proxy\.example\.com:3128|127\.0\.0\.1:\d+/, 'the proxy')
      .replace(/not trusted \(\w+\)/, 'not trusted (CODE)')
      .replace(/in \d+ ms/, 'in T')
      .replace(/^(ok +defaults +).*--max-connections 5,.*/, '$1')
      .replace(/valid until [^;,]+/, 'valid until T')
      .replace(/\d+ ok/, 'N ok');
  // The address of this test's STS is not part of the example.
  const printed = bin.lines.filter((each) => !each.includes('AWS_ENDPOINT_URL_STS'));
  expect(printed.map(leveled)).toEqual(lines.map(leveled));
});
