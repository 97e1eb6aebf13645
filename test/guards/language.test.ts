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

/** The names that more than one file declares as a type. */
function repeatedTypes(sources: Readonly<Record<string, string>>): string[] {
  const files = new Map<string, string[]>();
  for (const [file, source] of Object.entries(sources)) {
    for (const [, name = ''] of source.matchAll(/^(?:export )?(?:interface|class|type|enum) (\w+)/gm))
      files.set(name, [...(files.get(name) ?? []), file]);
  }
  return [...files].flatMap(([name, places]) => (places.length > 1 ? [`${name}: ${places.join(', ')}`] : []));
}

it('each type name is declared in one file of src, and a repeated name would be found', () => {
  const repeated = { 'a.ts': 'export interface Lease {\n', 'b.ts': 'type Lease = 1;\nclass Other {' };
  expect(repeatedTypes(repeated)).toEqual(['Lease: a.ts, b.ts']);
  const sources = files.filter((file) => file.startsWith('src/'));
  const texts = sources.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]);
  expect(repeatedTypes(Object.fromEntries(texts))).toEqual([]);
});
