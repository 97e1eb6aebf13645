const isPlainWord = (word: string): boolean => /^[\w@%+=:,./-]+$/.test(word);

/** A word as a POSIX shell reads it back. */
export const shellWord = (word: string): string =>
  isPlainWord(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
