import { execFileSync, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PACKAGE_NAME, VERSION } from '../../src/version.ts';
import { ROOT } from './source-tree.ts';

interface Manifest extends Record<string, unknown> {
  readonly exports: Readonly<Record<string, unknown>>;
}

const manifest: Manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** A project that has installed the packed package, and no other package but Node's types. */
let folder: string;
let installed: string;

const npm = (...args: string[]): string =>
  execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  installed = join(folder, 'node_modules', PACKAGE_NAME);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  // Without scripts: they would build again.
  const packed = npm('pack', ROOT, '--ignore-scripts', '--silent').trim();
  npm('install', `./${packed}`, '--offline', '--ignore-scripts', '--no-audit', '--no-fund');
  mkdirSync(join(folder, 'node_modules/@types'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
});

afterAll(() => rmSync(folder, { recursive: true }));

const node = (args: readonly string[]): string =>
  execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });

it('the library exports exactly these names: a change of the list changes the public API', () => {
  const source = "console.log(JSON.stringify(Object.keys(await import('mcp-sigv4-proxy')).sort()))";
  expect(JSON.parse(node(['--input-type=module', '-e', source]))).toEqual([
    'Backpressure',
    'DEFAULT_ENDPOINT',
    'ERROR_CODES',
    'ERROR_SOURCE',
    'Events',
    'McpProxy',
    'OptionsError',
    'PoolManager',
    'ProxyError',
    'SessionPool',
    'SessionPoolError',
    'SigV4ClientTransport',
    'VERSION',
    'createCredentialProvider',
    'createListener',
    'createProxy',
    'createSigV4Fetch',
    'jwtIdentity',
    'parseArguments',
    'readEndpoint',
    'readSettings',
    'scopeOfHost',
    'signRequest',
    'signingTarget',
    'systemClock',
    'withBackpressure',
    'withReadableAnswer',
    'withResult',
  ]);
});

/** The sub-paths of the package that are code. */
const SUB_PATHS = Object.keys(manifest.exports).filter((path) => path !== '.' && !path.endsWith('.json'));

it('each sub-path of the library has its line in package.json and in its typesVersions', () => {
  const entries = readdirSync(join(ROOT, 'src/library/entries')).map((file) => file.replace('.ts', ''));
  expect(SUB_PATHS).toEqual(entries.map((name) => `./${name}`).sort());
  expect(manifest.typesVersions).toEqual({
    '*': Object.fromEntries(entries.map((name) => [name, [`./dist/types/library/entries/${name}.d.ts`]])),
  });
});

/** The exports that a table row names, by the page's section of all exports. */
function namesInTable(page: string): string[] {
  const rows = page.slice(page.indexOf('## All exports')).match(/^\| `.*?\|/gm) ?? [];
  return rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
}

it('the table of all exports in docs/library.md has each function and class once', () => {
  const source = `const names = new Set();
for (const path of ${JSON.stringify(['', ...SUB_PATHS.map((path) => path.slice(1))])})
  for (const name of Object.keys(await import('mcp-sigv4-proxy' + path))) names.add(name);
console.log(JSON.stringify([...names].sort()));`;
  const exported: unknown = JSON.parse(node(['--input-type=module', '-e', source]));
  const page = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
  expect(namesInTable(page).sort()).toEqual(exported);
});

it('require and import of each sub-path return the same functions and classes', () => {
  const source = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const all = require('mcp-sigv4-proxy');
const names = {};
for (const path of ${JSON.stringify(['.', ...SUB_PATHS])}) {
  const id = '${PACKAGE_NAME}' + path.slice(1);
  const imported = await import(id);
  const required = require(id);
  names[path] = Object.keys(imported).sort();
  for (const name of names[path])
    if (imported[name] !== required[name] || (name in all && all[name] !== imported[name])) throw new Error(id + ': ' + name);
}
delete names['.'];
console.log(JSON.stringify(names));`;
  expect(JSON.parse(node(['--input-type=module', '-e', source]))).toEqual({
    './backpressure': ['Backpressure', 'OptionsError', 'withBackpressure'],
    './fetch': ['OptionsError', 'createSigV4Fetch'],
    './langchain': ['PeerError', 'langchainTools'],
    './listener': ['OptionsError', 'createListener'],
    './pool': ['OptionsError', 'PoolManager', 'SessionPool', 'SessionPoolError', 'jwtIdentity'],
    './transport': ['OptionsError', 'SigV4ClientTransport', 'createProxy'],
  });
});

it('the sub-path for backpressure loads neither undici nor signatures', () => {
  const source = `require('mcp-sigv4-proxy/backpressure');
const { readFileSync } = require('node:fs');
const texts = Object.keys(require.cache).map((path) => readFileSync(path, 'utf8'));
console.log(texts.length > 1, texts.filter((text) => /UND_ERR_|AWS4-HMAC-SHA256/.test(text)).length);`;
  expect(node(['--input-type=commonjs', '-e', source])).toBe('true 0\n');
});

