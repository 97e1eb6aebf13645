import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/command-table.ts';
import { clientGuides } from '../../src/commands/config/guide.ts';
import { flagOf, type OptionTable, variableOf } from '../../src/config/option.ts';
import { SHORTHANDS } from '../../src/config/shorthands.ts';
import { ERROR_CODES } from '../../src/core/errors/errors.ts';
import * as library from '../../src/library/index.ts';
import {
  configSchemaText,
  envExample,
  libraryHandlerOptions,
  libraryOptions,
  manPage,
  optionsMarkdown,
  pageWith,
} from '../../src/option-docs.ts';
import { helpText } from '../../src/program.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from '../../src/settings.ts';
import { DOC_PAGES, pageText } from '../support/doc-pages.ts';
import { ROOT } from './source-tree.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const examples = Object.fromEntries(
  readdirSync(join(ROOT, 'examples')).map((name) => [name, read(`examples/${name}`)]),
);

it('the option table and the examples in docs/ equal the code (npm run docs writes them)', () => {
  expect(read('docs/options.md')).toContain(optionsMarkdown());
  for (const name of [
    'sdk-client.mjs',
    'library.mjs',
    'redact-result.mjs',
    'session-pool.mjs',
    'sign-request.mjs',
  ])
    expect(read('docs/library.md')).toContain(read(`examples/${name}`));
  for (const page of DOC_PAGES) expect(pageText(page), page).toBe(pageWith(pageText(page), examples));
});

it('.env.example equals the code (npm run docs writes it)', () => {
  expect(read('.env.example')).toBe(envExample());
  expect(read('src/library/proxy-options.ts')).toBe(libraryOptions());
  expect(read('src/library/handler-options.ts')).toBe(libraryHandlerOptions());
});

it('the schema of the configuration file is that of the code (npm run docs writes it)', () => {
  expect(read('schema/config.schema.json')).toBe(configSchemaText());
});

it('the manual page is that of the code (npm run docs writes it)', () => {
  expect(read('man/mcp-sigv4-proxy.1')).toBe(manPage());
});

const GUIDES = readdirSync(join(ROOT, 'docs/clients')).map((name) => `docs/clients/${name}`);

it('the guides of docs/clients/ are those of the table of clients (npm run docs writes them)', async () => {
  const written = Object.fromEntries(GUIDES.map((path) => [path.replace('docs/clients/', ''), read(path)]));
  expect(written).toEqual(await clientGuides());
});

it('site/sidebar.mjs lists every page of docs/, so that the documentation site can be built', async () => {
  // The modules of the site are plain JavaScript, without types.
  const { unlisted } = await import(new URL('../../site/sidebar.mjs', import.meta.url).href);
  const pages = DOC_PAGES.flatMap((page) => (page.startsWith('docs/') ? [page.slice('docs/'.length)] : []));
  expect(unlisted(pages)).toEqual([]);
  expect(unlisted(['no-such-page.md'])).toEqual(['no-such-page.md']);
});

it('every option is in --help-all, docs/options.md and .env.example', () => {
  for (const key of Object.keys(OPTIONS)) {
    const flag = `--${key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
    expect(helpText()).toContain(`  ${flag}`);
    expect(optionsMarkdown()).toContain(`\`${flag}`);
    expect(envExample()).toContain(`MCP_PROXY_${flag.slice(2).toUpperCase().replaceAll('-', '_')}=`);
  }
});

it('the changelog has a place for unreleased changes', () => {
  expect(read('CHANGELOG.md')).toContain('## [Unreleased]');
});

const MAX_README_LINES = 200;

it('the README has at most 200 lines, so that it stays an introduction', () => {
  expect(pageText('README.md').split('\n').length - 1).toBeLessThanOrEqual(MAX_README_LINES);
});

/** A page without its fenced blocks. */
const proseOf = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, '');

const linksIn = (text: string): string[] =>
  [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsIn = (text: string): string[] =>
  [...proseOf(text).matchAll(/^#{1,4} (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^a-z0-9 _-]/g, '')
      .replaceAll(' ', '-'),
  );

/** Files that the project announces and does not have yet. */
const AWAITED: ReadonlySet<string> = new Set(['SECURITY.md']);

/** The links of a page that lead nowhere. */
function brokenLinks(page: string, text: string): string[] {
  return linksIn(text)
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT, target))) return !AWAITED.has(target);
      return anchor !== undefined && !anchorsIn(path === '' ? text : read(target)).includes(anchor);
    });
}

