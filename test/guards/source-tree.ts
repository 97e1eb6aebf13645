import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
const SRC = join(ROOT, 'src');

/** Every source file, relative to src, with forward slashes. */
export const sourceFiles = (): string[] =>
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'));

export const sourceText = (file: string): string => readFileSync(join(SRC, file), 'utf8');

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s*)['"](\.[^'"]+)['"]/gm;

/** The files of src that a file imports, by whatever kind of import. */
export const importsOf = (file: string): string[] =>
  [...sourceText(file).matchAll(IMPORT)].map(([, path = '']) => posix.join(dirname(file), path));

export interface Arrow {
  readonly from: string;
  readonly to: string;
}

/** Every circle that a walk along the arrows runs into, as the path of files. */
export function circlesIn(arrows: readonly Arrow[]): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      circles.push([...path.slice(at), file]);
      return;
    }
    if (done.has(file)) return;
    for (const { from, to } of arrows) if (from === file) walk(to, [...path, file]);
    done.add(file);
  };
  for (const { from } of arrows) walk(from, []);
  return circles;
}

/** The first argument of `it`, `test` and `describe`, also after `.each(...)` and `.skipIf(...)`. */
const TITLE = /(?:\b(?:it|test|describe)(?:\.(?:only|skip|fails))?|\))\(\s*(['"`])((?:\\.|(?!\1).)*)\1,/gs;

/** The titles of the tests and blocks of a test file, as they are written between quotes. */
export const titlesIn = (source: string): string[] =>
  [...source.matchAll(TITLE)].map(([, , title = '']) => title.replaceAll("\\'", "'"));
