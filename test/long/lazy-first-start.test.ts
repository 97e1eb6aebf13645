import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { type Rpc, sendJson } from '../support/mcp-answers.ts';
import {
  errorOf,
  type Handler,
  SessionServer,
  type SessionServerOptions,
} from '../support/mcp-behaviours.ts';
import { TOOL_DEFINITIONS } from '../support/mcp-tools.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify, TEST_KEY } from '../support/signing.ts';

const NO_KEYS = { AWS_EC2_METADATA_DISABLED: 'true' };
const KEYS = `aws_access_key_id=${TEST_KEY.accessKeyId}\naws_secret_access_key=${TEST_KEY.secretAccessKey}\naws_session_token=${TEST_KEY.sessionToken}\n`;
const echo = { name: 'echo', arguments: { text: 'hello' } };

async function start(
  options: SessionServerOptions = {},
  bin: Partial<BinOptions> & { more?: string[] } = {},
) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  const cache = mkdtempSync(join(tmpdir(), 'mcp-cache-'));
  afterThisTest(() => rmSync(cache, { recursive: true, force: true }));
  const { more = [], env = signingEnv, ...rest } = bin;
  const run = (): BinDriver =>
    BinDriver.start({
      args: [server.url, ...signingArgs, '--lazy', ...more],
      env: { XDG_CACHE_HOME: cache, ...env },
      ...rest,
    });
  return { server, run, bin: run() };
}

function logIn({ home }: BinDriver, profile = 'default'): void {
  mkdirSync(join(home, '.aws'), { recursive: true });
  writeFileSync(join(home, '.aws', 'credentials'), `[${profile}]\n${KEYS}`);
}

const instructionsOf = ({ result }: Rpc): string => String((result as Rpc).instructions);
const announced = (bin: BinDriver): Promise<Rpc> =>
  bin.next(({ method }) => method === 'notifications/tools/list_changed');

it('--lazy without credentials starts with advice and no tools, and has tools after the login without a restart', async () => {
  const { bin, run } = await start({}, { env: NO_KEYS });
  const opening = await bin.initialize({}, 0);
  expect(opening.result).toMatchObject({
    protocolVersion: '2025-11-25',
    capabilities: { tools: { listChanged: true } },
    serverInfo: { name: 'mcp-sigv4-proxy' },
  });
  expect(instructionsOf(opening)).toMatch(
    /no connection to the MCP server at 127\.0\.0\.1:\d+ yet.*No AWS credentials.*--profile.*the tools appear without a restart/i,
  );
  expect((await bin.request('tools/list', {}, '')).result).toEqual({ tools: [] });
  expect((await bin.request('ping', undefined, -1)).result).toEqual({});
  const refused = await bin.request('tools/call', echo, 'too early');
  expect(refused.error).toMatchObject({ data: { reason: 'no-credentials', mayHaveRun: false } });
  logIn(bin);
  await announced(bin);
  expect((await bin.request('tools/list', {}, 'now')).result).toEqual({ tools: TOOL_DEFINITIONS });
  expect(await bin.request('tools/call', echo, 'call')).toHaveProperty('result.content');
  expect(bin.stderr).toBe('');
  bin.closeStdin();
  expect(await bin.exited).toMatchObject({ code: 0 });
  // The substitute is not kept: the next start has the server's own result.
  const later = run();
  const next = await later.initialize({}, 0);
  expect(next.result).not.toHaveProperty('instructions');
  expect((await later.request('tools/list', {}, '')).result).toEqual({ tools: TOOL_DEFINITIONS });
});

it('--lazy with an expired login names the login command of the profile', async () => {
  const files = {
    '.aws/config':
      '[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n[sso-session corp]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\nsso_registration_scopes = sso:account:access\n',
  };
  const { bin } = await start({}, { env: NO_KEYS, files, more: ['--profile', 'dev'] });
  expect(instructionsOf(await bin.initialize({}, 0))).toContain('aws sso login --profile dev');
  expect((await bin.request('tools/list', {}, '')).result).toEqual({ tools: [] });
  logIn(bin, 'dev');
  rmSync(join(bin.home, '.aws', 'config'));
  await announced(bin);
  expect(await bin.request('tools/call', echo, 'call')).toHaveProperty('result.content');
});

