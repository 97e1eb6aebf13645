import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-tree.ts';

/** The cells of the tables' rows, without heads and rules. */
const rowsOf = (page: string): string[][] =>
  page
    .split('\n')
    .filter((line) => /^\| (?!feature |weakness )/.test(line))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));

/** The rows with an empty cell or another number of cells, or whose last cell is not a test that exists. */
const faultyRows = (page: string, cells: number): string[][] =>
  rowsOf(page).filter((row) => {
    const test = row.at(-1) ?? '';
    return (
      row.length !== cells || row.includes('') || !(test.startsWith('test/') && existsSync(join(ROOT, test)))
    );
  });

const [features = '', weaknesses = ''] = readFileSync(join(ROOT, 'docs/seeds.md'), 'utf8').split(
  '## Weaknesses that are not taken over',
);

it('the check of docs/seeds.md finds an empty cell and a test that does not exist', () => {
  const test = 'test/guards/seeds.test.ts';
  const page = `| feature | here | test |\n| a | b | ${test} |\n| a |  | ${test} |\n| a | b | test/none.ts |`;
  expect(faultyRows(page, 3)).toEqual([
    ['a', '', test],
    ['a', 'b', 'test/none.ts'],
  ]);
});

it('each feature of docs/seeds.md has a name of ours and a test that exists', () => {
  expect(rowsOf(features).length).toBeGreaterThan(50);
  expect(faultyRows(features, 3)).toEqual([]);
});

it('each weakness of docs/seeds.md that is not taken over has a test that exists', () => {
  expect(rowsOf(weaknesses).length).toBeGreaterThan(60);
  expect(faultyRows(weaknesses, 2)).toEqual([]);
});
