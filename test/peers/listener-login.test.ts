import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { type ListeningBefore, startListening } from '../support/listening.ts';
import { startJwtProvider } from '../support/oidc-provider.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { programOf } from './agent.ts';

/** Fills in the forms of the login as a user does. */
const BROWSER = fileURLToPath(new URL('../support/fill-login.cjs', import.meta.url));
const MCP_REMOTE = fileURLToPath(new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url));

/** The tokens are for the URL of the listener, which has to be known before it starts. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A listener that accepts nothing but access tokens of `oidc-provider`. */
async function startProtected(): Promise<ListeningBefore> {
  const listen = `127.0.0.1:${await freePort()}`;
  const resource = `http://${listen}/mcp`;
  const issuer = await startJwtProvider(resource);
  return startListening({
    listen,
    args: [
      ...['--listen-issuer', issuer, '--listen-audience', resource, '--listen-scope', 'tools'],
      ...['--access-log', 'stderr'],
    ],
  });
}

/** The environment of a client without network, and with a browser that logs in. */
async function desk(): Promise<Record<string, string>> {
  const { home } = await makeTempHome();
  const browser = join(home, 'bin', 'xdg-open');
  await mkdir(dirname(browser), { recursive: true });
  await mkdir(join(home, 'project'));
  await writeFile(browser, `#!/bin/sh\nexec '${process.execPath}' '${BROWSER}' "$1"\n`, { mode: 0o755 });
  return {
    HOME: home,
    PATH: `${dirname(browser)}:/usr/bin:/bin`,
    BROWSER: browser,
    MCP_REMOTE_CONFIG_DIR: join(home, 'mcp-remote'),
    TERM: 'xterm',
    NO_COLOR: '1',
    HTTPS_PROXY: 'http://127.0.0.1:9',
    HTTP_PROXY: 'http://127.0.0.1:9',
    NO_PROXY: '127.0.0.1,localhost',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  };
}

it('mcp-remote logs in at oidc-provider by the metadata of the listener, and lists its tools', async () => {
  const { url, bin } = await startProtected();
  const client = spawn(process.execPath, [MCP_REMOTE, url, '--allow-http'], { env: await desk() });
  afterThisTest(() => void client.kill());
  let printed = '';
  client.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  const request = async (id: number, method: string, params = {}) => {
    client.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`mcp-remote has ended: ${printed}`);
    return JSON.parse(String(value)) as object;
  };
  const opened = request(0, 'initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '0' },
  });
  expect(await opened, printed).toHaveProperty('result');
  client.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  expect(await request(1, 'tools/list'), printed).toHaveProperty('result.tools');
  await bin.stderrMatching(/"token":"user:alice".*"method":"tools\/list"/);
});

it('Claude Code logs in at oidc-provider by the metadata of the listener, and connects', async () => {
  const { url, bin } = await startProtected();
  const claude = programOf('@anthropic-ai', /^claude-code-/, 'claude') ?? 'not installed';
  const env = await desk();
  const run = (program: string, ...args: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = spawn(program, args, { env, cwd: join(env.HOME ?? '', 'project'), stdio: 'pipe' });
      afterThisTest(() => void child.kill());
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      child.on('error', reject).on('close', () => resolve(output));
    });
  await run(claude, 'mcp', 'add', '--transport', 'http', 'aws', url);
  expect(await run(claude, 'mcp', 'list')).toContain('Needs authentication');
  // Without a terminal, Claude Code begins no login.
  const login = await run('script', '-qec', `'${claude}' mcp login aws`, '/dev/null');
  expect(login).toContain('Authenticated with "aws"');
  expect(await run(claude, 'mcp', 'list')).toContain('Connected');
  await bin.stderrMatching(/"token":"user:alice","userAgent":"claude-code.*"method":"tools\/list"/);
});
