import { stripVTControlCharacters } from 'node:util';

/** What a server sends must not drive the terminal: no escape sequences, no control characters but line ends and tabs. */
export const plainText = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\r\n?/g, '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');

/** The first line that says something, on one line. */
export const firstLine = (text: string): string =>
  plainText(text)
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .find((line) => line !== '') ?? '';

/** At most so many characters; what is cut off shows as three dots. */
export function cutTo(text: string, columns: number): string {
  const characters = [...text];
  if (characters.length <= columns) return text;
  return `${characters.slice(0, Math.max(0, columns - 3)).join('')}...`;
}
