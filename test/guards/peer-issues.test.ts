import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-tree.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The rows of the page: the links to reports, and the test that stands for each. */
const rows = read('docs/peer-issues.md')
  .split('\n')
  .filter((line) => line.startsWith('| ['))
  .map((line) => {
    const [, reports = '', , test = ''] = line.split('|').map((cell) => cell.trim());
    const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(test) ?? [];
    return { reports, file, title };
  });

/** The titles of a test file, as they are written between quotes. */
const titlesOf = (file: string): string[] =>
  [...read(file).matchAll(/(?:\b(?:it|test|describe)|\])[^'"`\n]*\(\s*(['"`])((?:(?!\1).)*)\1/g)].map(
    ([, , title = '']) => title.replaceAll('’', "'"),
  );

it('the page of the official proxy’s issues has rows, and this guard reads them', () => {
  expect(rows.length).toBeGreaterThan(20);
  expect(titlesOf('test/guards/peer-issues.test.ts')).toContain('a title that is looked for by itself');
});

it('a title that is looked for by itself', () => {
  expect(titlesOf('test/guards/peer-issues.test.ts')).not.toContain('a title that nobody has written');
});

it.each(rows)('$reports: the test $file exists under that title', ({ file, title }) => {
  expect(title.length).toBeGreaterThan(5);
  const found = titlesOf(file).some((written) => written.includes(title.replaceAll('’', "'")));
  expect(found, `${file}: ${title}`).toBe(true);
});

it.each(rows)('$reports are numbers with the links that belong to them', ({ reports }) => {
  for (const report of reports.split('), [').map((text) => text.replace(/^\[?|\)?$/g, ''))) {
    const [, repo = 'aws/mcp-proxy-for-aws', number, url] =
      /^([\w-]+\/[\w-]+)?#(\d+)\]\((.+)$/.exec(report) ?? [];
    expect(url).toMatch(new RegExp(`^https://github\\.com/${repo}/(issues|pull)/${number}$`));
  }
});
