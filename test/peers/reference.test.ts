import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const TYPEDOC = join(import.meta.dirname, 'node_modules/.bin/typedoc');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'reference-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) =>
  spawnSync(TYPEDOC, ['--options', 'typedoc.json', '--out', join(folder, 'out'), ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });

it('the reference is not written where an export has no documentation', () => {
  const entry = join(folder, 'bare.ts');
  writeFileSync(entry, 'export const bare = 1;\n');
  const tsconfig = join(folder, 'tsconfig.json');
  writeFileSync(tsconfig, '{"files":["bare.ts"]}');
  const { status, stdout, stderr } = run('--entryPoints', entry, '--tsconfig', tsconfig);
  expect(status).not.toBe(0);
  expect(stdout + stderr).toContain('bare (Variable)');
});

it('each export of the library, and each type that it names, is in the reference', () => {
  const { status, stdout, stderr } = run();
  expect(stdout + stderr).toBe('');
  expect(status).toBe(0);
}, 180_000);
