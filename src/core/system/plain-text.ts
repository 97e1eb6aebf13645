import { stripVTControlCharacters } from 'node:util';

/**
 * C0 but tab and line feed, DEL and C1: a terminal may act on each. Soft hyphen, zero-width,
 * bidirectional, invisible and tag characters: they make text look like other text
 * (https://trojansource.codes).
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: each is looked for alone
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;

/**
 * Text that cannot control a terminal or hide a part of itself: only line feeds and tabs are left.
 */
export const plainText = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\r\n?|[\u2028\u2029]/g, '\n')
    .replace(UNSAFE, '');

/** A JSON document that a terminal shows as it is written: its value does not change. */
export const plainJson = (json: string): string =>
  // Between two tokens a carriage return is a blank; within a string it cannot occur.
  json.replace(/\r\n?/g, '\n').replace(UNSAFE, escaped);

const escaped = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');

/** The first line that is not blank, on one line. */
export const firstLine = (text: string): string =>
  plainText(text)
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .find((line) => line !== '') ?? '';

/** At most so many characters; what is cut off shows as three dots. */
export function truncate(text: string, columns: number): string {
  const characters = [...text];
  if (characters.length <= columns) return text;
  return `${characters.slice(0, Math.max(0, columns - 3)).join('')}...`;
}
