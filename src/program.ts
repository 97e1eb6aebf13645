import { Command, CommanderError, Option as Flag, Help, type HelpConfiguration } from 'commander';
import { COMMANDS, type CommandName, type Command as CommandTexts, wordsOf } from './command-table.ts';
import type { Arguments } from './config/argv.ts';
import { OPTION_GROUPS, type OptionTable } from './config/option.ts';
import { describeOption, usageOf } from './config/option-text.ts';
import { DEFAULT_ENDPOINT } from './endpoint/endpoint.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from './settings.ts';
import { VERSION } from './version.ts';

/**
 * The commander program, built from the option tables and the command table. It owns the commands,
 * the layout of help and `--version`. config/argv.ts reads the values of options, because commander
 * has no lists that end at an endpoint, no empty values, and ends at the first problem.
 */

/** Narrower terminals get each description on the lines below its option. */
const MIN_COLUMNS_SIDE_BY_SIDE = 80;
const STACKED_INDENT = 6;

const EXAMPLES = [
  'mcp-sigv4-proxy --lazy --max-connections 8 --profile dev',
  'mcp-sigv4-proxy https://id.lambda-url.eu-west-1.on.aws/mcp --profile dev',
  'mcp-sigv4-proxy https://mcp.example.com --service lambda --region eu-west-1',
];

const HELP_ALL = ['--help-all', 'show all options'] as const;

export interface ProgramDeps {
  /** The width of the terminal that shows help. */
  readonly columns: number;
  /** True: help shows all options, and not only the common ones. */
  readonly all: boolean;
  readonly write: (text: string) => void;
  readonly run: (command: CommandName) => Promise<void>;
}

const layoutFor = (columns: number): HelpConfiguration => ({
  helpWidth: columns,
  minWidthToWrap: 1,
  // The help of the command shows its endpoint and options.
  subcommandTerm: (command) =>
    [
      command.name(),
      ...command.registeredArguments
        .map((word) => (word.required ? `<${word.name()}>` : `[${word.name()}]`))
        .filter((word) => word !== '[endpoint]'),
    ].join(' '),
  formatItem(term: string, termWidth: number, description: string, helper: Help): string {
    if (columns >= MIN_COLUMNS_SIDE_BY_SIDE)
      return Help.prototype.formatItem.call(helper, term, termWidth, description, helper);
    const indent = ' '.repeat(STACKED_INDENT);
    const text = helper.boxWrap(description, columns - STACKED_INDENT);
    return [`  ${term}`, ...text.split('\n').map((line) => indent + line)].join('\n');
  },
});

/** Declares options for help alone: config/argv.ts has read their values before commander runs. */
function addOptions(command: Command, table: OptionTable, all: boolean): void {
  for (const group of OPTION_GROUPS) {
    for (const [key, option] of Object.entries(table)) {
      if (option.group !== group || (!all && !option.common)) continue;
      const flag = new Flag(usageOf(key, option), describeOption(option));
      command.addOption(all ? flag.helpGroup(`${group}:`) : flag);
    }
  }
}

const wrap = (text: string, columns: number): string => new Help().boxWrap(text, columns);

/** The command line after the name of the program: `call <tool> [endpoint] [options]`. */
const usageOfCommand = (texts: CommandTexts): string =>
  [...wordsOf(texts), ...(texts.connects ? ['[options]'] : [])].join(' ');

