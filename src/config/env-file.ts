import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { flagOf, variableOf } from './option.ts';
import { placeholderIn } from './placeholders.ts';

export interface EnvFile {
  /** Variables whose value in the environment comes from the file. */
  readonly taken: ReadonlySet<string>;
  /** All variables of the file, for values that name one, such as `${NAME}` in --header. */
  readonly all: Readonly<Record<string, string>>;
}

const NO_ENV_FILE: EnvFile = { taken: new Set(), all: {} };

/**
 * Reads the file of --env-file, if the flag or its variable names one, into `env`. Never throws.
 * @param isWanted - selects the variables that the file may set.
 */
export function loadEnvFile(
  flag: string | undefined,
  env: NodeJS.ProcessEnv,
  isWanted: (name: string) => boolean,
): EnvFile & { readonly problems: readonly string[] } {
  const path = flag ?? env[variableOf('envFile')];
  // The check of the option reports a placeholder in the path.
  if (!path || placeholderIn(path) !== undefined) return { ...NO_ENV_FILE, problems: [] };
  const read = readEnvFile(path, env, isWanted);
  if (!('problem' in read)) return { ...read, problems: [] };
  const name = flag === undefined ? variableOf('envFile') : flagOf('envFile');
  return { ...NO_ENV_FILE, problems: [`${name} must be a readable file: ${read.problem}`] };
}

/**
 * Adds the wanted variables of a file to `env`, unless `env` has a value. The other variables stay
 * out of the environment, which child processes inherit. Never throws.
 */
function readEnvFile(
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
      // Compared by value: some versions of Node read --env-file themselves before this code runs.
      if (env[name] === value) taken.add(name);
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : path };
  }
  return { taken, all };
}
