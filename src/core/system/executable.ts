/**
 * The path of the single executable that contains this program and Node; undefined where Node runs
 * the program. Users of the executable may have neither Node nor npx.
 */
export const executablePath = (): string | undefined =>
  process.getBuiltinModule('node:sea').isSea() ? process.execPath : undefined;
