import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';
import { makeTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts';

const ROOT = join(import.meta.dirname, '../..');
const INSTALLED = join(import.meta.dirname, 'node_modules');

/** The programs that npm has installed: those that run on this machine. */
const RUNTIMES = Object.entries({
  'Node 20.18.1': ['node-20/bin/node'],
  'Node 22': ['node-22/bin/node'],
  'Node 24': ['node-24/bin/node'],
  Bun: ['@oven/bun-linux-x64/bin/bun'],
  Deno: ['@deno/linux-x64-glibc/deno', 'run', '-A'],
})
  .map(([name, [path = '', ...args]]) => ({ name, program: join(INSTALLED, path), args }))
  .filter(({ program }) => existsSync(program));

/** Uses each part of the library against a server that demands signatures, and prints what each part returned. */
const PROGRAM = `import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { type CreateProxyOptions, createProxy, VERSION } from 'mcp-sigv4-proxy';
import { createSigV4Fetch } from 'mcp-sigv4-proxy/fetch';
import { createListener } from 'mcp-sigv4-proxy/listener';
import { SessionPool } from 'mcp-sigv4-proxy/pool';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy/transport';

const [endpoint = '', caBundle = '', only = ''] = process.argv.slice(2);
const options: CreateProxyOptions = {
  endpoint,
  service: 'execute-api',
  region: 'eu-west-1',
  ...(caBundle === '' ? {} : { caBundle }),
};
const INFO = { name: 'runtime', version: VERSION };
const CALL = { name: 'echo', arguments: { text: '' } };
const textOf = (result: unknown): unknown => (result as { content: { text: string }[] }).content[0]?.text;

const PARTS: Record<string, () => Promise<unknown>> = {
  async transport() {
    const proxy = await createProxy(options);
    const client = new Client(INFO, {} satisfies ClientOptions);
    await client.connect(new SigV4ClientTransport(proxy));
    const result = await client.callTool(CALL);
    await client.close();
    await proxy.close();
    return textOf(result);
  },
  async transportOfV1() {
    const { endpoint: url = '', ...rest } = options;
    const client = new ClientV1(INFO);
    const transport = new SigV4ClientTransport(url, rest);
    await client.connect(transport);
    const result = await client.callTool(CALL);
    await transport.terminateSession();
    await client.close();
    return textOf(result);
  },
  async fetch() {
    const fetch = createSigV4Fetch(options);
    try {
      const client = new Client(INFO);
      await client.connect(new StreamableHTTPClientTransport(new URL(endpoint), { fetch }));
      const result = await client.callTool(CALL);
      await client.close();
      return textOf(result);
    } finally {
      fetch.close();
    }
  },
  async pool() {
    const { endpoint: url = '', ...proxy } = options;
    const pool = new SessionPool({ endpoint: url, proxy, minSessions: 1, clientFactory: () => new Client(INFO) });
    await pool.start();
    const result = await pool.callTool(CALL.name, CALL.arguments);
    await pool.shutdown();
    return textOf(result);
  },
  async listener() {
    const listener = await createListener(options);
    const server = createServer(listener.handler).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const client = new Client(INFO);
    const url = new URL('http://127.0.0.1:' + (server.address() as AddressInfo).port + '/mcp');
    await client.connect(new StreamableHTTPClientTransport(url));
    const result = await client.callTool(CALL);
    await client.close();
    await listener.close();
    server.close();
    server.closeAllConnections();
    return textOf(result);
  },
};

async function main(): Promise<void> {
  const printed: Record<string, unknown> = {};
  for (const [name, use] of Object.entries(PARTS))
    if (only === '' || name === only) printed[name] = await use().catch((error: unknown) => String(error));
  console.log(JSON.stringify(printed));
}

void main();
`;

const STRICT = [
  '--strict',
  '--exactOptionalPropertyTypes',
  '--noUncheckedIndexedAccess',
  '--target',
  'es2022',
];
const LIBRARIES = [
  '--lib',
  'es2023,esnext.disposable,dom,dom.iterable',
  '--types',
  'node',
  '--module',
  'nodenext',
];

let folder: string;
let authority: TlsAuthority;
let caFile: string;

const run = promisify(execFile);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'runtimes-'));
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(INSTALLED)) symlinkSync(join(INSTALLED, name), join(modules, name));
  // Unpacked as npm does it; its imports of the SDK have to be found in this project.
  const packed = execFileSync('npm', ['pack', ROOT, '--ignore-scripts', '--silent'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const own = join(modules, 'mcp-sigv4-proxy');
  mkdirSync(own);
  execFileSync('tar', ['-xzf', join(folder, packed.trim()), '-C', own, '--strip-components', '1']);
  authority = await makeTlsAuthority();
  caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, authority.ca);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const ending of ['mts', 'cts']) writeFileSync(join(folder, `program.${ending}`), PROGRAM);
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, ...STRICT, ...LIBRARIES, 'program.mts', 'program.cts'], {
    cwd: folder,
  }).catch(({ stdout }: { stdout: string }) => expect(stdout).toBe(''));
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true }));

it('the runtimes of this platform are installed', () => {
  if (process.platform === 'linux' && process.arch === 'x64') expect(RUNTIMES).toHaveLength(5);
});

/** Runs the program against a server of its own. @param words - the file of a CA to trust, and the only part to use. */
async function runAt(
  { program, args }: (typeof RUNTIMES)[number],
  file: string,
  tls: TlsAuthority | undefined,
  words: readonly string[],
) {
  const options = { verify: signingVerify, ...(tls ? { tls } : {}) };
  const server = await ScriptedServer.start(new SessionServer().behaviour, options);
  const env = { PATH: process.env.PATH, HOME: folder, ...signingEnv };
  const { stdout } = await run(program, [...args, file, server.url, ...words], {
    cwd: folder,
    env,
    timeout: 50_000,
  });
  return { printed: JSON.parse(stdout) as Record<string, string>, requests: server.requests };
}

describe.each(RUNTIMES)('the packed package on $name', (runtime) => {
  it.each([
    ['import', 'program.mjs', 'http'],
    ['require', 'program.cjs', 'http'],
    ['import', 'program.mjs', 'https'],
    ['require', 'program.cjs', 'https'],
  ])(
    'a strict program that uses %s (%s) calls a tool with each part of the library over %s',
    async (_how, file, scheme) => {
      const isSecure = scheme === 'https';
      const tls = isSecure ? authority : undefined;
      const { printed, requests } = await runAt(runtime, file, tls, isSecure ? [caFile] : []);
      const echoed = '{"text":""}';
      const parts = {
        transport: echoed,
        transportOfV1: echoed,
        fetch: echoed,
        pool: echoed,
        listener: echoed,
      };
      expect(printed).toEqual(parts);
      expect(requests.length).toBeGreaterThan(10);
      expect(requests.every(({ verification }) => verification?.ok)).toBe(true);
    },
  );

  it('a fetch that signs sends nothing to a server whose certificate is not trusted', async () => {
    const { printed, requests } = await runAt(runtime, 'program.mjs', authority, ['', 'fetch']);
    expect(printed).toEqual({ fetch: expect.stringContaining('certificate is not trusted') });
    expect(requests).toEqual([]);
  });
});
