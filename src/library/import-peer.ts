import { createRequire } from 'node:module';

/**
 * Imports a package of the program. The build keeps this `import`: with `require`, the library and
 * the program could load two copies of the package, whose classes differ.
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