/** Signs a request, shows that the error of the options has one class, and names types of each sub-path. */
const PROGRAM = `import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CreateProxyOptions, createProxy, type Layer, withResult } from 'mcp-sigv4-proxy';
import { Backpressure, type BackpressureOptions } from 'mcp-sigv4-proxy/backpressure';
import { createSigV4Fetch, OptionsError, type SigV4Fetch } from 'mcp-sigv4-proxy/fetch';
import type { ToolSource } from 'mcp-sigv4-proxy/langchain';
import type { SessionPool } from 'mcp-sigv4-proxy/pool';
import { SigV4ClientTransport, type SigV4ClientTransportOptions } from 'mcp-sigv4-proxy/transport';

export const toolsOf = (pool: SessionPool): ToolSource => pool;
export const limits: BackpressureOptions = { maxConcurrent: 1 };
export const options: SigV4ClientTransportOptions = { maxConnections: 2 };
export const layer: Layer = (next) => async (call) => {
  const reply = await next(call);
  return reply.kind === 'answer' ? { ...reply, message: withResult(reply.message, {}) } : reply;
};
export const wrong: CreateProxyOptions = {
  // @ts-expect-error: and not any, which would be what is left of a type that is not found.
  maxConnections: '2',
};

async function main(): Promise<void> {
  const server = createServer((request, response) => {
    response.end(request.headers.authorization?.slice(0, 16));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
  const signedFetch: SigV4Fetch = createSigV4Fetch({ service: 'lambda', region: 'eu-west-1', credentials });
  const response = await signedFetch('http://127.0.0.1:' + (server.address() as AddressInfo).port);
  const failure: unknown = await createProxy(wrong).catch((error: unknown) => error);
  console.log(await response.text(), failure instanceof OptionsError, typeof Backpressure, typeof SigV4ClientTransport);
  signedFetch.close();
  server.close();
}

void main();
`;

const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
// The declarations of the library are checked as well; and it says itself that it needs Node's, for there is no --types.
const STRICT = ['--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'];

it.each(['mts', 'cts'])(
  'a strict program in TypeScript as .%s compiles against the packed package, and runs',
  (ending) => {
    writeFileSync(join(folder, `program.${ending}`), PROGRAM);
    node([TSC, ...STRICT, '--module', 'nodenext', `program.${ending}`]);
    const printed = node([`program.${ending.replace('ts', 'js')}`]);
    expect(printed).toBe('AWS4-HMAC-SHA256 true function function\n');
  },
);

it.each([
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])(
  'a strict program in TypeScript finds the types with --module %s, and a wrong use does not compile',
  (module, resolution) => {
    const program = `import {
  type Arguments, type Call, type Clock, type CredentialProvider, type CredentialProviderOptions, type Credentials,
  type ErrorFacts, type ErrorReason, type Handler, type ObserverOptions, type Layer, McpProxy, type Observer, type ProxyDeps,
  type ProxyEvent, type ReadEndpoint, type Relay, type Reply, type MetricsSnapshot, type ProxyHooks, type ProxyState, type RoleOptions, type Send, type Sent, type Settings, type SettingsOutcome,
  type Signable, type SigningScope, type SigningTarget, type Timer, parseArguments, readSettings, scopeOfHost,
} from 'mcp-sigv4-proxy';
export type { Arguments, Call, Clock, CredentialProvider, CredentialProviderOptions, Credentials, ErrorFacts, ErrorReason };
export type { Handler, ObserverOptions, Layer, Observer, ProxyDeps, ProxyEvent, ReadEndpoint, Reply, RoleOptions, Sent, Settings };
export type { Signable, SigningScope, SigningTarget, Timer };
export const hooks: ProxyHooks = { onBorrow: async ({ waitMs, session }) => [waitMs.toFixed(), session.length] };
export const read = (proxy: McpProxy): [MetricsSnapshot, string, ProxyState] =>
  [proxy.metrics.snapshot(), proxy.metrics.toPrometheus('openmetrics'), proxy.debugSnapshot()];
export const relay = async (send: Send, env: Settings['env']): Promise<Relay> => {
  const outcome: SettingsOutcome = await readSettings(parseArguments([]), env);
  if ('problems' in outcome) throw new Error(outcome.problems.join());
  return new McpProxy(outcome.settings).connect(send);
};
export const region: string | undefined = scopeOfHost('a.b').region;
// @ts-expect-error: and not any, which would be what is left of a type that is not found.
export const number: number = scopeOfHost('a.b').region;
`;
    writeFileSync(join(folder, 'use.ts'), program);
    const compile = (): string =>
      node([TSC, '--noEmit', ...STRICT, '--module', module, '--moduleResolution', resolution, 'use.ts']);
    expect(compile).not.toThrow();
  },
);

it('the version of the bin, of the library and of package.json is the same', () => {
  expect([PACKAGE_NAME, VERSION]).toEqual([manifest.name, manifest.version]);
  expect(node([join(installed, 'bin/mcp-sigv4-proxy.js'), '--version']).trim()).toBe(VERSION);
});

it.each([
  ['18.20.8', false],
  ['20.17.9', false],
  ['20.18.0', false],
  ['20.18.1', true],
  ['20.19.0', true],
  ['21.0.0', true],
  ['24.1.0', true],
])('the bin on Node %s starts, or names the version that it needs: %j', (version, starts) => {
  expect(manifest.engines).toEqual({ node: '>=20.18.1' });
  const pretended = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;
  const bin = join(installed, 'bin/mcp-sigv4-proxy.js');
  const args = ['--import', `data:text/javascript,${pretended}`, bin, '--version'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect({ status, stdout }).toEqual(
    starts ? { status: 0, stdout: `${VERSION}\n` } : { status: 1, stdout: '' },
  );
  expect(stderr).toMatch(starts ? /^$/ : /^mcp-sigv4-proxy: needs Node 20\.18\.1 or newer, .*\n$/);
});

it('the published package has no dependencies', () => {
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.bin).toEqual({ 'mcp-sigv4-proxy': 'bin/mcp-sigv4-proxy.js' });
});

it('the published package contains the declarations of the library, and no internal ones', () => {
  const declarations = readdirSync(join(installed, 'dist/types'), { recursive: true }).map(String);
  expect(declarations).toContain(join('library', 'index.d.ts'));
  expect(declarations.filter((path) => /^(commands|demo|layers|pool)\b.*\.ts$/.test(path))).toEqual([]);
});
