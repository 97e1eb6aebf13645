import { LOGGER_LEVELS } from '../observe/program-logger.ts';
import type { OptionProblem } from './options-error.ts';

type ProgramValues = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is ProgramValues => typeof value === 'object' && value !== null;

/** The names of members that are present, but are not functions. */
const notFunctions = (value: ProgramValues, names: readonly string[]): string[] =>
  names.filter((name) => value[name] !== undefined && typeof value[name] !== 'function');

/** Options that choose an identity; they conflict with `credentials`. */
const IDENTITY_OPTIONS = ['profile', 'roleArn', 'roleSessionName', 'externalId', 'identityMap'];

const RULES: Readonly<Record<string, (value: unknown, given: ProgramValues) => string | undefined>> = {
  credentials: (_value, given) => {
    const other = IDENTITY_OPTIONS.find((name) => given[name] !== undefined);
    return other && `excludes ${other}: pass one of them only`;
  },
  authenticated: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  env: (value) => (isObject(value) ? undefined : 'must be an object such as process.env'),
  clock: (value) => {
    const isClock =
      isObject(value) &&
      ['now', 'monotonic', 'schedule', 'random'].every((name) => typeof value[name] === 'function');
    return isClock ? undefined : 'must be an object with the functions of Clock';
  },
  events: (value) => {
    const isEvents =
      isObject(value) && ['subscribe', 'emit'].every((name) => typeof value[name] === 'function');
    return isEvents ? undefined : 'must be an object of the class Events';
  },
  logger: (value) => {
    if (!isObject(value)) return `must be an object with functions ${LOGGER_LEVELS.join(', ')}`;
    const [wrong] = notFunctions(value, LOGGER_LEVELS);
    return wrong && `must have a function as ${wrong}`;
  },
  hooks: (value) => {
    if (!isObject(value)) return 'must be an object with functions';
    const [wrong] = notFunctions(value, Object.keys(value));
    return wrong && `must have a function as ${wrong}`;
  },
  layers: (value) => {
    const lists = isObject(value) ? ['before', 'after'].map((name) => value[name] ?? []) : [undefined];
    const areLayers = lists.every(
      (list) => Array.isArray(list) && list.every((layer) => typeof layer === 'function'),
    );
    return areLayers ? undefined : 'must be an object with before and after, lists of functions';
  },
};

/** The problems of the options that only a program can pass. */
export function programProblems(given: ProgramValues): OptionProblem[] {
  return Object.entries(RULES).flatMap(([field, rule]) => {
    const value = given[field];
    const problem = value === undefined ? undefined : rule(value, given);
    return problem === undefined ? [] : [{ field, message: `${field} ${problem}` }];
  });
}
