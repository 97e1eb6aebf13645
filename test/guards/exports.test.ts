import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PACKAGE_NAME, VERSION } from '../../src/version.ts';
import { ROOT } from './source-tree.ts';

interface Manifest extends Record<string, unknown> {
  readonly files: readonly string[];
}

const manifest: Manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** A project that has installed the package: what is published of it, and no other package but Node's types. */
let folder: string;
let installed: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  installed = join(folder, 'node_modules/mcp-sigv4-proxy');
  await mkdir(installed, { recursive: true });
  for (const name of [...manifest.files, 'package.json'])
    cpSync(join(ROOT, name), join(installed, name), { recursive: true });
  await mkdir(join(folder, 'node_modules/@types'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
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
    'ProxyError',
    'SigV4ClientTransport',
    'VERSION',
    'createCredentialProvider',
    'createProxy',
    'createSigV4Fetch',
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

it.each([
  ['node16', 'node16'],
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
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    // The declarations of the library are checked as well; and it says itself that it needs Node's, for there is no --types.
    const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'];
    const compile = (): string =>
      node([tsc, ...flags, '--module', module, '--moduleResolution', resolution, 'use.ts']);
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
