import { COMMANDS, type Command, type CommandName } from './command-table.ts';
import {
  boundsOf,
  flagOf,
  OPTION_GROUPS,
  type Option,
  type OptionTable,
  variableOf,
} from './config/option.ts';
import { DEFAULT_ENDPOINT } from './endpoint/endpoint.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from './settings.ts';

/**
 * The texts that come from the option tables: --help, docs/options.md, .env.example. A guard test
 * compares them.
 */

const entries: readonly (readonly [string, Option])[] = Object.entries(OPTIONS as OptionTable);

const inGroup = (group: string) => entries.filter(([, option]) => option.group === group);

/** A heading without options would promise what is not there. */
const groups = OPTION_GROUPS.filter((group) => inGroup(group).length > 0);

const usageOf = (key: string, option: Option): string => {
  if (option.kind === 'switch') return flagOf(key);
  return `${flagOf(key)} <${option.placeholder}${option.kind === 'list' ? '...' : ''}>`;
};

function defaultOf(option: Option): string {
  if (option.defaultText !== undefined) return option.defaultText;
  if (option.kind === 'switch') return 'off';
  if (option.kind === 'list' || option.fallback === undefined) return '';
  return String(option.fallback);
}

const commands: readonly (readonly [string, Command])[] = Object.entries(COMMANDS);

/** `call <tool> [endpoint]`, as it stands behind the name of the program. */
const commandLine = (name: string, { words, connects }: Command): string =>
  [name, ...words.map((word) => `<${word}>`), ...(connects ? ['[endpoint]', '[options]'] : [])].join(' ');

const optionLines = ([key, option]: readonly [string, Option]): string[] => {
  const byDefault = defaultOf(option);
  const bounded = option.kind === 'number' || (option.kind === 'text' && option.choices);
  const facts = [...(bounded ? [boundsOf(option)] : []), ...(byDefault ? [`default: ${byDefault}`] : [])];
  return [
    `  ${usageOf(key, option)}`,
    `      ${option.help}${facts.length > 0 ? ` (${facts.join('; ')})` : ''}`,
  ];
};

/** Help for everything, or for one command. */
export function helpText(command?: CommandName): string {
  return (command === undefined ? generalHelp() : commandHelp(command, COMMANDS[command])).join('\n');
}

function commandHelp(name: string, command: Command): string[] {
  const { help, options, connects, example } = command;
  const own = Object.entries(options).flatMap(optionLines);
  return [
    `Usage: mcp-sigv4-proxy ${commandLine(name, command)}`,
    '',
    `${help[0]?.toUpperCase()}${help.slice(1)}.`,
    ...(own.length > 0 ? ['', 'Its own options:', ...own] : []),
    ...(connects ? ['', 'It also takes every option that mcp-sigv4-proxy --help shows.'] : []),
    '',
    'Example:',
    `  ${example}`,
  ];
}

function generalHelp(): string[] {
  const lines = [
    'Usage: mcp-sigv4-proxy [endpoint] [options]',
    '       mcp-sigv4-proxy <command> [options]',
    '',
    'Relays an MCP client on stdio to an MCP server on AWS, every request signed with SigV4.',
    '',
    `  [endpoint]  URL, or the ARN of an AgentCore runtime or gateway (${ENDPOINT_VARIABLE})`,
    `              default: ${DEFAULT_ENDPOINT}`,
    '',
    'Commands:',
    ...commands.flatMap(([name, command]) => [
      `  ${commandLine(name, command)}`,
      `      ${command.help}`,
      `      ${command.example}`,
    ]),
  ];
  for (const group of groups) lines.push('', `${group}:`, ...inGroup(group).flatMap(optionLines));
  lines.push(
    '',
    'Every option has an environment variable: MCP_PROXY_ and its name in capitals, as MCP_PROXY_MAX_CONNECTIONS.',
    'A flag beats the environment; an empty variable is an unset one. -h, --help and --version do what they say.',
    '',
    'Examples:',
    '  mcp-sigv4-proxy --lazy --max-connections 8 --profile dev',
    '  mcp-sigv4-proxy https://id.lambda-url.eu-west-1.on.aws/mcp --profile dev',
    '  mcp-sigv4-proxy https://tools.example.com/mcp --service execute-api --region eu-west-1',
  );
  return lines;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

export function optionsMarkdown(): string {
  const lines = ['| option | default | takes | what it does |', '|---|---|---|---|'];
  lines.push(
    `| \`[endpoint]\` | \`${DEFAULT_ENDPOINT}\` | https URL (http for loopback), or the ARN of an AgentCore runtime or gateway | where requests go; variable \`${ENDPOINT_VARIABLE}\` |`,
  );
  for (const group of groups) {
    lines.push(`| **${group}** | | | |`);
    for (const [key, option] of inGroup(group)) {
      const single = option.kind === 'list' ? (option.singleEnv ?? []) : [];
      const names = [...(option.env ?? []), ...single];
      const also = names.length > 0 ? `; also ${names.join(', ')}` : '';
      lines.push(
        `| \`${usageOf(key, option)}\` | ${cell(defaultOf(option))} | ${cell(boundsOf(option))} | ${cell(option.help)}${also} |`,
      );
    }
  }
  return lines.join('\n');
}

export function envExample(): string {
  const lines = [
    '# Every option as an environment variable. An empty variable counts as unset; a flag beats a variable.',
    '# Read a file like this with --env-file: it is never read by itself.',
    '',
    `# URL, or the ARN of an AgentCore runtime or gateway (default: ${DEFAULT_ENDPOINT})`,
    `${ENDPOINT_VARIABLE}=`,
  ];
  for (const group of groups) {
    lines.push('', `# --- ${group} ---`);
    for (const [key, option] of inGroup(group)) {
      const byDefault = defaultOf(option);
      lines.push(
        `# ${option.help}; ${boundsOf(option)}${byDefault ? ` (default: ${byDefault})` : ''}`,
        `${variableOf(key)}=`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/**
 * A page with its generated parts renewed: the option table, and the examples that it quotes by
 * file name.
 */
export function pageWith(page: string, examples: Readonly<Record<string, string>>): string {
  return page
    .replace(
      /(<!-- options: [^>]*-->\n)[\s\S]*?(<!-- \/options -->)/,
      (_whole, open: string, close: string) => `${open}${optionsMarkdown()}\n${close}`,
    )
    .replace(
      /(<!-- example: (\S+) [^>]*-->\n```js\n)[\s\S]*?(^```\n)/gm,
      (_whole, open: string, file: string, close: string) => `${open}${examples[file] ?? ''}${close}`,
    );
}
