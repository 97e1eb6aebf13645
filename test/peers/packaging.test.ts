import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

it('attw finds no fault in the types of the packed package, for no kind of resolution', () => {
  const folder = mkdtempSync(join(tmpdir(), 'packed-'));
  try {
    const packed = execFileSync('npm', ['pack', ROOT, '--ignore-scripts', '--silent'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const attw = join(import.meta.dirname, 'node_modules/.bin/attw');
    // Its exit code is 1 where it finds a fault.
    const report = execFileSync(attw, [join(folder, packed.trim()), '--no-emoji', '--format', 'json'], {
      encoding: 'utf8',
    });
    expect(JSON.parse(report).problems ?? {}).toEqual({});
  } finally {
    rmSync(folder, { recursive: true });
  }
});
