import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, titlesIn } from './source-tree.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The rows of the page: the links to reports, and the test for each. */
const rows = read('docs/peer-issues.md')
  .split('\n')
  .filter((line) => line.startsWith('| ['))
  .map((line) => {
    const [, reports = '', , test = ''] = line.split('|').map((cell) => cell.trim());
    const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(test) ?? [];
    return { reports, file, title };
  });

const titlesOf = (file: string): string[] => titlesIn(read(file)).map((title) => title.replaceAll('’', "'"));

it('docs/peer-issues.md has rows, and this guard reads them', () => {
  expect(rows.length).toBeGreaterThan(20);
  expect(titlesOf('test/guards/peer-issues.test.ts')).toContain(
    'titlesIn does not find a title that does not exist',
  );
});

it('titlesIn does not find a title that does not exist', () => {
  expect(titlesOf('test/guards/peer-issues.test.ts')).not.toContain('a title that nobody has written');
});

it.each(rows)('the test for $reports exists in $file under its title', ({ file, title }) => {
  expect(title.length).toBeGreaterThan(5);
  const found = titlesOf(file).some((written) => written.includes(title.replaceAll('’', "'")));
  expect(found, `${file}: ${title}`).toBe(true);
});

it.each(rows)('docs/peer-issues.md: the numbers $reports have the right links', ({ reports }) => {
  for (const report of reports.split('), [').map((text) => text.replace(/^\[?|\)?$/g, ''))) {
    const [, repo = 'aws/mcp-proxy-for-aws', number, url] =
      /^([\w-]+\/[\w-]+)?#(\d+)\]\((.+)$/.exec(report) ?? [];
    expect(url).toMatch(new RegExp(`^https://github\\.com/${repo}/(issues|pull)/${number}$`));
  }
});
