import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { envExample, helpText, optionsMarkdown, readmeWith } from '../../src/help.ts';
import { OPTIONS } from '../../src/settings.ts';
import { ROOT } from './source-tree.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

it("the README's option table and example are those of the code (npm run docs writes them)", () => {
  const readme = read('README.md');
  expect(readme).toContain(optionsMarkdown());
  expect(readme).toBe(readmeWith(readme, read('examples/library.mjs')));
});

it('.env.example is that of the code (npm run docs writes it)', () => {
  expect(read('.env.example')).toBe(envExample());
});

it('every option stands in help, README and .env.example', () => {
  for (const key of Object.keys(OPTIONS)) {
    const flag = `--${key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
    expect(helpText()).toContain(`  ${flag}`);
    expect(optionsMarkdown()).toContain(`\`${flag}`);
    expect(envExample()).toContain(`MCP_PROXY_${flag.slice(2).toUpperCase().replaceAll('-', '_')}=`);
  }
});

it('the changelog has a place for what is not yet released', () => {
  expect(read('CHANGELOG.md')).toContain('## [Unreleased]');
});

it('the README links to nothing in this repository that is not there', () => {
  const links = [...read('README.md').matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
  const headings = [...read('README.md').matchAll(/^## (.+)$/gm)].map(
    ([, title = '']) =>
      `#${title
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replaceAll(' ', '-')}`,
  );
  expect(links.length).toBeGreaterThan(1);
  for (const link of links.filter((target) => !/^https?:/.test(target))) {
    expect(link.startsWith('#') ? headings.includes(link) : existsSync(join(ROOT, link)), link).toBe(true);
  }
});
