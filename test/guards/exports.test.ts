import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { ROOT } from './source-tree.ts';

const manifest: Record<string, unknown> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  await mkdir(join(folder, 'node_modules/@types'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/mcp-sigv4-proxy'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
});

afterAll(() => rmSync(folder, { recursive: true }));

it('the library exports exactly this; a change of the list is a change of the public API', async () => {
  const library: Record<string, unknown> = await import(join(ROOT, 'dist/index.js'));
  expect(Object.keys(library).sort()).toEqual([
    'DEFAULT_ENDPOINT',
    'ERROR_CODES',
    'ERROR_SOURCE',
    'Events',
    'McpProxy',
    'ProxyError',
    'VERSION',
    'createCredentialSource',
    'parseArguments',
    'readEndpoint',
    'readSettings',
    'scopeOfHost',
    'signRequest',
    'signingTarget',
    'systemClock',
  ]);
});

it('a program in TypeScript finds the types, and a wrong use of them does not compile', () => {
  const compile = (source: string): string => {
    writeFileSync(join(folder, 'use.ts'), source);
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--types',
      'node',
      'use.ts',
    ];
    try {
      execFileSync(process.execPath, [tsc, ...flags], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
      return '';
    } catch (error) {
      return String((error as { stdout: unknown }).stdout);
    }
  };
  const use =
    "import { type Handler, scopeOfHost } from 'mcp-sigv4-proxy';\nexport const handlers: Handler[] = [];\n";
  expect(compile(`${use}export const region: string | undefined = scopeOfHost('a.b').region;\n`)).toBe('');
  expect(compile(`${use}export const region: number = scopeOfHost('a.b').region;\n`)).toContain('TS2322');
});

it('the version is one', () => {
  expect(VERSION).toBe(manifest.version);
});

it('the published package needs nothing but itself', () => {
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.bin).toEqual({ 'mcp-sigv4-proxy': 'bin/mcp-sigv4-proxy.js' });
});
