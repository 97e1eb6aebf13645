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
  const keys = new Map(Object.keys(table).map((key) => [flagOf(key), key]));
  const problems: string[] = [];
  const options: Record<string, string[]> = {};
  const words: string[] = [];
  let help = false;
  let version = false;
  let list: string[] | undefined;
  let afterUnknown = false;
  let onlyWords = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (onlyWords || !word.startsWith('-')) {
      // What follows an unknown flag is most likely its value: one complaint is enough.
      if (afterUnknown && !looksLikeEndpoint(word)) afterUnknown = false;
      else if (list && !looksLikeEndpoint(word)) list.push(word);
      else words.push(word);
      continue;
    }
    list = undefined;
    afterUnknown = false;
    if (word === '--') {
      onlyWords = true;
      continue;
    }
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    const key = keys.get(name);
    const option = key === undefined ? undefined : table[key];
    if (name === '-h' || name === '--help') help = true;
    else if (name === '--version') version = true;
    else if (key === undefined || !option) {
      problems.push(`${name} is no option${suggestion(name, [...keys.keys()])}`);
      afterUnknown = equals < 0;
    } else {
      let value = equals < 0 ? undefined : word.slice(equals + 1);
      if (value === undefined && option.kind === 'switch') value = 'true';
      // Another flag is no value: this one's was forgotten.
      else if (value === undefined && !argv[at + 1]?.startsWith('--')) value = argv[++at];
      if (!value) {
        problems.push(`${name} needs a value`);
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

function suggestion(given: string, flags: readonly string[]): string {
  const start = given.replace(/^-*/, '--');
  if (start === '--') return '';
  const begun = flags.filter((flag) => flag.startsWith(start) || start.startsWith(flag));
  const near = begun.length > 0 ? begun : flags.filter((flag) => distance(flag, start) <= 2);
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

/** How many letters were added, dropped or exchanged (Levenshtein). */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const exchanged = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
