import { flagOf, text } from '../../config/option.ts';
import { placeholderIn, placeholderProblem } from '../../config/placeholders.ts';
import { isSecretName, type Secret, variableName } from '../../config/secrets.ts';
import type { CommandLine } from '../run-command.ts';

const group = 'Endpoint and signing';

/** Reads a command: a JSON array of program and arguments, or a line for the shell. */
export function readCommand(value: string): CommandLine | { readonly problem: string } {
  if (value.trim() === '') return { problem: 'must be a command' };
  if (!value.trimStart().startsWith('[')) return value;
  try {
    const parts: unknown = JSON.parse(value);
    if (Array.isArray(parts) && parts.every((part) => typeof part === 'string')) {
      const [program, ...args] = parts;
      if (program !== undefined && program !== '') return [program, ...args];
    }
  } catch {
    // Reported below.
  }
  return { problem: 'must be a JSON array of strings, the program first, such as ["gcloud","auth"]' };
}

/** Values of flags whose name suggests a secret: `--client-secret x`. */
function commandSecrets(value: string): Secret[] {
  return [...value.matchAll(/(--?[\w-]+)("?\s*[=,\s]\s*"?)([^\s"',\]]+)/g)].flatMap(
    ({ 1: flag = '', 2: between = '', 3: secret = '', index }) => {
      if (!isSecretName(flag) || secret.startsWith('-')) return [];
      const start = index + flag.length + between.length;
      return [{ start, end: start + secret.length, variable: variableName(flag) }];
    },
  );
}

export const bearerOptions = {
  bearerTokenEnv: text({
    group,
    placeholder: 'name',
    fallback: undefined,
    check: (value) =>
      /^[A-Za-z_][A-Za-z0-9_]*$/.test(value) ? undefined : 'must be the name of an environment variable',
    help: 'environment variable that contains the token for --auth bearer',
  }),
  bearerTokenFile: text({
    group,
    placeholder: 'path',
    fallback: undefined,
    help: 'file that contains the token for --auth bearer; read again when it changes',
  }),
  bearerCommand: text({
    group,
    placeholder: 'command',
    fallback: undefined,
    check: (value) => {
      const command = readCommand(value);
      return typeof command === 'object' && 'problem' in command ? command.problem : undefined;
    },
    secrets: commandSecrets,
    help: 'command that prints the token for --auth bearer: a line for the shell, or a JSON array that runs without one; it runs again before the exp of a JWT, or when the server rejects the token',
  }),
} as const;

/** The options that name the source of a token; one of them is given. */
export interface BearerValues {
  readonly bearerTokenEnv?: string | undefined;
  readonly bearerTokenFile?: string | undefined;
  readonly bearerCommand?: string | undefined;
}

const SOURCES = ['bearerTokenEnv', 'bearerTokenFile', 'bearerCommand'] as const;

/**
 * Returns the problems of the options taken together. Pure.
 * @param from - the flag or variable of each value; absent for defaults.
 * @param env - all variables that options may name.
 */
export function bearerProblems(
  values: BearerValues & { readonly auth: string },
  from: Readonly<Partial<Record<string, string>>>,
  env: NodeJS.ProcessEnv,
): string[] {
  const given = SOURCES.filter((key) => values[key] !== undefined);
  const names = given.map((key) => from[key] ?? flagOf(key));
  const flags = SOURCES.map(flagOf).join(', ');
  if (values.auth !== 'bearer' && values.auth !== 'auto')
    return names.map((name) => `${name} needs --auth bearer`);
  if (given.length === 0 && values.auth === 'bearer')
    return [`${from.auth ?? flagOf('auth')} bearer needs one of ${flags}`];
  if (given.length > 1)
    return [`${names.join(' and ')} exclude each other: give one source of the bearer token`];
  const variable = values.bearerTokenEnv;
  const problem = variable === undefined ? undefined : variableProblem(env[variable]);
  return problem === undefined ? [] : [`${names[0]} names the environment variable ${variable}, ${problem}`];
}

function variableProblem(value: string | undefined): string | undefined {
  if (!value) return 'which is not set';
  const placeholder = placeholderIn(value);
  return placeholder === undefined ? undefined : `which ${placeholderProblem(placeholder)}`;
}
