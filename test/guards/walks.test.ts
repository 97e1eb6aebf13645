import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, sourceFiles, sourceText } from './source-tree.ts';

/** The most modules that a message may pass, for each walk of docs/walks.md. */
const MAX_STATIONS: Readonly<Record<string, number>> = {
  'One tools/call on stdio': 21,
  'One tools/list through filter and cache': 15,
  'One request of the listener': 15,
  'One resolution of credentials': 15,
};

interface Station {
  readonly file: string;
  readonly name: string;
}

const page = readFileSync(join(ROOT, 'docs/walks.md'), 'utf8');

function stationsUnder(heading: string): Station[] {
  const [, section = ''] = page.split(`## ${heading}\n`);
  const [table = ''] = section.split('\n## ');
  const rows = table.matchAll(/^\| \d+ \| `src\/([\w./-]+)` `(#?\w+)` \|/gm);
  return [...rows].map(([, file = '', name = '']) => ({ file, name }));
}

/** Whether the file declares a function, a method or a class of this name. */
function declares({ file, name }: Station): boolean {
  const declaration = `^ *(?:(?:export|async|function|class|readonly|const) )*${name}(?:[<(:]| = | implements )`;
  return sourceFiles().includes(file) && new RegExp(declaration, 'm').test(sourceText(file));
}

it.each(Object.entries(MAX_STATIONS))('docs/walks.md follows the code: %s', (heading, max) => {
  const stations = stationsUnder(heading);
  expect(stations.length).toBeGreaterThan(8);
  expect(stations.length).toBeLessThanOrEqual(max);
  expect(stations.filter((station) => !declares(station))).toEqual([]);
  const files = stations.map(({ file }) => file);
  expect(files.filter((file, at) => files.indexOf(file) !== at)).toEqual([]);
});

it('the check of docs/walks.md finds a function that a file does not declare', () => {
  expect(declares({ file: 'pool/pool.ts', name: 'leasePrimary' })).toBe(true);
  expect(declares({ file: 'pool/pool.ts', name: 'noSuchFunction' })).toBe(false);
});
