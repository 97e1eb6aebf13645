import { flagOf, type Option, type OptionTable } from './option.ts';
import { urlWithoutSecrets } from './secrets.ts';
import { didYouMean, isMisspellingOf } from './spelling.ts';

/** The words and options of a command, in addition to the options of the proxy. */
export interface CommandShape {
  /** Required words, by the names that help and errors use: `call <tool>`. */
  readonly words: readonly string[];
  /** Words that follow the required ones and may be absent: `tools [name]`. */
  readonly optionalWords?: readonly string[];
  /** True if `name=value` words may follow the others. They also end a list of words. */
  readonly takesPairs?: true;
  /** True if the first word may look like an endpoint: `read <uri>`. */
  readonly firstIsUri?: true;
  /** Options of this command; several commands may have the same one. */
  readonly options: OptionTable;
}

/** Flags that stand for a value of an option: `--debug` for `--log-level debug`. */
export type Shorthands = Readonly<Record<string, { readonly key: string; readonly value: string }>>;

export type CommandShapes = Readonly<Record<string, CommandShape>>;

/** The parts of a command line. `readSettings` checks the values. */
export interface Arguments {
  /** The name of the command; undefined for the default, which serves a client. */
  readonly command: string | undefined;
  /** The words of the command, in the order of its declaration, then its pairs. */
  readonly words: readonly string[];
  /** The text of the endpoint, a URL or an ARN; undefined if none is given. */
  readonly endpoint: string | undefined;
  /** Raw texts per option key, one per occurrence; includes the options of the command. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  /** True for --help, -h or the word help. */
  readonly help: boolean;
  /** True if help should show all options; `help` is true as well. */
  readonly helpAll: boolean;
  /** True for --version. */
  readonly version: boolean;
  /** True if a command should print neither notes nor progress. */
  readonly quiet: boolean;
  /** The mistakes in the command line, one sentence each, in their order. */
  readonly problems: readonly string[];
}

/** Ends a list: no profile, tool or header has such a name. */
const looksLikeEndpoint = (word: string): boolean =>
  word.includes('://') || word.startsWith('arn:') || /^@[\w.-]+$/.test(word);

/** The start of a flag that turns a switch off. */
const NO = '--no-';

