import { CLIENTS, COMMANDS, type CommandName, SHELLS } from '../../command-table.ts';
import type { Arguments } from '../../config/argv.ts';
import { flagOf, type Option, type OptionTable } from '../../config/option.ts';
import type { JsonObject } from '../../core/jsonrpc/message.ts';
import { OPTIONS, parseArguments } from '../../settings.ts';
import { propertiesOf } from '../schema.ts';
import { descriptionOf } from '../tool-table.ts';
import { FILES } from './scripts.ts';

/** A word that may follow, with a description that may be empty. */
export interface Candidate {
  readonly word: string;
  readonly description: string;
}

/** Values that only this machine or the server knows. Each returns nothing if it fails. */
export interface Sources {
  readonly profiles: () => Promise<readonly string[]>;
  readonly tools: (args: Arguments) => Promise<readonly JsonObject[]>;
  readonly prompts: (args: Arguments) => Promise<readonly JsonObject[]>;
}

/** Options whose values are names of tools, or globs over them. */
const TOOL_OPTIONS: readonly string[] = ['profileTools', 'allowTool', 'denyTool'];

const plain = (words: readonly string[]): Candidate[] => words.map((word) => ({ word, description: '' }));

/**
 * The candidates for the last word.
 * @param words - the words up to the cursor, without the name of the program.
 */
export async function candidatesFor(words: readonly string[], sources: Sources): Promise<Candidate[]> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  const args = parseArguments(before, COMMANDS);
  const found = await possibleWords({ before, current, args, sources });
  return found.filter(({ word }) => word === FILES || word.startsWith(current));
}

interface Position {
  readonly before: readonly string[];
  readonly current: string;
  readonly args: Arguments;
  readonly sources: Sources;
}

async function possibleWords({ before, current, args, sources }: Position): Promise<Candidate[]> {
  const table = optionsOf(args.command as CommandName | undefined);
  const equals = current.indexOf('=');
  if (current.startsWith('-')) {
    if (equals < 0) return flagsOf(table);
    const flag = current.slice(0, equals);
    const values = await valuesOf(optionFor(flag, table), args, sources);
    return values.map(({ word, description }) => ({ word: `${flag}=${word}`, description }));
  }
  const option = awaitingOption(before, table);
  return option ? valuesOf(option, args, sources) : positionals(args, sources);
}

const optionsOf = (command: CommandName | undefined): OptionTable =>
  command === undefined
    ? OPTIONS
    : { ...(COMMANDS[command].connects ? OPTIONS : {}), ...COMMANDS[command].options };

function flagsOf(table: OptionTable): Candidate[] {
  const own = Object.entries(table).map(([key, { help }]) => ({ word: flagOf(key), description: help }));
  return [
    ...own,
    { word: '--help', description: 'show the common options' },
    { word: '--help-all', description: 'show all options' },
    { word: '--version', description: 'print the version' },
  ];
}

type KeyedOption = { readonly key: string; readonly option: Option } | undefined;

function optionFor(flag: string, table: OptionTable): KeyedOption {
  const entry = Object.entries(table).find(([key]) => flagOf(key) === flag);
  return entry && { key: entry[0], option: entry[1] };
}

/** The option that takes the next word: the last flag, or a list that has not ended. */
function awaitingOption(before: readonly string[], table: OptionTable): KeyedOption {
  const at = before.findLastIndex((word) => word.startsWith('-'));
  const flag = before[at];
  if (flag === undefined || flag === '--' || flag.includes('=')) return undefined;
  const named = optionFor(flag, table);
  if (!named || named.option.kind === 'switch') return undefined;
  return at === before.length - 1 || named.option.kind === 'list' ? named : undefined;
}

async function valuesOf(named: KeyedOption, args: Arguments, sources: Sources): Promise<Candidate[]> {
  if (!named) return [];
  const { key, option } = named;
  if (key === 'profile') return plain(await sources.profiles());
  if (TOOL_OPTIONS.includes(key)) return (await sources.tools(args)).map(described);
  if (option.kind === 'switch') return plain(['true', 'false']);
  if (option.kind === 'text' && option.choices) return plain(option.choices);
  return ['path', 'file'].includes(option.placeholder) ? plain([FILES]) : [];
}

const described = (entry: JsonObject): Candidate => ({
  word: String(entry.name),
  description: descriptionOf(entry),
});

async function positionals(args: Arguments, sources: Sources): Promise<Candidate[]> {
  const { command, words } = args;
  const isFirst = words.length === 0;
  switch (command) {
    case undefined:
      return Object.entries(COMMANDS).map(([word, { help }]) => ({ word, description: help }));
    case 'config':
    case 'init':
      return isFirst ? plain(CLIENTS) : [];
    case 'completion':
      return isFirst ? plain(SHELLS) : [];
    case 'login':
    case 'logout':
      return isFirst ? plain(await sources.profiles()) : [];
    case 'tools':
      return isFirst ? (await sources.tools(args)).map(described) : [];
    case 'call': {
      const tools = await sources.tools(args);
      return isFirst ? tools.map(described) : argumentsOf(tools.find(({ name }) => name === words[0]));
    }
    case 'prompt': {
      const prompts = await sources.prompts(args);
      return isFirst
        ? prompts.map(described)
        : promptArgumentsOf(prompts.find(({ name }) => name === words[0]));
    }
    default:
      return [];
  }
}

const argumentsOf = (tool: JsonObject | undefined): Candidate[] =>
  propertiesOf(tool?.inputSchema, tool?.inputSchema).map(({ name, schema }) => ({
    word: `${name}=`,
    description: descriptionOf(schema),
  }));

const promptArgumentsOf = (prompt: JsonObject | undefined): Candidate[] =>
  (Array.isArray(prompt?.arguments) ? (prompt.arguments as JsonObject[]) : []).map((argument) => ({
    word: `${String(argument.name)}=`,
    description: descriptionOf(argument),
  }));
