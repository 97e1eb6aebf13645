import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-tree.ts';

const text = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');

it('the test files that SECURITY.md names exist, and each guarantee names one', () => {
  const named = [...text.matchAll(/`(test\/[^`]+\.ts)`/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const [, table = ''] = text.split('## Guarantees and their tests\n');
  const rows = table.trim().split('\n\n')[0]?.split('\n').slice(2) ?? [];
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.filter((row) => !row.includes('`test/'))).toEqual([]);
});

it('SECURITY.md has at most 120 lines, is packed, and names where to report', () => {
  expect(text.split('\n').length).toBeLessThanOrEqual(120);
  const { files, repository } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(files).toContain('SECURITY.md');
  const home = String(repository.url).replace(/^git\+|\.git$/g, '');
  expect(text).toContain(`${home}/security/advisories/new`);
});
