/**
 * The path of the single executable that contains this program and Node; undefined where Node runs
 * the program. Users of the executable may have neither Node nor npx.
 */
export const executablePath = (): string | undefined =>
  process.getBuiltinModule('node:sea').isSea() ? process.execPath : undefined;

/**
 * The words that start this program in a terminal.
 * @param packageName - the name on npm.
 */
export function programWords(packageName: string): readonly string[] {
  const executable = executablePath();
  return executable === undefined ? ['npx', packageName] : [executable];
}
