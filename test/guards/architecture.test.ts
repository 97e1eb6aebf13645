import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FOLDER_RANKS, RANKS } from './ranks.ts';
import { ROOT, sourceFiles, sourceText } from './source-tree.ts';

const PAGE = 'docs/architecture.md';
const page = readFileSync(join(ROOT, PAGE), 'utf8');

/** The texts between backticks. */
const named = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);

/** The names in the first cells of the table under that heading, row by row. */
function rowsUnder(heading: string): string[][] {
  const [, rows = ''] = page.split(`| ${heading} |`);
  const [table = ''] = rows.split('\n\n');
  return table
    .split('\n')
    .slice(2)
    .map((row) => named(row.split('|')[1] ?? ''));
}

it('docs/architecture.md names the folders by rank, as the guard of the imports does', () => {
  expect(rowsUnder('in `src`').reverse()).toEqual(RANKS);
  for (const [folder, ranks] of Object.entries(FOLDER_RANKS)) {
    expect(rowsUnder(`in \`src/${folder}\``).reverse(), folder).toEqual(ranks);
  }
});

it('docs/architecture.md names every layer', () => {
  const layers = sourceFiles().filter((file) => /^layers\/(?:[^/]+|([^/]+)\/\1)\.ts$/.test(file));
  expect(layers.length).toBeGreaterThan(8);
  expect(named(page)).toEqual(expect.arrayContaining(layers.map((file) => `src/${file}`)));
});

it('docs/architecture.md names the one file that replaces sessions and uses their quota', () => {
  const [, row = ''] = page.split('| Where is a lost session replaced? |');
  expect(named(row.split('\n')[0] ?? '')).toEqual(['src/pool/pool.ts', 'lose']);
  expect(sourceText('pool/pool.ts')).toMatch(/^ {2}lose\(/m);
  const users = sourceFiles().filter((file) =>
    /\bquota\.(acquire|forceAcquire|release|removeWaiter)\(/.test(sourceText(file)),
  );
  expect(users).toEqual(['pool/pool.ts']);
});

it('docs/architecture.md names no file that does not exist', () => {
  const paths = [...page.matchAll(/\b(?:src|test|scripts|docs)\/[\w./-]+/g)].map(([path]) =>
    path.replace(/\.$/, ''),
  );
  expect(paths.length).toBeGreaterThan(30);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);

  const scripts: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;
  const commands = [...page.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name);
  for (const command of commands) expect(scripts).toHaveProperty([command ?? '']);

  const code = [
    'config/option.ts',
    'core/pipeline/call.ts',
    'core/errors/error-table.ts',
    'core/errors/errors.ts',
    'core/pipeline/events.ts',
    'settings.ts',
  ].map(sourceText);
  const identifiers = [
    'ERRORS',
    'ProxyEvent',
    'OPTIONS',
    'ProxyError',
    'Handler',
    'Layer',
    'toggle',
    'decimal',
  ];
  for (const name of identifiers) {
    expect(page).toContain(name);
    expect(
      code.some((text) => new RegExp(`export (const|type|class|interface) ${name}\\b`).test(text)),
      name,
    ).toBe(true);
  }
});
