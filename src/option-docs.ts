import { COMMANDS, type Command, wordsOf } from './command-table.ts';
import { configSchema } from './config/config-values.ts';
import { withMemberNames } from './config/member-names.ts';
import { boundsOf, OPTION_GROUPS, type Option, type OptionTable, variableOf } from './config/option.ts';
import { defaultOf, describeOption, usageOf } from './config/option-text.ts';
import { DEFAULT_ENDPOINT } from './endpoint/endpoint.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from './settings.ts';

/**
 * Writes docs/options.md, .env.example and others from the option tables. A guard test compares
 * them.
 */

const OPTION_KEYS: ReadonlySet<string> = new Set(Object.keys(OPTIONS));

const entries: readonly (readonly [string, Option])[] = Object.entries(OPTIONS as OptionTable);

const inGroup = (group: string) => entries.filter(([, option]) => option.group === group);

/** Groups without options get no heading. */
const groups = OPTION_GROUPS.filter((group) => inGroup(group).length > 0);

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

/** The JSON Schema of the configuration file. */
export const configSchemaText = (): string => `${JSON.stringify(configSchema(OPTIONS), undefined, 2)}\n`;

/** Text for roff: a backslash, and a point or quote at the start of a line, would be commands. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

const manOption = (key: string, option: Option): string[] => [
  '.TP',
  `.B ${roff(usageOf(key, option))}`,
  roff(describeOption(option)),
];

/** The manual page, section 1. */
export function manPage(): string {
  const lines = [
    '.TH MCP-SIGV4-PROXY 1',
    '.SH NAME',
    'mcp\\-sigv4\\-proxy \\- relays an MCP client to an MCP server on AWS, signed with SigV4',
    '.SH SYNOPSIS',
    '.B mcp\\-sigv4\\-proxy',
    roff('[endpoint] [options]'),
    '.br',
    '.B mcp\\-sigv4\\-proxy',
    roff('<command> [options]'),
    '.SH DESCRIPTION',
    roff(
      `Without a command, it serves an MCP client on stdin and stdout. The endpoint is a URL, or the ARN of an AgentCore runtime or gateway (variable ${ENDPOINT_VARIABLE}; default: ${DEFAULT_ENDPOINT}).`,
    ),
    '.SH COMMANDS',
  ];
  for (const [name, command] of Object.entries(COMMANDS as Readonly<Record<string, Command>>)) {
    const words = wordsOf(command).join(' ');
    lines.push('.TP', `.B ${roff(`${name} ${words}`.trim())}`, roff(command.help));
    for (const [key, option] of Object.entries(command.options))
      lines.push('.RS', ...manOption(key, option), '.RE');
  }
  lines.push('.SH OPTIONS');
  for (const group of groups) {
    lines.push(`.SS ${roff(group)}`);
    for (const [key, option] of inGroup(group)) lines.push(...manOption(key, option));
  }
  lines.push(
    '.SH ENVIRONMENT',
    roff(
      'Every option has a variable: MCP_PROXY_ and the name of the option in capitals, such as MCP_PROXY_MAX_CONNECTIONS. A flag wins over a variable; an empty variable counts as not set.',
    ),
    '.SH EXIT STATUS',
    roff(
      '0: success. 1: the run failed. 2: wrong settings or arguments. 128 and the number of the signal: interrupted.',
    ),
  );
  return `${lines.join('\n')}\n`;
}

/** Returns a page with its generated parts renewed: the option table and the quoted examples. */
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

/** Options of the process, which a library does not have. */
const OF_PROCESS: ReadonlySet<string> = new Set([
  ...['config', 'envFile'],
  ...['status', 'statusToken', 'logLevel', 'logFile', 'logFormat', 'accessLog', 'accessLogArguments'],
  // The program calls publish().
  'cloudwatchInterval',
]);

const isOfLibrary = ([key, { group }]: readonly [string, Option]): boolean =>
  !OF_PROCESS.has(key) && group !== 'Commands' && group !== 'Listener';

function typeOf(option: Option): string {
  switch (option.kind) {
    case 'switch':
      return 'boolean';
    case 'number':
      return 'number';
    case 'list':
      return 'string | readonly string[]';
    case 'text':
      return option.choices?.map((choice) => `'${choice}'`).join(' | ') ?? 'string';
  }
}

const MAX_COMMENT_WIDTH = 92;

function comment(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length + 1 > MAX_COMMENT_WIDTH && line !== '') lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  const [only = ''] = lines;
  return lines.length === 1
    ? [`  /** ${only} */`]
    : ['  /**', ...lines.map((line) => `   * ${line}`), '   */'];
}

function interfaceOf(
  name: string,
  about: string,
  options: readonly (readonly [string, Option])[],
  edit = (text: string): string => text,
): string[] {
  return [
    `/** ${about} */`,
    `export interface ${name} {`,
    ...options.flatMap(([key, option]) => [
      ...comment(withMemberNames(edit(describeOption(option)), OPTION_KEYS)),
      `  readonly ${key}?: ${typeOf(option)} | undefined;`,
    ]),
    '}',
  ];
}

const keysOf = (name: string, about: string, options: readonly (readonly [string, Option])[]): string[] => [
  `/** ${about} */`,
  `export const ${name} = [`,
  ...options.map(([key]) => `  '${key}',`),
  '] as const;',
];

/** Options of the socket, which belongs to the server of the program. */
const OF_SOCKET: ReadonlySet<string> = new Set([
  ...['listen', 'stdio', 'listenTlsCert', 'listenTlsKey', 'listenClientCa'],
  ...['maxClientsPerAddress', 'maxHeaders', 'drainDelay', 'readyCheck', 'workers'],
]);

const HEADING = ['// Made by `npm run docs` from the option tables.', ''];

/** The source of src/library/proxy-options.ts. */
export function libraryOptions(): string {
  const ofProxy = entries.filter(isOfLibrary);
  return `${[
    ...HEADING,
    ...interfaceOf(
      'ProxyOptions',
      'The options of a proxy, with the names and units of the command line: seconds and bytes.',
      ofProxy,
    ),
    '',
    ...keysOf('PROXY_OPTION_KEYS', 'The members of `ProxyOptions`.', ofProxy),
  ].join('\n')}\n`;
}

/** The source of src/library/handler-options.ts. */
export function libraryHandlerOptions(): string {
  const ofHandler = entries.filter(([key, { group }]) => group === 'Listener' && !OF_SOCKET.has(key));
  return `${[
    ...HEADING,
    ...interfaceOf(
      'HandlerOptions',
      'The options of the requests that a listener serves, with the names of the command line.',
      ofHandler,
      (text) =>
        text
          .replace('; required unless --listen is a loopback address', '')
          .replace(/\. The variable keeps.*does not/, '')
          .replaceAll(/--listen(?![\w-])/g, 'the listener'),
    ),
    '',
    ...keysOf('HANDLER_OPTION_KEYS', 'The members of `HandlerOptions`.', ofHandler),
  ].join('\n')}\n`;
}
