import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, titlesIn } from './source-tree.ts';

/** Beginnings that need the titles of the blocks, which a failure line may not show. */
const CONTINUATIONS = [
  // A placeholder, whose value is known only from the table.
  /^(?:%\w|\$)/,
  // Conjunctions, relative and personal pronouns, auxiliary verbs.
  /^(?:and|but|or|nor|of|that|which|who|whose|what|it|its|they|their|is|are|was|were|has|have|does|do|did)\b/,
  /^(?:can|cannot|could|may|might|must|should|will|would|not|never|also)\b/,
  // Verbs without a subject, of which none is a plural noun.
  /^(?:accepts|adds|becomes|begins|brings|carries|closes|comes|connects|continues|deletes|emits|ends|fails)\b/,
  /^(?:finds|forgets|frees|gets|gives|goes|has|holds|ignores|keeps|knows|leads|leaves|lets|loses|matches)\b/,
  /^(?:opens|passes|prints|refuses|rejects|removes|replaces|resolves|runs|says|sends|shows|starts|stays)\b/,
  /^(?:abandons|aborts|asks|makes|serves|stands|stops|survives|takes|tells|throws|uses|warns|works)\b/,
  // A verb that could be a noun: an article or a pronoun follows, as it never follows a subject.
  /^[a-z]+s (?:a|an|the|its|it|them|each|every|both|all|one|several|no|nothing|none|what|whose|twice|again|neither|any)\b/,
];

const continues = (title: string): boolean => CONTINUATIONS.some((pattern) => pattern.test(title));

const testFiles = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'));

it.each([
  'is not sent again',
  'of a profile ends at an ARN',
  'keeps the order',
  'describes one tool',
  'reports a failure once',
  'does not wait',
  '%s is refused',
  'that breaks off is an error',
  'and a server of SDK %s',
  'may be empty',
])('the check of titles detects that "%s" continues another title', (title) => {
  expect(continues(title)).toBe(true);
});

it.each([
  'a call is not sent again',
  'calls that wait are refused',
  '--max-concurrent queues calls in order',
  'errors of connecting name the host',
  'tools lists the tools of the server',
  'no help text of an option refers to another row',
])('the check of titles accepts "%s"', (title) => {
  expect(continues(title)).toBe(false);
});

it('the check of titles reads the titles of tests, of blocks and of tables', () => {
  const source = `
describe('block', () => {
  it('plain', () => make(x)('no title'));
  it("with an id's quotes", () => {});
  it.each([
    ['row', 1],
  ])('rows of a table: %s', () => {});
  it.skipIf(process.platform === 'win32')(
    'line of its own',
    () => {},
  );
  it.each(rows)(\`a template\`, () => {});
});`;
  expect(titlesIn(source)).toEqual([
    'block',
    'plain',
    "with an id's quotes",
    'rows of a table: %s',
    'line of its own',
    'a template',
  ]);
});

it('each title of a test or a block can be understood without the titles around it', () => {
  expect(testFiles.length).toBeGreaterThan(200);
  const found = testFiles.flatMap((file) =>
    titlesIn(readFileSync(join(ROOT, 'test', file), 'utf8'))
      .filter(continues)
      .map((title) => `test/${file}: ${title}`),
  );
  expect(found).toEqual([]);
});