it('the check of links detects a missing file and a missing anchor', () => {
  const text = '# Title\n[a](#title) [b](#other) [c](no-such-page.md) [d](errors.md#no-such-heading)';
  expect(brokenLinks('docs/errors.md', text)).toEqual([
    '#other',
    'no-such-page.md',
    'errors.md#no-such-heading',
  ]);
});

it.each([...DOC_PAGES, ...GUIDES])('the links of %s lead to existing files and anchors', (page) => {
  expect(brokenLinks(page, pageText(page))).toEqual([]);
});

it('the README links to every page of docs/', () => {
  const links = linksIn(pageText('README.md')).map((link) => link.split('#')[0]);
  expect(links).toEqual(expect.arrayContaining(DOC_PAGES.filter((page) => page !== 'README.md')));
});

const FLAGS: ReadonlySet<string> = new Set([
  ...[
    OPTIONS as OptionTable,
    ...Object.values(COMMANDS).map(({ options }) => options as OptionTable),
  ].flatMap((table) => Object.keys(table).map(flagOf)),
  '--help',
  '--help-all',
  '--version',
  ...Object.keys(SHORTHANDS),
]);

/** Flags of other programs, which pages name beside ours. */
const FOREIGN_FLAGS: Readonly<Record<string, readonly string[]>> = {
  'docs/deploy.md': ['--set', '--cluster-name', '--namespace', '--service-account'],
  'docs/commands.md': ['--no-'],
  'docs/options.md': ['--no-'],
  'docs/executable.md': ['--check', '--ignore-missing'],
  'docs/migrating.md': [
    '--allow-http',
    '--transport',
    '--ignore-tool',
    '--enable-proxy',
    '--debug',
    '--host',
    '--static-oauth-client-info',
    '--auth-timeout',
  ],
  'docs/peer-issues.md': ['--write-timeout'],
  'docs/listener.md': ['--max-semi-space-size'],
};

/** The flags that a page names in inline code, ours and others. */
const flagsIn = (text: string): string[] =>
  [...proseOf(text).matchAll(/`([^`\n]+)`/g)].flatMap(([, code = '']) =>
    /^(?:npm|npx vitest|node|docker|haproxy) /.test(code)
      ? []
      : (code.match(/(?<![\w-])--[a-z][\w-]*/g) ?? []),
  );

it('the check of flags finds the flags in inline code', () => {
  expect(flagsIn('`--lazy` and `x --no-such-flag 3`, `npm run soak -- --with x`')).toEqual([
    '--lazy',
    '--no-such-flag',
  ]);
});

it.each(DOC_PAGES)('the flags in %s exist', (page) => {
  const unknown = flagsIn(pageText(page)).filter((flag) => !FLAGS.has(flag));
  expect(unknown.filter((flag) => !FOREIGN_FLAGS[page]?.includes(flag))).toEqual([]);
});

it.each(DOC_PAGES)('the variables of the proxy in %s exist', (page) => {
  const variables = new Set([ENDPOINT_VARIABLE, ...Object.keys(OPTIONS).map(variableOf)]);
  const named = pageText(page).match(/\bMCP_PROXY_[A-Z_]*[A-Z]\b/g) ?? [];
  expect(named.filter((name) => !variables.has(name))).toEqual([]);
});

it.each(DOC_PAGES)('the document %s suggests no file in a folder that other users can write to', (page) => {
  expect(pageText(page).match(/(?:--[\w-]*file|--ca-bundle|>)[ =]\/(?:var\/)?tmp\/\S*/g) ?? []).toEqual([]);
});

it('docs/library.md names only exports that exist', () => {
  // The table of all exports is compared with the packed package.
  const [page = ''] = pageText('docs/library.md').split('## All exports');
  const [, ...tables] = page.split('| export | purpose |');
  const names = [...tables.join('\n').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(7);
  for (const name of names) expect(library).toHaveProperty(name);
});

it('the tables of reasons in the README and docs/troubleshooting.md name reasons that exist', () => {
  for (const page of ['README.md', 'docs/troubleshooting.md', 'docs/tools.md']) {
    const [, table = ''] = pageText(page).split('| reason | ');
    const reasons = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| (`[^|]+) \|/gm)].flatMap(
      ([, cell = '']) => cell.match(/[a-z-]+/g) ?? [],
    );
    expect(reasons.length, page).toBeGreaterThan(2);
    expect(
      reasons.filter((reason) => !Object.hasOwn(ERROR_CODES, reason)),
      page,
    ).toEqual([]);
  }
});