/** `name=value`; neither a URL nor a host with a query. */
const isPair = (word: string): boolean => /^[^\s=:/?#]+=/.test(word);

/**
 * Sorts a command line into command, words, endpoint and options. Unknown and abbreviated flags are
 * problems, because a silently ignored setting is worse than a refused one.
 */
export function readArguments(
  argv: readonly string[],
  table: OptionTable,
  commands: CommandShapes = {},
  shorthands: Shorthands = {},
): Arguments {
  const tables = [table, ...Object.values(commands).map((shape) => shape.options)];
  const known = new Map<string, { key: string; option: Option }>(
    tables.flatMap((each) => Object.entries(each).map(([key, option]) => [flagOf(key), { key, option }])),
  );
  /** Functions are called with the command once it is known: options may precede it. */
  const problems: (string | ((command: string | undefined) => string | undefined))[] = [];
  const options: Record<string, string[]> = {};
  const words: string[] = [];
  let help = false;
  let helpAll = false;
  let version = false;
  let quiet = false;
  let list: string[] | undefined;
  const takesPairs = argv.some((word) => Object.hasOwn(commands, word) && commands[word]?.takesPairs);
  let pairsEndList = false;
  const endsList = (word: string): boolean => looksLikeEndpoint(word) || (pairsEndList && isPair(word));
  /** Values of lists with their flag: one of them may have been meant as the command. */
  const taken: { readonly word: string; readonly flag: string }[] = [];
  let listFlag = '';
  let afterUnknown = false;
  let onlyWords = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (onlyWords || !word.startsWith('-')) {
      // The next word is most likely the value of the unknown flag: one error is enough.
      if (afterUnknown && !looksLikeEndpoint(word)) afterUnknown = false;
      else if (list && !endsList(word)) {
        list.push(word);
        taken.push({ word, flag: listFlag });
      } else words.push(word);
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
    const negated = equals < 0 && name.startsWith(NO) ? known.get(`--${name.slice(NO.length)}`) : undefined;
    const found = negated?.option.kind === 'switch' ? negated : known.get(name);
    const shorthand = equals < 0 && Object.hasOwn(shorthands, name) ? shorthands[name] : undefined;
    if (name === '-h' || name === '--help') help = true;
    else if (name === '--help-all') help = helpAll = true;
    else if (name === '--version') version = true;
    else if (shorthand) {
      options[shorthand.key] = [...(options[shorthand.key] ?? []), shorthand.value];
      if (name === '--quiet') quiet = true;
    } else if (!found) {
      problems.push(
        (command) => `${name} is not an option${suggestion(name, flagsFor(command, table, commands))}`,
      );
      afterUnknown = equals < 0;
    } else {
      const { key, option } = found;
      if (!Object.hasOwn(table, key)) problems.push((command) => misplaced(name, key, command, commands));
      let value = equals < 0 ? undefined : word.slice(equals + 1);
      if (value === undefined && option.kind === 'switch') value = found === negated ? 'false' : 'true';
      // A flag is not a value: the value was forgotten.
      else if (value === undefined && !argv[at + 1]?.startsWith('--')) value = argv[++at];
      if (!value) {
        problems.push(`${name} needs a value`);
        continue;
      }
      options[key] ??= [];
      options[key].push(value);
      if (option.kind === 'list') {
        list = options[key];
        listFlag = name;
        pairsEndList = takesPairs && option.separator === 'words';
      }
    }
  }

  // `help` and `help <command>`, as in most programs with commands.
  if (words[0] === 'help' && Object.keys(commands).length > 0) {
    help = true;
    words.shift();
  }
  const command = Object.hasOwn(commands, words[0] ?? '') ? words.shift() : undefined;
  const swallowed =
    command === undefined ? taken.find(({ word }) => Object.hasOwn(commands, word)) : undefined;
  if (swallowed) {
    const { word, flag } = swallowed;
    problems.push(
      `${flag} takes ${JSON.stringify(word)} as one of its values. Put the command first: mcp-sigv4-proxy ${word} ${flag} ... (a value of this name: ${flag}=${word})`,
    );
  }
  const shape = shapeOf(command, commands);
  const pairs = shape?.takesPairs ? words.filter(isPair) : [];
  if (pairs.length > 0) words.splice(0, words.length, ...words.filter((word) => !isPair(word)));
  const own: string[] = [];
  for (const wanted of shape?.words ?? []) {
    // The endpoint has a recognizable form, so it may precede the word.
    const at =
      shape?.firstIsUri && words.length > 0 ? 0 : words.findIndex((word) => !looksLikeEndpoint(word));
    if (at < 0) problems.push(`${command} needs a <${wanted}> before its options`);
    else own.push(...words.splice(at, 1));
  }
  for (const _optional of shape?.optionalWords ?? []) {
    const at =
      shape?.firstIsUri && words.length > 0 ? 0 : words.findIndex((word) => !looksLikeEndpoint(word));
    if (at >= 0) own.push(...words.splice(at, 1));
  }
  own.push(...pairs);
  const misspelled = command === undefined ? commandLike(words[0] ?? '', commands) : undefined;
  if (misspelled)
    problems.push(`${JSON.stringify(words.shift())} is not a command; did you mean ${misspelled}?`);
  const names = Object.keys(commands).join(', ');
  const [endpoint, ...surplus] = words.filter((word) => {
    if (!isBareWord(word) || names === '') return true;
    problems.push(
      command === undefined
        ? `${JSON.stringify(word)} is not a command, and an endpoint is a URL or an ARN. The commands are ${names}`
        : `${command} takes no ${JSON.stringify(word)}: an endpoint is a URL or an ARN${shape?.takesPairs ? ', and an argument is name=value' : ''}`,
    );
    return false;
  });
  for (const word of surplus)
    problems.push(`unexpected argument ${JSON.stringify(urlWithoutSecrets(word))}: there is one endpoint`);
  return {
    command,
    words: own,
    endpoint,
    options,
    help,
    helpAll,
    version,
    quiet,
    problems: problems.flatMap((problem) =>
      typeof problem === 'string' ? problem : (problem(command) ?? []),
    ),
  };
}

/** True for a word without dot, port and path, which cannot be a host. */
const isBareWord = (word: string): boolean => /^[a-z][\w-]*$/i.test(word) && !/^localhost$/i.test(word);

const shapeOf = (command: string | undefined, commands: CommandShapes): CommandShape | undefined =>
  command === undefined ? undefined : commands[command];

const flagsFor = (command: string | undefined, table: OptionTable, commands: CommandShapes): string[] =>
  [
    ...Object.keys(table),
    ...Object.keys(shapeOf(command, commands)?.options ?? {}),
    'help',
    'helpAll',
    'version',
  ].map(flagOf);

/** The problem of an option that only other commands have. */
function misplaced(
  name: string,
  key: string,
  command: string | undefined,
  commands: CommandShapes,
): string | undefined {
  if (Object.hasOwn(shapeOf(command, commands)?.options ?? {}, key)) return undefined;
  const owners = Object.keys(commands).filter((each) => Object.hasOwn(commands[each]?.options ?? {}, key));
  return `${name} is for ${owners.join(', ')} only`;
}

function suggestion(given: string, flags: readonly string[]): string {
  const start = given.replace(/^-*/, '--');
  if (start === '--') return '';
  return didYouMean(start, flags);
}

/**
 * The command that a bare word in the endpoint's place probably means: an error about URLs would
 * not help.
 */
function commandLike(word: string, commands: CommandShapes): string | undefined {
  const names = Object.keys(commands);
  if (word === 'version' && names.length > 0) return '--version';
  return /^[a-z]+$/i.test(word) ? names.find((name) => isMisspellingOf(name, word)) : undefined;
}
