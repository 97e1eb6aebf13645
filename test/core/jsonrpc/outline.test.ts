import { describe, expect, it } from 'vitest';
import { CUT, outlineOf } from '../../../src/core/jsonrpc/outline.ts';
import { isJson } from '../../support/json-text.ts';
import { fc } from '../../support/property.ts';

const PIECE_BYTES = 16;
const outlined = (text: string): string | undefined => outlineOf(Buffer.from(text), PIECE_BYTES);

/** True where both are the same but for strings and keys that were cut. */
function isOutlineOf(outline: unknown, whole: unknown): boolean {
  if (typeof outline === 'string' && typeof whole === 'string') {
    const parts = outline.split(CUT);
    const isWhole = parts.length === 1;
    return isWhole
      ? outline === whole
      : whole.startsWith(parts[0] ?? '') && whole.endsWith(parts.at(-1) ?? '');
  }
  if (typeof outline !== 'object' || typeof whole !== 'object' || !outline || !whole)
    return outline === whole;
  const [these, those] = [Object.entries(outline), Object.entries(whole)];
  return (
    these.length === those.length &&
    these.every(([key, value], at) => {
      const [wholeKey, wholeValue] = those[at] ?? [];
      return isOutlineOf(key, wholeKey) && isOutlineOf(value, wholeValue);
    })
  );
}

/** Parts of JSON, valid and not: long runs of string content between what ends a string or is illegal in it. */
const part = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('some words of a log, ', 'é', '日本', '😀', '12345678', ' ') },
  { weight: 4, arbitrary: fc.constantFrom('\\n', '\\"', '\\\\', '\\u65e5', '\\ud83d\\ude00', '\\\\\\"') },
  { weight: 2, arbitrary: fc.constantFrom('"', ',', ':', '{', '}', '[', ']', '","', '":"', '1', 'true') },
  { weight: 1, arbitrary: fc.constantFrom('\\', '\n', '\u0000', '\\x', '\\u12', '\\u', '\u007f') },
);
const anyText = fc.array(part, { maxLength: 40 }).map((parts) => `["${parts.join('')}"]`);

describe('the outline of a JSON text', () => {
  it('an outline that is JSON belongs to a text that is JSON, and differs from it in long strings only', () => {
    let compared = 0;
    fc.assert(
      fc.property(anyText, fc.integer({ min: 7, max: 40 }), (text, pieceBytes) => {
        const outline = outlineOf(Buffer.from(text), pieceBytes);
        if (outline === undefined || !isJson(outline)) return;
        compared++;
        expect(isJson(text)).toBe(true);
        expect(isOutlineOf(JSON.parse(outline), JSON.parse(text))).toBe(true);
      }),
      { numRuns: 20_000 },
    );
    expect(compared).toBeGreaterThan(500);
  });

  it.each([
    ['words', 'a log line of a service, '],
    ['escapes', '\\"a\\"\\n'],
    ['escaped characters', '\\u65e5\\u5fd7'],
    ['escaped backslashes', 'C:\\\\dir\\\\'],
    ['characters of several bytes', '日志é😀'],
  ])('a long string of %s is cut', (_what, content) => {
    const text = `{"id":7,"result":{"text":"${content.repeat(50)}","isError":true}}`;
    const outline = outlined(text) ?? '';
    expect(outline.length).toBeLessThan(text.length / 2);
    expect(isOutlineOf(JSON.parse(outline), JSON.parse(text))).toBe(true);
  });

  it.each([
    ['short strings', `[${'"ab",'.repeat(100)}1]`],
    ['numbers', `[${'0.25, -1e5, '.repeat(100)}1]`],
    ['nothing', ''],
  ])('a text of %s has no outline', (_what, text) => {
    expect(outlined(text)).toBeUndefined();
  });

  it.each([
    ['a control character', 'words\u0001'],
    ['a line end', 'words\n'],
    ['an unknown escape', 'words\\x'],
    ['a broken escape', 'words\\u12'],
  ])('a long string with %s is not accepted', (_what, fault) => {
    const text = `{"result":"${'words '.repeat(20)}${fault}${' words'.repeat(20)}"}`;
    expect(isJson(text)).toBe(false);
    expect(isJson(outlined(text) ?? text)).toBe(false);
  });

  it.each([
    ['between values', `[1,${'words'.repeat(40)}2]`],
    ['behind a backslash', `["\\${'words'.repeat(40)}"]`],
    ['behind the value', `{"a":1}${'words'.repeat(40)}`],
  ])('words %s are not taken for the inside of a string', (_what, text) => {
    expect(isJson(text)).toBe(false);
    expect(isJson(outlined(text) ?? text)).toBe(false);
  });
});
