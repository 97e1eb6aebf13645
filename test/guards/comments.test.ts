import { expect, it } from 'vitest';
import { sourceFiles, sourceText } from './source-tree.ts';

const MAX_COLUMNS = 100;
const COMMENT = /^\s*(?:\/\/|\/\*|\*(?:\s|\/|$))/;
/** A directive must be one line, because it concerns the line after it. */
const DIRECTIVE = /^\s*\/\/ (?:@ts-|biome-ignore)/;

/** The numbers of the lines of a source that hold a comment wider than the limit. */
const wideComments = (source: string): number[] =>
  source
    .split('\n')
    .flatMap((line, at) =>
      line.length > MAX_COLUMNS && COMMENT.test(line) && !DIRECTIVE.test(line) ? [at + 1] : [],
    );

it('the check of comment width detects wide comments of each kind and passes over code', () => {
  const wide = 'w'.repeat(MAX_COLUMNS);
  const source = [
    `// ${wide}`,
    `/** ${wide} */`,
    ` * ${wide}`,
    `  // biome-ignore ${wide}`,
    `const a = '${wide}';`,
  ];
  expect(wideComments(source.join('\n'))).toEqual([1, 2, 3]);
});

it('comments in src are at most 100 columns wide (npm run format:comments wraps them)', () => {
  const wide = sourceFiles().flatMap((file) =>
    wideComments(sourceText(file)).map((line) => `src/${file}:${line}`),
  );
  expect(wide).toEqual([]);
});
