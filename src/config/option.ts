import { placeholderIn, placeholderProblem } from './placeholders.ts';
import type { Secret } from './secrets.ts';

/**
 * Declares options, and checks flags and variables in one way. Each option is declared once, beside
 * the code that obeys it; `settings.ts` collects the tables for parsing, help and docs.
 */

export const OPTION_GROUPS = [
  'Endpoint and signing',
  'Connections',
  'Time limits',
  'Tools',
  'Backpressure',
  'Resilience',
  'Sessions',
  'Listener',
  'Observability',
  'Commands',
] as const;

export type OptionGroup = (typeof OPTION_GROUPS)[number];

interface Declared<T> {
  readonly group: OptionGroup;
  readonly help: string;
  /** True for the options that most people set: -h shows only these. */
  readonly common?: true;
  /** The default as text, if it is not a fixed value. */
  readonly defaultText?: string;
  /**
   * The key of an option without which this option has no effect; `doctor` warns if it is absent.
   */
  readonly needs?: string;
  /** Other environment variables, after `MCP_PROXY_<NAME>`, first non-empty wins. */
  readonly env?: readonly string[];
  /** Returns the parts of a value that no output may show; absent if values are not secret. */
  readonly secrets?: (value: string) => readonly Secret[];
  readonly fallback: T;
}

export interface TextOption<T extends string | undefined = string | undefined> extends Declared<T> {
  readonly kind: 'text';
  readonly placeholder: string;
  readonly choices?: readonly string[];
  /** Returns what is wrong with the value ("must be ..."), or undefined. */
  readonly check?: (value: string) => string | undefined;
}

export interface NumberOption<T extends number | undefined = number | undefined> extends Declared<T> {
  readonly kind: 'number';
  readonly placeholder: string;
  readonly integer: boolean;
  readonly min: number;
  readonly max?: number;
  /** True if `min` itself is not allowed. */
  readonly above?: boolean;
  /**
   * For rules beyond bounds. Returns what is wrong with the value ("must be ..."), or undefined.
   */
  readonly check?: (value: number) => string | undefined;
}

export interface SwitchOption extends Declared<boolean> {
  readonly kind: 'switch';
}

export interface ListOption extends Declared<readonly string[]> {
  readonly kind: 'list';
  readonly placeholder: string;
  /**
   * `words`: separated by commas or blanks; `entries`: one per flag, or per line of the variable.
   */
  readonly separator: 'words' | 'entries';
  /** Environment variables, read last, whose whole value is one entry. */
  readonly singleEnv?: readonly string[];
  /** True if the option itself replaces `${NAME}`. */
  readonly expands?: boolean;
  readonly check?: (value: string) => string | undefined;
}

export type Option = TextOption | NumberOption | SwitchOption | ListOption;

/**
 * Keys are camelCase. The flag is the key in kebab-case, the variable `MCP_PROXY_` + the flag in
 * capitals.
 */
export type OptionTable = Readonly<Record<string, Option>>;

export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: T[K]['fallback'] };

type OptionRest<O, Preset extends keyof O> = Omit<O, Preset | 'kind'>;

export const text = <const T extends string | undefined>(option: OptionRest<TextOption<T>, never>) =>
  ({ kind: 'text', ...option }) as TextOption<T extends string ? string : string | undefined>;

export const integer = <const T extends number | undefined>(option: OptionRest<NumberOption<T>, 'integer'>) =>
  ({ kind: 'number', integer: true, ...option }) as NumberOption<
    T extends number ? number : number | undefined
  >;

export const decimal = <const T extends number | undefined>(option: OptionRest<NumberOption<T>, 'integer'>) =>
  ({ kind: 'number', integer: false, ...option }) as NumberOption<
    T extends number ? number : number | undefined
  >;

/** A time limit in seconds; 0 means no limit. */
export const timeLimit = <const T extends number>(
  option: OptionRest<NumberOption<T>, 'integer' | 'min' | 'placeholder'>,
) => decimal<T>({ placeholder: 's', min: 0, ...option });

export const toggle = (option: OptionRest<SwitchOption, 'fallback'>): SwitchOption => ({
  kind: 'switch',
  fallback: false,
  ...option,
});

export const list = (option: OptionRest<ListOption, 'fallback'>): ListOption => ({
  kind: 'list',
  fallback: [],
  ...option,
});

