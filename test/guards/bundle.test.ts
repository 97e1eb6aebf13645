import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const DIST = new URL('../../dist/', import.meta.url);

const textOf = (name: string): string => readFileSync(new URL(name, DIST), 'utf8');

/** The chunks that one chunk loads: at once, or by a dynamic import. */
function loadsOf(name: string): { readonly atOnce: string[]; readonly later: string[] } {
  const text = textOf(name);
  const later = [...text.matchAll(/\.then\(\s*\(\)=>\s*[\w$]*\(?\s*require\(\s*"\.\/([^"]+)"\s*\)/g)].map(
    ([, to = '']) => to,
  );
  const all = [...text.matchAll(/require\(\s*"\.\/([^"]+)"\s*\)/g)].map(([, to = '']) => to);
  return { atOnce: all.filter((to) => !later.includes(to)), later };
}

/** The chunks that are loaded when `entry` starts. */
function startOf(entry: string): Set<string> {
  const seen = new Set<string>();
  const open = [entry];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    open.push(...loadsOf(name).atOnce);
  }
  return seen;
}

it('an uncaught error shows one line of a chunk: no line is longer than 2,000 characters', () => {
  const chunks = readdirSync(DIST).filter((name) => name.endsWith('.cjs'));
  expect(chunks.length).toBeGreaterThan(50);
  expect(
    chunks.filter((name) =>
      textOf(name)
        .split('\n')
        .some(({ length }) => length > 2_000),
    ),
  ).toEqual([]);
});

it('chunks export values and no getters, which each use would call', () => {
  expect(textOf('library.cjs')).toContain('module.exports={__esModule:!0,');
  const chunks = readdirSync(DIST).filter((name) => name.endsWith('.cjs'));
  expect(chunks.filter((name) => textOf(name).includes('stdin_exports'))).toEqual([]);
});

describe('the chunks that serving loads at its start', () => {
  const start = [...startOf('cli.cjs')];

  it('the chunks of the start are functions of one script, which keep the names of functions and classes', () => {
    const text = textOf('start-chunks.cjs');
    const names = [...text.matchAll(/"([^"]+\.cjs)":\(function\(exports,/g)].map(([, name]) => name);
    expect(names.sort()).toEqual([...start].sort());
    const named = ['McpProxy=class', 'function readSettings('];
    expect(named.filter((each) => !text.includes(each))).toEqual([]);
  });

  it('the chunks of the start contain undici, which shows that this test reads the chunk graph', () => {
    expect(start.length).toBeGreaterThan(1);
    expect(start.some((name) => textOf(name).includes('UND_ERR_CONNECT_TIMEOUT'))).toBe(true);
  });

  it.each([
    ['the MCP SDK', 'sdk-client-'],
    ['the commands that a person runs', 'run-'],
    ['the logger', 'pino-'],
    ['what serves HTTP clients', 'http-clients-'],
    ['the decoders of compressed bodies', 'decoders-'],
    ['the tunnels through an HTTP proxy', 'tunnel-'],
  ])(
    'the chunks of the start do not contain %s, which other chunks load when they need it',
    (_what, prefix) => {
      const chunks = readdirSync(DIST).filter((name) => name.startsWith(prefix) && name.endsWith('.cjs'));
      expect(chunks.length).toBeGreaterThan(0);
      expect(start.filter((name) => chunks.includes(name))).toEqual([]);
    },
  );

  it('the chunks of the start load no module of Node that few runs use', () => {
    const loaded = start.flatMap((name) => [...textOf(name).matchAll(/require\("(node:[^"]+)"\)/g)]);
    const names = new Set(loaded.map(([, name]) => name));
    expect(names).toContain('node:crypto');
    for (const name of ['assert', 'fs/promises', 'http', 'https', 'zlib'])
      expect(names).not.toContain(`node:${name}`);
  });

  it('the chunks of the start do not contain code of the MCP SDK under any name', () => {
    const isSdk = (name: string): boolean => textOf(name).includes('Server sent invalid initialize result');
    expect(readdirSync(DIST).filter((name) => name.endsWith('.cjs') && isSdk(name))).toHaveLength(1);
    expect(start.filter(isSdk)).toEqual([]);
  });
});