function addCommand(program: Command, name: CommandName, { columns, all, run }: ProgramDeps): void {
  const texts: CommandTexts = COMMANDS[name];
  const { connects, help, options, example } = texts;
  const command = program
    .command(name)
    .usage(usageOfCommand(texts))
    .summary(help)
    .description(`${help[0]?.toUpperCase()}${help.slice(1)}.`)
    // The command reports surplus arguments itself, together with all other problems.
    .allowExcessArguments()
    .helpOption('-h, --help', 'show this help')
    .action(() => run(name));
  // Commander allows a list of words at the end only, and is given all words in any case.
  for (const word of wordsOf(texts)) command.argument(word.replace('...', ''));
  for (const [key, option] of Object.entries(options))
    command.addOption(new Flag(usageOf(key, option), describeOption(option)));
  if (connects) {
    command.addOption(new Flag(...HELP_ALL));
    if (all) addOptions(command, OPTIONS, all);
    else
      command.addHelpText(
        'after',
        `\n${wrap(`${name} also takes every option that mcp-sigv4-proxy --help-all shows.`, columns)}`,
      );
  }
  command.addHelpText('after', `\nExample:\n  ${example}`);
}

/** Builds the program. Help and the version are written with `write`; a command calls `run`. */
export function createProgram(deps: ProgramDeps): Command {
  const { columns, all, write } = deps;
  const program = new Command('mcp-sigv4-proxy')
    .usage('[endpoint] [options]\n       mcp-sigv4-proxy <command> [options]')
    .description('Relays an MCP client on stdio to an MCP server on AWS. Every request is signed with SigV4.')
    .argument(
      '[endpoint]',
      `URL, or the ARN of an AgentCore runtime or gateway (variable ${ENDPOINT_VARIABLE}; default: ${DEFAULT_ENDPOINT})`,
    )
    .configureHelp(layoutFor(columns))
    .configureOutput({ writeOut: write, writeErr: write })
    .exitOverride()
    .helpCommand(false);
  addOptions(program, OPTIONS, all);
  program
    .helpOption('-h, --help', 'show the common options')
    .addOption(new Flag(...HELP_ALL))
    .version(VERSION, '--version', 'print the version');
  for (const name of Object.keys(COMMANDS) as CommandName[]) addCommand(program, name, deps);
  const notes = [
    'Every option has an environment variable: MCP_PROXY_ and the name of the option in capitals, such as MCP_PROXY_MAX_CONNECTIONS. A flag wins over a variable; an empty variable counts as not set.',
    'A time is a number of seconds, or 500ms, 30s, 5m, 1h. --no-<name> turns a switch off. -v, --debug and --quiet are short for --log-level info, debug and silent.',
    'mcp-sigv4-proxy <command> --help shows help for a command.',
    ...(all ? [] : ['mcp-sigv4-proxy --help-all shows all options.']),
  ];
  program.addHelpText(
    'after',
    `\n${notes.map((note) => wrap(note, columns)).join('\n')}\n\nExamples:\n${EXAMPLES.map((line) => `  ${line}`).join('\n')}`,
  );
  return program;
}

/** Runs what a command line asks for: help, the version, or a command. */
export async function runProgram(args: Arguments, deps: Omit<ProgramDeps, 'all'>): Promise<void> {
  const shows = args.help || args.version;
  // A command reports the problems of its line together with those of its settings.
  if (args.command !== undefined && !shows && args.problems.length > 0)
    return deps.run(args.command as CommandName);
  const words = [
    ...(args.command === undefined ? [] : [args.command]),
    ...(args.version ? ['--version'] : args.help ? ['--help'] : []),
    '--',
    ...args.words,
    ...(args.endpoint === undefined ? [] : [args.endpoint]),
  ];
  try {
    await createProgram({ ...deps, all: args.helpAll }).parseAsync(words, { from: 'user' });
  } catch (error) {
    const isShown = error instanceof CommanderError && error.exitCode === 0;
    if (!isShown) throw error;
  }
}

/** Help for everything, or for one command, as a terminal of `columns` shows it. */
export function helpText(
  command?: CommandName,
  { all = true, columns = MIN_COLUMNS_SIDE_BY_SIDE }: { all?: boolean; columns?: number } = {},
): string {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  const program = createProgram({ columns, all, write, run: () => Promise.resolve() });
  (program.commands.find((each) => each.name() === command) ?? program).outputHelp();
  return text.trimEnd();
}
