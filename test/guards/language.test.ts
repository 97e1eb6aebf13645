import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-tree.ts';

/** A sentence whose subject is a clause has to be read twice: "What waits is what will be sent." */
const CLAUSE_AS_SUBJECT =
  /(?:^\s*(?:\/\/|\/\*\*?|\*)|[.;:])\s+(?:Who|Whoever|Whose|What|Whatever|Of)\s+[a-z]/;
const COMMENT = /^\s*(?:\/\/|\/\*|\*(?:\s|$))/;
/** The names of bounds begin with MAX_ or MIN_. */
const OTHER_BOUND = /\b(?:MOST|LEAST|LONGEST|SHORTEST|LARGEST|SMALLEST|FEWEST|MAXIMUM|MINIMUM)_[A-Z_]+\b/;

/** The numbers of the lines of a source that have such a sentence in a comment, or such a name. */
const faults = (source: string): number[] =>
  source
    .split('\n')
    .flatMap((line, at) =>
      (COMMENT.test(line) && CLAUSE_AS_SUBJECT.test(line)) || OTHER_BOUND.test(line) ? [at + 1] : [],
    );

it('the check of language detects clauses as subjects in comments, and bounds under other names', () => {
  const source = [
    '// Who waits here needs a session.',
    '/** Before any limit: the text is final. What waits is what will be sent. */',
    ' * Of the reader, who moves it on.',
    'const LONGEST_WAIT_MS = 1;',
    '// Waits for whoever comes.',
    "const text = 'What went wrong';",
    'const MAX_WAIT_MS = 1;',
  ];
  expect(faults(source.join('\n'))).toEqual([1, 2, 3, 4]);
});

const files = ['src', 'test', 'scripts', 'bench', 'examples'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .filter((file) => /\.m?[jt]s$/.test(file) && !file.includes('node_modules')),
);

it('comments have nouns as subjects, and bounds begin with MAX_ or MIN_', () => {
  expect(files.length).toBeGreaterThan(400);
  const found = files
    .filter((file) => !file.endsWith('guards/language.test.ts'))
    .flatMap((file) => {
      const source = readFileSync(join(ROOT, file), 'utf8');
      return faults(source).map((line) => `${file}:${line} ${source.split('\n')[line - 1]}`);
    });
  expect(found).toEqual([]);
});
