import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export interface EnvFile {
  /** Variables whose value in the environment is that of the file. */
  readonly taken: ReadonlySet<string>;
  /**
   * Everything in the file, for what names a variable of its own, such as `${NAME}` of --header.
   */
  readonly all: Readonly<Record<string, string>>;
}

export const NO_ENV_FILE: EnvFile = { taken: new Set(), all: {} };

/**
 * Reads a file of variables and adds to `env` those that `isWanted` accepts and that it does not
 * have. The others stay out of the environment, which child processes inherit. Never throws.
 */
export function readEnvFile(
  path: string,
  env: NodeJS.ProcessEnv,
  isWanted: (name: string) => boolean,
): EnvFile | { readonly problem: string } {
  const taken = new Set<string>();
  const all: Record<string, string> = {};
  try {
    for (const [name, value] of Object.entries(parseEnv(readFileSync(path, 'utf8')))) {
      if (!value) continue;
      all[name] = value;
      if (!isWanted(name)) continue;
      if (!env[name]) env[name] = value;
      // By its value: some versions of Node take --env-file for their own, and have read it before
      // the first line runs.
      if (env[name] === value) taken.add(name);
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : path };
  }
  return { taken, all };
}