export const flagOf = (key: string): string =>
  `--${key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;

export const variableOf = (key: string): string =>
  `MCP_PROXY_${flagOf(key).slice(2).toUpperCase().replaceAll('-', '_')}`;

/** The placeholder of a time in seconds. */
const SECONDS = 's';

/** Number() alone would accept "", " 1", "0x10" and "1e3", which are mistakes here. */
const numberOf = (text: string): number => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN);

const SECONDS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3_600],
]);

/** Seconds, or a number with a unit: 500ms, 30s, 5m, 1h. */
function secondsOf(text: string): number {
  const [, number = '', unit = ''] = /^(.*?\d)(ms|s|m|h)?$/.exec(text) ?? [];
  const value = numberOf(number);
  return unit === 'ms' ? value / 1_000 : value * (SECONDS_PER_UNIT.get(unit || SECONDS) ?? Number.NaN);
}

/**
 * Units by placeholder: .env.example shows no placeholder, and an error about "5m" must name the
 * unit.
 */
const UNITS: Readonly<Record<string, string>> = {
  s: 'a number of seconds',
  bytes: 'a whole number of bytes',
};

/**
 * The values that an option accepts, as a phrase for help, tables and errors: "an integer >= 1".
 */
export function boundsOf(option: Option): string {
  switch (option.kind) {
    case 'switch':
      return 'true, false, 1 or 0';
    case 'number': {
      const what = UNITS[option.placeholder] ?? (option.integer ? 'an integer' : 'a number');
      if (option.max !== undefined) return `${what} from ${option.min} to ${option.max}`;
      if (option.min === Number.NEGATIVE_INFINITY) return what;
      return `${what} ${option.above ? '>' : '>='} ${option.min}`;
    }
    case 'text':
      return option.choices ? `one of ${option.choices.join(', ')}` : 'text';
    case 'list':
      return option.separator === 'words'
        ? 'a list, separated by commas or blanks'
        : 'one entry per flag, or one per line in the variable';
  }
}

export type CheckedValue = { readonly value: unknown } | { readonly problem: string };

/**
 * Parses raw texts (one per flag, or the variable's value) as the value of an option. Never throws:
 * a problem is returned as a phrase such as "must be ...".
 */
export function readOption(
  option: Option,
  raw: readonly string[],
  from: 'flag' | 'variable' | 'single',
): CheckedValue {
  const last = raw.at(-1) ?? '';
  const expands = option.kind === 'list' && option.expands === true;
  const placeholder = expands ? undefined : placeholderIn(raw.join('\n'));
  if (placeholder !== undefined) return { problem: placeholderProblem(placeholder) };
  switch (option.kind) {
    case 'switch':
      if (last === 'true' || last === '1') return { value: true };
      if (last === 'false' || last === '0') return { value: false };
      return { problem: `must be ${boundsOf(option)}` };
    case 'number': {
      const value = option.placeholder === SECONDS ? secondsOf(last) : numberOf(last);
      const fits =
        Number.isFinite(value) &&
        (!option.integer || Number.isSafeInteger(value)) &&
        (option.above ? value > option.min : value >= option.min) &&
        (option.max === undefined || value <= option.max);
      const problem = fits ? option.check?.(value) : `must be ${boundsOf(option)}`;
      return problem === undefined ? { value } : { problem };
    }
    case 'text': {
      if (option.choices && !option.choices.includes(last)) return { problem: `must be ${boundsOf(option)}` };
      const problem = option.check?.(last);
      return problem === undefined ? { value: last } : { problem };
    }
    case 'list': {
      const entries = raw.flatMap((item) => {
        if (from === 'single') return [item];
        if (option.separator === 'words') return item.split(/[\s,]+/);
        return from === 'variable' ? item.split(/\r?\n/) : [item];
      });
      const values = from === 'single' ? entries : entries.filter((entry) => entry.trim() !== '');
      // A script's empty "$READERS,$WRITERS" must not select the default: for --allow-tool, all
      // tools.
      const given = from === 'flag' || raw.some((item) => item.trim() !== '');
      if (values.length === 0 && given) return { problem: `must be ${boundsOf(option)}, and names nothing` };
      const problems = values.flatMap((entry) => option.check?.(entry) ?? []);
      return problems.length === 0 ? { value: values } : { problem: problems.join('; ') };
    }
  }
}

/**
 * The given texts of an option, and the flag or variable that gave them; `single`: one of
 * `singleEnv`.
 */
export interface GivenTexts {
  readonly texts: readonly string[];
  readonly name: string;
  readonly how: 'flag' | 'variable' | 'single';
}

/** Values of a configuration file. */
export interface Configured {
  readonly path: string;
  /** Texts per option key, as flags give them. */
  readonly texts: Readonly<Record<string, readonly string[]>>;
}

/**
 * A flag wins over the variable of the proxy, that over the configuration file, and the file over
 * variables of other programs: AWS_PROFILE of a shell must not choose another account.
 */

export function givenTextsOf(
  key: string,
  option: Option,
  given: Readonly<Record<string, readonly string[]>>,
  env: NodeJS.ProcessEnv,
  configured?: Configured,
): GivenTexts | undefined {
  const flags = given[key];
  if (flags) return { texts: flags, name: flagOf(key), how: 'flag' };
  const inFile = env[variableOf(key)] ? undefined : configured?.texts[key];
  if (configured && inFile)
    return { texts: inFile, name: `${flagOf(key).slice(2)} of ${configured.path}`, how: 'flag' };
  const single = option.kind === 'list' ? (option.singleEnv ?? []) : [];
  const name = [variableOf(key), ...(option.env ?? []), ...single].find((each) => env[each]);
  if (name === undefined) return undefined;
  return { texts: [env[name] ?? ''], name, how: single.includes(name) ? 'single' : 'variable' };
}

/** Reads the options of a command, which have flags but no variables. */
export function readFlags<T extends OptionTable>(
  table: T,
  given: Readonly<Record<string, readonly string[]>>,
): { readonly values: OptionValues<T>; readonly problems: readonly string[] } {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [key, option] of Object.entries(table)) {
    values[key] = option.fallback;
    const raw = given[key];
    const checked = raw && readOption(option, raw, 'flag');
    if (checked && 'problem' in checked) problems.push(`${flagOf(key)} ${checked.problem}`);
    else if (checked) values[key] = checked.value;
  }
  // Each value has the type of its option: its fallback, or the result of the check of its kind.
  return { values: values as OptionValues<T>, problems };
}
