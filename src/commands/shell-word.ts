const isPlainWord = (word: string): boolean => /^[\w@%+=:,./-]+$/.test(word);
/** PowerShell reads a comma as a list, and @ as the start of an expression. */
const isPlainInPowerShell = (word: string): boolean => /^[\w+=:./\\-]+$/.test(word);

/** A word as the user's shell reads it back: a POSIX shell, and PowerShell on Windows. */
export function shellWord(word: string, platform: NodeJS.Platform = process.platform): string {
  if (platform === 'win32') return isPlainInPowerShell(word) ? word : `'${word.replaceAll("'", "''")}'`;
  return isPlainWord(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line as the user's shell reads it back. */
export const shellLine = (words: readonly string[], platform?: NodeJS.Platform): string =>
  words.map((word) => shellWord(word, platform)).join(' ');

/** The line that sets an environment variable in the user's shell. */
export const shellVariable = (
  name: string,
  value: string,
  platform: NodeJS.Platform = process.platform,
): string =>
  platform === 'win32'
    ? `$env:${name} = '${value.replaceAll("'", "''")}'`
    : `export ${name}=${shellWord(value, platform)}`;
