import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of a program, or undefined with a line that names the package to install. */
export function installed(program: string, debianPackage: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // In another folder, or nowhere.
    }
  }
  // biome-ignore lint/suspicious/noConsole: a skipped test names its reason
  console.warn(`SKIPPED: ${program} is missing (apt-get install ${debianPackage}), so its tests do not run.`);
  return undefined;
}
