import { createRequire } from 'node:module';

/**
 * Imports a package of the program. The build leaves this file's `import` as it is: the program
 * and a copy that `require` loads would not share their classes.
 */
export const importModule = (specifier: string): Promise<unknown> => import(specifier);

/** The version of a package of the program; undefined where it is not installed. */
export function installedVersion(name: string): string | undefined {
  try {
    const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version?: unknown };
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}
