const range = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, at) => String.fromCodePoint(first + at));

/**
 * Every character that may control a terminal, reorder text or hide: none may reach a person's
 * screen.
 */
export const UNSAFE_CHARACTERS: readonly string[] = [
  ...range(0x00, 0x08),
  ...range(0x0b, 0x1f),
  ...range(0x7f, 0x9f),
  '\u00ad',
  '\u061c',
  '\u180e',
  ...range(0x200b, 0x200f),
  ...range(0x2028, 0x202e),
  ...range(0x2060, 0x206f),
  '\ufeff',
  ...range(0xfff9, 0xfffb),
  ...range(0xe0000, 0xe007f),
];

/**
 * Sequences that clear a screen, set a title, answer with typed text, or write a link; in 7 and in
 * 8 bits.
 */
const SEQUENCES = [
  '\u001b[2J',
  '\u001b]0;owned\u0007',
  '\u001b[6n',
  '\u001b]8;;http://evil/\u001b\\',
  '\u009b2J',
];

/** A text of a server that holds all of them, between two words that must be seen. */
export const HOSTILE_TEXT = `begin${SEQUENCES.join('')}${UNSAFE_CHARACTERS.join('')}end`;

/** Those that a text holds; line ends and tabs are none. */
export const unsafeIn = (text: string): string[] =>
  UNSAFE_CHARACTERS.filter((character) => text.includes(character));
