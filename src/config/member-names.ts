import { flagOf } from './option.ts';

/** The text with the member names of a program in place of the flags of these options. */
export const withMemberNames = (text: string, keys: readonly string[]): string =>
  keys.reduce((named, key) => named.replaceAll(new RegExp(`${flagOf(key)}(?![\\w-])`, 'g'), key), text);
