import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, sourceFiles, sourceText } from './source-tree.ts';

const MIN_LISTED_BYTES = 32 * 1024;
const BOUND =
  /^(?:export )?const ((?:MAX|HIGH)_[A-Z_\d]*(?:BYTES|CHARACTERS)) =\s*(heapShare\()?([\d_ *]+)\)?;/gm;

interface Bound {
  readonly name: string;
  readonly size: string;
  readonly file: string;
}

const sizeText = (bytes: number): string =>
  bytes >= 1024 * 1024 ? `${bytes / 1024 / 1024} MiB` : `${bytes / 1024} KiB`;

function boundsIn(file: string, text: string): Bound[] {
  return [...text.matchAll(BOUND)].flatMap(([, name = '', shared, product = '']) => {
    const bytes = product.split('*').reduce((all, each) => all * Number(each.replaceAll('_', '')), 1);
    const size = `${sizeText(bytes)}${shared ? ', heap / 8' : ''}`;
    return bytes < MIN_LISTED_BYTES ? [] : [{ name, size, file }];
  });
}

it('docs/memory.md lists every bound of 32 KiB and more with the value in the code', () => {
  const bounds = sourceFiles().flatMap((file) => boundsIn(file, sourceText(file)));
  expect(boundsIn('a.ts', 'const MAX_A_BYTES = heapShare(2 * 1024 * 1024);')).toEqual([
    { name: 'MAX_A_BYTES', size: '2 MiB, heap / 8', file: 'a.ts' },
  ]);
  expect(bounds.length).toBeGreaterThan(20);
  const rows = readFileSync(join(ROOT, 'docs/memory.md'), 'utf8').split('\n');
  const missing = bounds.filter(
    ({ name, size, file }) =>
      !rows.some(
        (row) =>
          (row.startsWith(`| \`${name}\` | `) || row.startsWith(`| \`${name}\` in \`${file}\` | `)) &&
          row.includes(`| ${size} |`),
      ),
  );
  expect(missing).toEqual([]);
});