const refuses =
  (status: number): Handler =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'text/plain' }).end('not now');

it.each<[what: string, first: Handler, more: string[], says: RegExp]>([
  ['denies access', refuses(403), [], /HTTP 403/],
  ['is down', refuses(503), ['--retries', '0'], /HTTP 503 .*not now/],
  [
    'throttles with a JSON-RPC error',
    (_request, response, { id }) => sendJson(response, 429, errorOf(id, -32004, 'Too many requests')),
    ['--retries', '0'],
    /HTTP 429: Too many requests/,
  ],
  ['never answers', () => undefined, ['--initialize-timeout', '0.4'], /sent no response/],
  ['breaks the connection', (_request, response) => void response.destroy(), ['--retries', '0'], /broke/],
])(
  '--lazy at a server that %s starts with the reason, and has tools once the server works',
  async (_what, first, more, says) => {
    let mended = false;
    const initialize: Handler = (request, response, context) =>
      mended ? context.fallback() : first(request, response, context);
    const { bin } = await start({ on: { initialize } }, { more });
    expect(instructionsOf(await bin.initialize({}, 0))).toMatch(says);
    expect((await bin.request('tools/list', {}, '')).result).toEqual({ tools: [] });
    mended = true;
    await announced(bin);
    expect((await bin.request('tools/list', {}, 'now')).result).toEqual({ tools: TOOL_DEFINITIONS });
  },
);

it('--lazy uses a server that speaks an older revision than the client was given', async () => {
  const { bin, server } = await start({ protocolVersion: '2025-03-26' }, { env: NO_KEYS });
  expect((await bin.initialize({}, 0)).result).toMatchObject({ protocolVersion: '2025-11-25' });
  logIn(bin);
  await announced(bin);
  expect(await bin.request('tools/call', echo, '')).toHaveProperty('result.content');
  expect(server.of('tools/call')[0]?.headers['mcp-protocol-version']).toBe('2025-03-26');
});

it('--lazy passes on an error of the server that is about the initialize request', async () => {
  const initialize: Handler = (_request, response, { id }) =>
    sendJson(response, 400, errorOf(id, -32602, 'Unsupported protocol version'));
  const { bin } = await start({ on: { initialize } });
  expect((await bin.initialize({}, 0)).error).toMatchObject({ code: -32602 });
});

it('--lazy ends at once if the client leaves during the first start', async () => {
  const { bin } = await start({}, { env: NO_KEYS });
  await bin.initialize({}, 0);
  bin.closeStdin();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
});

it('a first start with several profiles serves each of them after the login', async () => {
  const { bin } = await start(
    {},
    {
      env: NO_KEYS,
      more: ['--profile', 'one', '--profile', 'two'],
      files: { '.aws/config': '[profile one]\nregion = eu-west-1\n[profile two]\nregion = eu-west-1\n' },
    },
  );
  const callOf = (profile: string) => ({ name: 'echo', arguments: { text: profile, aws_profile: profile } });
  expect(instructionsOf(await bin.initialize({}, 0))).toContain("profile 'one'");
  expect((await bin.request('tools/list', {}, '')).result).toEqual({ tools: [] });
  const { error } = await bin.request('tools/call', callOf('two'), -1);
  expect(error).toMatchObject({ data: { reason: 'no-credentials', mayHaveRun: false } });
  mkdirSync(join(bin.home, '.aws'), { recursive: true });
  writeFileSync(join(bin.home, '.aws', 'credentials'), `[one]\n${KEYS}[two]\n${KEYS}`);
  await announced(bin);
  const { result } = await bin.request('tools/list', {}, 1);
  expect(JSON.stringify(result)).toContain('"enum":["one","two"]');
  for (const profile of ['one', 'two'])
    expect(await bin.request('tools/call', callOf(profile), profile)).toHaveProperty('result.content');
});
