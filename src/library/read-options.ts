import { credentialProblem } from '../auth/credentials/source.ts';
import type { Arguments } from '../config/argv.ts';
import { withMemberNames } from '../config/member-names.ts';
import type { Option, OptionTable } from '../config/option.ts';
import { didYouMean } from '../config/spelling.ts';
import { useWording } from '../core/errors/wording.ts';
import { OPTIONS, readSettings, type Settings } from '../settings.ts';
import { type OptionProblem, OptionsError } from './options-error.ts';
import { programProblems } from './program-problems.ts';

type Given = Readonly<Record<string, unknown>>;

const TABLE: OptionTable = OPTIONS;
const KEYS: ReadonlySet<string> = new Set(Object.keys(TABLE));

const TYPE_OF: Readonly<Record<Option['kind'], string>> = {
  switch: 'true or false',
  number: 'a number',
  text: 'a text',
  list: 'a string or a list of strings',
};

/** The values of a flag that equal an option's value; undefined for a value of another type. */
function textsOf({ kind }: Option, value: unknown): string[] | undefined {
  if (kind === 'switch') return typeof value === 'boolean' ? [String(value)] : undefined;
  if (kind === 'number') return typeof value === 'number' ? [String(value)] : undefined;
  if (typeof value === 'string') return [value];
  const isList = kind === 'list' && Array.isArray(value) && value.every((each) => typeof each === 'string');
  return isList ? value : undefined;
}

/** Replaces flags and variables in a problem by the names of the library's options. */
function asMembers(problem: string): OptionProblem {
  const message = withMemberNames(problem, KEYS)
    .replaceAll(/ \(or MCP_PROXY_[A-Z_]+\)/g, '')
    .replace(/^(?:the endpoint|MCP_PROXY_ENDPOINT)\b/, 'endpoint');
  const [first = ''] = message.split(' ', 1);
  return { field: first === 'endpoint' || Object.hasOwn(TABLE, first) ? first : undefined, message };
}

/** Removes the variables of the command line, which must not affect a library. */
const withoutOwnVariables = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !name.startsWith('MCP_PROXY_') && name !== 'AWS_MCP_PROXY_PROFILES',
    ),
  );

export interface OptionMembers {
  /** The function or class that received the options, for the error. */
  readonly what: string;
  /** The names of the options of the command line that are members. */
  readonly keys: readonly string[];
  /** The names of further members, which the caller reads. */
  readonly others: readonly string[];
  /** Options that the caller sets, as texts. */
  readonly fixed?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Reads the options of a program into settings, with the validation of the command line. Reads no
 * configuration file and no variable of the command line.
 * @throws OptionsError with all problems.
 */
export async function settingsFrom(
  given: Given,
  { what, keys, others, fixed = {} }: OptionMembers,
): Promise<Settings> {
  useWording((text) => withMemberNames(text, KEYS));
  const problems: OptionProblem[] = [];
  const options: Record<string, readonly string[]> = { ...fixed };
  const known = [...keys, ...others];
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || others.includes(key)) continue;
    const option = keys.includes(key) ? TABLE[key] : undefined;
    if (!option) {
      problems.push({ field: key, message: `${key} is not an option${didYouMean(key, known)}` });
      continue;
    }
    const texts = textsOf(option, value);
    if (!texts)
      problems.push({ field: key, message: `${key} must be ${TYPE_OF[option.kind]}, not ${shown(value)}` });
    else if (texts.length > 0) options[key] = texts;
  }
  problems.push(...programProblems(given));
  const { endpoint, credentials } = given;
  const isEndpoint = endpoint === undefined || typeof endpoint === 'string' || endpoint instanceof URL;
  if (!isEndpoint) problems.push({ field: 'endpoint', message: 'endpoint must be a URL or an ARN' });
  if (credentials !== undefined && typeof credentials !== 'function') {
    const problem = credentialProblem(credentials);
    if (problem) problems.push({ field: 'credentials', message: `credentials ${problem}` });
  }
  const argv: Arguments = {
    command: undefined,
    words: [],
    endpoint: isEndpoint && endpoint !== undefined ? String(endpoint) : undefined,
    options,
    help: false,
    helpAll: false,
    version: false,
    quiet: false,
    problems: [],
  };
  const env = typeof given.env === 'object' && given.env !== null ? given.env : process.env;
  const variables = env as NodeJS.ProcessEnv;
  const outcome = await readSettings(argv, withoutOwnVariables(variables), { configFile: false });
  if ('problems' in outcome) problems.push(...outcome.problems.map(asMembers));
  if (problems.length > 0 || 'problems' in outcome) throw new OptionsError(what, problems);
  // The given object, so that credentials see later changes of it.
  return { ...outcome.settings, env: variables };
}

const MAX_SHOWN_CHARACTERS = 40;

function shown(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, MAX_SHOWN_CHARACTERS)) : typeof value;
}
