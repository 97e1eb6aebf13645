import { describe, expect, test } from 'vitest';
import { matchesAny, matchesGlob } from '../../../src/core/tools/glob.ts';

describe('a glob', () => {
  test.each([
    ['*', ''],
    ['*', 'aws___call_aws'],
    ['**', 'anything'],
    ['aws___*', 'aws___call_aws'],
    ['*_aws', 'aws___call_aws'],
    ['*call*', 'aws___call_aws'],
    ['aws*call*aws', 'aws___call_aws'],
    ['aws___call_aws', 'aws___call_aws'],
    ['get_?', 'get_a'],
    ['?', '\u{1F600}'],
    ['*?\u{1F600}', 'a\u{1F601}\u{1F600}'],
    ['*a*b', 'aabab'],
    ['', ''],
    ['ns/*', 'ns/tool/deep'],
    ['a.b', 'a.b'],
    ['[x]', '[x]'],
    ['a\\b', 'a\\b'],
  ])('the glob %j matches %j', (pattern, text) => {
    expect(matchesGlob(pattern, text)).toBe(true);
  });

  test.each([
    ['', 'x'],
    ['?', ''],
    ['?', 'ab'],
    ['??', '\u{1F600}'],
    ['*\u{DE00}', '\u{1F600}'],
    ['aws___*', 'AWS___call'],
    ['aws___*', 'aws__call'],
    ['*_aws', 'aws___call_aws2'],
    ['get', 'get_more'],
    ['get', 'target'],
    ['a.b', 'axb'],
    ['[x]', 'x'],
    ['*a*b', 'aabac'],
    ['aws*call*aws', 'awscall'],
  ])('the glob %j does not match %j', (pattern, text) => {
    expect(matchesGlob(pattern, text)).toBe(false);
  });

  test('a glob agrees with its regular expression for every short pattern and name', () => {
    const texts = (letters: string, upTo: number): string[] =>
      upTo === 0
        ? ['']
        : ['', ...[...letters].flatMap((c) => texts(letters, upTo - 1).map((rest) => c + rest))];
    const names = [...new Set(texts('ab', 4))];
    for (const pattern of new Set(texts('ab*?', 4))) {
      const meant = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      for (const name of names) {
        expect([pattern, name, matchesGlob(pattern, name)]).toEqual([pattern, name, meant.test(name)]);
      }
    }
  });

  test('a glob takes no exponential time for a hostile pattern', () => {
    expect(matchesGlob(`${'a*'.repeat(40)}b`, 'a'.repeat(2_000))).toBe(false);
  });
});

describe('a list of globs', () => {
  test('a list of globs matches what any of them matches', () => {
    expect(matchesAny(['x', 'get_*'], 'get_a')).toBe(true);
    expect(matchesAny(['x', 'get_*'], 'put_a')).toBe(false);
  });

  test('an empty list of globs matches nothing', () => {
    expect(matchesAny([], '')).toBe(false);
  });
});
