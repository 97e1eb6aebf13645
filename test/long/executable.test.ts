import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { CACHE_WATCHER } from '../support/cache-watcher.ts';
import { listenerUrl } from '../support/listening.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { untilLogged } from '../support/workers.ts';

const ROOT = join(import.meta.dirname, '../..');
/** It copies Node, which is large, and parses the copy. */
const BUILD_MS = 300_000;
/** docs/releasing.md states the size. */
const MAX_BYTES = 130 * 2 ** 20;

let folder: string;
let program: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'executable-'));
  execFileSync(process.execPath, ['scripts/executable.mjs', folder], { cwd: ROOT, stdio: 'pipe' });
  program = join(folder, process.platform === 'win32' ? 'mcp-sigv4-proxy.exe' : 'mcp-sigv4-proxy');
}, BUILD_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The executable without PATH: neither Node nor npx is found. */
const runOnce = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  spawnSync(program, args, { env: { HOME: folder, ...env }, encoding: 'utf8' });

/** The executable before a server that verifies every signature. */
async function startExecutable(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const sessions = new SessionServer({ tools: [{ name: 'echo', inputSchema: { type: 'object' } }] });
  const server = await ScriptedServer.start(sessions.behaviour, { verify: signingVerify });
  const bin = BinDriver.start({
    program,
    args: [server.url, ...signingArgs, ...args],
    env: { ...signingEnv, PATH: '', ...env },
  });
  return { server, bin };
}

describe('the single executable', () => {
  it('the executable is one file, below its size limit, with the licences beside it', () => {
    expect(readdirSync(folder).sort()).toEqual(
      ['LICENSE', 'THIRD-PARTY-LICENSES.txt', program.slice(folder.length + 1)].sort(),
    );
    expect(statSync(program).size).toBeLessThan(MAX_BYTES);
  });

  it('the executable prints its version and its help without Node in PATH', () => {
    const version = runOnce(['--version']);
    expect(version).toMatchObject({ status: 0, stderr: '' });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(runOnce(['--help']).stdout).toContain('--profile');
    expect(runOnce(['--lzay']).stderr).toContain('--lazy');
  });

  it('the executable relays initialize and a signed call over stdio', async () => {
    const { bin, server } = await startExecutable();
    await bin.initialize({}, 0);
    const { result } = await bin.request('tools/call', { name: 'echo', arguments: {} }, '');
    expect(result).toBeDefined();
    expect(
      server.requests.every(({ headers }) => headers.authorization?.startsWith('AWS4-HMAC-SHA256')),
    ).toBe(true);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });

  it('the executable loads from itself what few runs need: the log, the commands, the SDK', async () => {
    const { bin, server } = await startExecutable(['--log-level', 'debug']);
    await bin.initialize({}, 0);
    await bin.stderrMatching(/"msg":"session\.opened"/);
    const tools = BinDriver.start({
      program,
      args: ['tools', server.url, ...signingArgs, '--json'],
      env: signingEnv,
      anyStdout: true,
    });
    expect(await tools.exit()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(tools.lines.join('\n'))).toMatchObject([{ name: 'echo' }]);
  });

  it('the executable starts itself for the demo', () => {
    const { status, stdout } = runOnce(['demo']);
    expect(status).toBe(0);
    expect(stdout).toContain(`-- ${program} --lazy`);
  });

  it('the executable runs workers, which are the executable too', async () => {
    const { bin } = await startExecutable([
      '--listen',
      '127.0.0.1:0',
      '--workers',
      '2',
      '--log-level',
      'info',
    ]);
    const url = await listenerUrl(bin);
    await untilLogged(bin, 'listener.opened', 2);
    const answer = await fetch(new URL('/healthz', url));
    expect(answer.status).toBe(200);
    bin.kill();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('config of the executable prints a block that starts the executable, without npx', () => {
    const { status, stdout } = runOnce(['config', 'claude-code', '--profile', 'dev']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).mcpServers.aws).toEqual({ command: program, args: ['--profile', 'dev'] });
  });

  it('the second start of the executable compiles no code, as with Node', () => {
    const watcher = join(folder, 'watcher.cjs');
    writeFileSync(watcher, CACHE_WATCHER);
    const env = { NODE_OPTIONS: `--require ${watcher}`, NODE_COMPILE_CACHE: join(folder, 'cache') };
    expect(runOnce(['--help'], env).stderr).toMatch(/^(compiled\n)+$/);
    expect(runOnce(['--help'], env).stderr).toMatch(/^(cached\n)+$/);
  });
});
