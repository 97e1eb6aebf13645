import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-tree.ts';

/** Its tests are in a folder of their own. */
const POOL = 'SessionPool';

/** The cells of the tables' rows, without heads and rules. */
const rowsOf = (page: string): string[][] =>
  page
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| feature '))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));

/** The rows that lack a cell, or whose test is neither a file nor that of the pool. */
const faultyRows = (page: string): string[][] =>
  rowsOf(page).filter(
    (row) =>
      row.length !== 3 ||
      row.includes('') ||
      (row[2] !== POOL && !(row[2]?.startsWith('test/') && existsSync(join(ROOT, row[2])))),
  );

it('the check of docs/seeds.md finds an empty cell and a test that does not exist', () => {
  const page =
    '| feature | here | test |\n| a | b | SessionPool |\n| a |  | SessionPool |\n| a | b | test/none.ts |';
  expect(faultyRows(page)).toEqual([
    ['a', '', 'SessionPool'],
    ['a', 'b', 'test/none.ts'],
  ]);
});

it('each feature of docs/seeds.md has a name of ours and a test that exists', () => {
  const page = readFileSync(join(ROOT, 'docs/seeds.md'), 'utf8');
  expect(rowsOf(page).length).toBeGreaterThan(50);
  expect(faultyRows(page)).toEqual([]);
});
