import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PACKAGE_NAME, REPOSITORY } from '../../src/version.ts';
import { ROOT } from './source-tree.ts';

/** The script is plain JavaScript, without types. */
const { pathOf, withPackage, withRepository } = await import(
  new URL('../../scripts/set-address.mjs', import.meta.url).href
);

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  readonly name: string;
  readonly homepage: string;
  readonly bugs: { readonly url: string };
  readonly repository: { readonly url: string };
};
const path: string = pathOf(manifest.repository.url);
const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((file) => /\.(?:cjs|json|md|mjs|service|ts|ya?ml)$|^Dockerfile$/.test(file));

it('the address of the repository in package.json and that in src are the same', () => {
  expect(REPOSITORY).toBe(`https://github.com/${path}`);
  expect(manifest.homepage).toBe(`${REPOSITORY}#readme`);
  expect(manifest.bugs.url).toBe(`${REPOSITORY}/issues`);
  expect(PACKAGE_NAME).toBe(manifest.name);
});

it('each link to this repository, and each image, has the address of package.json', () => {
  const name = path.split('/')[1] ?? '';
  const ours = new RegExp(`(?:github\\.com|ghcr\\.io)/[\\w.-]+/(?:${name}|mcp-sigv4-proxy)(?![\\w-])`, 'g');
  const found = files
    .filter((file) => file !== 'test/guards/address.test.ts')
    .flatMap((file) => [...read(file).matchAll(ours)].map(([link]) => `${file} ${link}`));
  expect(found.length).toBeGreaterThan(8);
  const image = path.toLowerCase();
  expect(
    found.filter((each) => !each.endsWith(`github.com/${path}`) && !each.endsWith(`ghcr.io/${image}`)),
  ).toEqual([]);
});

it('each command in the documentation that installs or starts the package has its name of package.json', () => {
  const named = /\bnpx -y ((?:@[\w.-]+\/)?[\w.-]+)|\bnpm install (?:-g )?((?:@[\w.-]+\/)?mcp-[\w.-]+)/g;
  const found = files
    .filter((file) => /^(?:README|docs\/|examples\/|deploy\/|src\/)/.test(file))
    .flatMap((file) => [...read(file).matchAll(named)].map(([, one, other]) => `${file} ${one ?? other}`));
  expect(found.length).toBeGreaterThan(80);
  // Other programs that the documentation mentions.
  const others = /^docs\/library\.md @modelcontextprotocol\//;
  expect(found.filter((each) => !each.endsWith(` ${PACKAGE_NAME}`) && !others.test(each))).toEqual([]);
});

it.each([
  ['https://github.com/a/b/issues', 'https://github.com/C/d/issues'],
  ['git+https://github.com/a/b.git', 'git+https://github.com/C/d.git'],
  ['ghcr.io/a/b:1', 'ghcr.io/c/d:1'],
  [
    'https://github.com/a/b-else https://github.com/x/a/b',
    'https://github.com/a/b-else https://github.com/x/a/b',
  ],
])('scripts/set-address.mjs changes the repository in %s to %s', (text, expected) => {
  expect(withRepository(text, 'a/b', 'C/d')).toBe(expected);
});

it.each([
  ['npx -y pkg --lazy', 'npx -y @a/b --lazy'],
  ['npx pkg login', 'npx @a/b login'],
  ['npm install -g pkg', 'npm install -g @a/b'],
  ['"args": ["-y", "pkg", "--lazy"]', '"args": ["-y", "@a/b", "--lazy"]'],
  ['    args:\n      - -y\n      - pkg\n', '    args:\n      - -y\n      - @a/b\n'],
  ["from 'pkg/fetch'", "from '@a/b/fetch'"],
  ['"name": "pkg",', '"name": "@a/b",'],
  ['pkg tools; ~/.config/pkg; "name": "pkg-site"', 'pkg tools; ~/.config/pkg; "name": "pkg-site"'],
])('scripts/set-address.mjs changes the package in %j to %j, and not the command', (text, expected) => {
  expect(withPackage(text, 'pkg', '@a/b')).toBe(expected);
});

it('scripts/set-address.mjs refuses an address that is no repository on GitHub', () => {
  expect(() => pathOf('https://example.com/a')).toThrow('not the address of a repository on GitHub');
  expect(pathOf('git+https://github.com/a/b.git')).toBe('a/b');
});
