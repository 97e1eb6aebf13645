import { describe, expect, it } from 'vitest';
import { firstLine, plainJson, plainText, truncate } from '../../../src/core/system/plain-text.ts';
import { UNSAFE_CHARACTERS } from '../../support/unsafe-characters.ts';

describe('plainText', () => {
  it('plainText removes every control, zero-width, bidirectional and tag character', () => {
    for (const character of UNSAFE_CHARACTERS) {
      const shown = plainText(`a${character}b`);
      expect(shown.replace('\n', ''), JSON.stringify(character)).toMatch(/^a?b?$/);
    }
  });

  it.each([
    ['colours', '\u001b[31mred\u001b[0m', 'red'],
    ['a title that is ended by a bell', '\u001b]0;owned\u0007text', 'text'],
    ['an unfinished sequence', 'text\u001b[', 'text['],
    ['an 8-bit sequence', '\u009b31mred', 'red'],
    ['line ends of every kind', 'a\r\nb\rc\u2028d\u2029e\tf', 'a\nb\nc\nd\ne\tf'],
    ['text of every script', 'Größe 大 שלום 👍', 'Größe 大 שלום 👍'],
  ])('plainText cleans or keeps: %s', (_what, text, shown) => {
    expect(plainText(text)).toBe(shown);
  });

  it('plainText takes time linear in the length of the text', () => {
    for (const part of ['\u001b[', '\u001b[0;', '\u001b];a', '\u009b1', ';', '\u001b[;']) {
      const started = performance.now();
      plainText(part.repeat(200_000));
      // A quadratic pattern needs minutes for this.
      expect(performance.now() - started, JSON.stringify(part)).toBeLessThan(5_000);
    }
  });
});

it('plainJson escapes what plainText removes, and keeps the value', () => {
  // The writer escapes the characters that JSON itself requires.
  const value = UNSAFE_CHARACTERS.filter((character) => !JSON.stringify(character).includes('\\')).join('');
  const json = `{"text":\r\n${JSON.stringify(`${value}é`)}}`;
  const shown = plainJson(json);
  expect(JSON.parse(shown)).toEqual({ text: `${value}é` });
  expect(shown).toBe(plainText(shown));
  expect(shown).toContain('é');
});

it('firstLine returns the first line that is not blank, and truncate at most what fits', () => {
  expect(firstLine('\n \u001b[2J\n  one   two \nthree')).toBe('one two');
  expect(firstLine(' \n\u200b')).toBe('');
  expect(truncate('abcdef', 5)).toBe('ab...');
  expect(truncate('abcde', 5)).toBe('abcde');
});
