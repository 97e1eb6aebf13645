import { parseArgs } from 'node:util';
import { flagOf, type OptionTable } from './options.ts';

/** What stands on the command line, before any value is judged. */
export interface Arguments {
  readonly command: string | undefined;
  readonly endpoint: string | undefined;
  /** Raw texts per option key, one per occurrence. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  readonly help: boolean;
  readonly version: boolean;
  readonly problems: readonly string[];
}

/** A list swallows what follows it, but nobody names a profile like this. */
const looksLikeEndpoint = (word: string): boolean => word.includes('://') || word.startsWith('arn:');

/**
 * Sorts a command line into command, endpoint and options. Unknown and abbreviated flags are problems: a setting that was
 * silently ignored is worse than one that was refused.
 */
export function readArguments(
  argv: readonly string[],
  table: OptionTable,
  commands: readonly string[],
): Arguments {
  const keys = new Map(Object.keys(table).map((key) => [flagOf(key).slice(2), key]));
  const { tokens } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
      ...Object.fromEntries(
        [...keys].map(([name, key]) => [
          name,
          {
            type: table[key]?.kind === 'switch' ? ('boolean' as const) : ('string' as const),
            multiple: true,
          },
        ]),
      ),
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const problems: string[] = [];
  const options: Record<string, string[]> = {};
  const words: string[] = [];
  let help = false;
  let version = false;
  let list: string[] | undefined;
  let afterUnknown = false;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') {
      list = undefined;
      continue;
    }
    if (token.kind === 'positional') {
      // What follows an unknown flag is most likely its value: one complaint is enough.
      if (afterUnknown && !looksLikeEndpoint(token.value)) {
        afterUnknown = false;
        continue;
      }
      if (list && !looksLikeEndpoint(token.value)) list.push(token.value);
      else words.push(token.value);
      continue;
    }
    list = undefined;
    afterUnknown = false;
    if (token.name === 'help' || token.rawName === '-h') help = true;
    else if (token.name === 'version') version = true;
    else {
      const key = token.rawName.startsWith('--') ? keys.get(token.name) : undefined;
      const option = key === undefined ? undefined : table[key];
      if (key === undefined || !option) {
        problems.push(`${token.rawName} is no option${suggestion(token.rawName, [...keys.keys()])}`);
        afterUnknown = token.inlineValue !== true;
        continue;
      }
      const value = token.value ?? (option.kind === 'switch' ? 'true' : undefined);
      // parseArgs takes the next word whatever it is: here it is the next flag, and the value was forgotten.
      if (!value || (!token.inlineValue && value.startsWith('--'))) {
        problems.push(`${token.rawName} needs a value`);
        // The word after the swallowed flag is that one's value, and no endpoint.
        afterUnknown = value !== '';
        continue;
      }
      options[key] ??= [];
      options[key].push(value);
      if (option.kind === 'list') list = options[key];
    }
  }

  const command = commands.includes(words[0] ?? '') ? words.shift() : undefined;
  const [endpoint, ...surplus] = words;
  for (const word of surplus)
    problems.push(`unexpected argument ${JSON.stringify(word)}: there is one endpoint`);
  return { command, endpoint, options, help, version, problems };
}

function suggestion(given: string, names: readonly string[]): string {
  const start = given.replace(/^-+/, '');
  const near = names.filter((name) => name.startsWith(start) || (start.startsWith(name) && start !== name));
  if (start === '' || near.length === 0) return '';
  return `; did you mean ${near.map((name) => `--${name}`).join(' or ')}?`;
}
