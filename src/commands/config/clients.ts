import type { ClientName } from '../../command-table.ts';
import { appData, type Machine, vscodeUser } from './machine.ts';

/** How a client has to start the server on stdio. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Variables that the client passes on from its own environment. */
  readonly forwarded: readonly string[];
  /** The longest time in which the proxy answers a request. */
  readonly maxAnswerMs: number;
}

/** How a client reaches a proxy that runs with --listen. */
export interface HttpServer {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The variable with the bearer token; undefined where the listener has no token. */
  readonly tokenVariable: string | undefined;
  readonly maxAnswerMs: number;
}

/** A value at a path of the client's file. */
export interface Edit {
  readonly path: readonly string[];
  readonly value: unknown;
  /** Only for a file that has no value at this path. */
  readonly ifAbsent?: true;
  /** The key that identifies an entry of a list: new entries are added to those of the file. */
  readonly addBy?: string;
}

/** The configuration format of one client. */
export interface ClientFormat {
  readonly title: string;
  readonly where: string;
  readonly syntax: 'json' | 'toml' | 'yaml';
  /** The text in place of a secret, which the file must not contain. */
  readonly placeholder: (variable: string) => string;
  /** True if the client passes on variables of its environment that the file names. */
  readonly forwards?: true;
  /** Instruction to the user: where to put the secrets. */
  readonly supply: string;
  /** The path of the entries: each server is a member of this object. */
  readonly root: readonly string[];
  readonly stdio: (server: ServerCommand, name: string) => unknown;
  /** Undefined if the client connects to no URL. */
  readonly http?: (server: HttpServer, name: string) => unknown;
  readonly more?: (variables: readonly string[]) => readonly Edit[];
  /** The file that --write changes; undefined if the client documents none. */
  readonly file?: (machine: Machine) => string;
}

const envOf = ({ env }: ServerCommand): { env?: ServerCommand['env'] } =>
  Object.keys(env).length > 0 ? { env } : {};
const headersOf = ({ headers }: HttpServer): { headers?: HttpServer['headers'] } =>
  Object.keys(headers).length > 0 ? { headers } : {};
const plainStdio = (server: ServerCommand) => ({
  command: server.command,
  args: server.args,
  ...envOf(server),
});
const plainHttp = (server: HttpServer) => ({ url: server.url, ...headersOf(server) });
const seconds = (ms: number): number => Math.ceil(ms / 1_000);
const braces = (variable: string): string => `\${${variable}}`;
const bracesEnv = (variable: string): string => `\${env:${variable}}`;
const angles = (variable: string): string => `<${variable}>`;
const environmentOf = (client: string): string => `Set them in the environment that ${client} starts in`;
const byHand = (client: string): string =>
  `${client} does not replace placeholders: enter the values, and keep the file private`;
const inputId = (variable: string): string => variable.toLowerCase().replaceAll('_', '-');

/** Cline accepts 30 s to an hour. */
const MAX_CLINE_S = 3_600;

export const CLIENT_FORMATS: Readonly<Record<ClientName, ClientFormat>> = {
  // https://code.claude.com/docs/en/mcp
  'claude-code': {
    title: 'Claude Code',
    where:
      '.mcp.json in your project, or pass the object under the name to: claude mcp add-json <name> <json>',
    syntax: 'json',
    placeholder: braces,
    supply: 'Set them in the environment that you start Claude Code from',
    root: ['mcpServers'],
    stdio: plainStdio,
    http: (server) => ({ type: 'http', ...plainHttp(server) }),
    file: ({ join, cwd }) => join(cwd, '.mcp.json'),
  },
  // https://modelcontextprotocol.io/docs/develop/connect-local-servers
  'claude-desktop': {
    title: 'Claude Desktop',
    where: 'claude_desktop_config.json (Settings, Developer, Edit Config)',
    syntax: 'json',
    placeholder: angles,
    supply: byHand('Claude Desktop'),
    root: ['mcpServers'],
    stdio: plainStdio,
    file: (machine) => machine.join(appData(machine), 'Claude', 'claude_desktop_config.json'),
  },
  // https://opencode.ai/docs/mcp-servers/
  opencode: {
    title: 'opencode',
    where: 'opencode.json in your project, or ~/.config/opencode/opencode.json',
    syntax: 'json',
    placeholder: (variable) => `{env:${variable}}`,
    supply: 'Set them in the environment that you start opencode from',
    root: ['mcp'],
    stdio: ({ command, args, env, maxAnswerMs }) => ({
      type: 'local',
      command: [command, ...args],
      enabled: true,
      // Limits the start and each tool call. The default is shorter than the proxy's limits.
      timeout: maxAnswerMs,
      ...(Object.keys(env).length > 0 ? { environment: env } : {}),
    }),
    http: (server) => ({
      type: 'remote',
      url: server.url,
      enabled: true,
      timeout: server.maxAnswerMs,
      ...headersOf(server),
    }),
    more: () => [{ path: ['$schema'], value: 'https://opencode.ai/config.json', ifAbsent: true }],
    file: ({ join, home, exists }) => {
      const path = join(home, '.config', 'opencode', 'opencode.json');
      return exists(`${path}c`) ? `${path}c` : path;
    },
  },
  // https://cursor.com/docs/mcp
  cursor: {
    title: 'Cursor',
    where: '.cursor/mcp.json in your project, or ~/.cursor/mcp.json',
    syntax: 'json',
    placeholder: bracesEnv,
    supply: environmentOf('Cursor'),
    root: ['mcpServers'],
    stdio: (server) => ({ type: 'stdio', ...plainStdio(server) }),
    http: plainHttp,
    file: ({ join, home }) => join(home, '.cursor', 'mcp.json'),
  },
  // https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
  vscode: {
    title: 'VS Code',
    where: '.vscode/mcp.json in your project, or the file of "MCP: Open User Configuration"',
    syntax: 'json',
    placeholder: (variable) => `\${input:${inputId(variable)}}`,
    supply: 'VS Code asks for them when the server starts for the first time',
    root: ['servers'],
    stdio: (server) => ({ type: 'stdio', ...plainStdio(server) }),
    http: (server) => ({ type: 'http', ...plainHttp(server) }),
    more: (variables) => {
      const inputs = variables.map((variable) => ({
        type: 'promptString',
        id: inputId(variable),
        description: variable,
        password: true,
      }));
      return inputs.length === 0 ? [] : [{ path: ['inputs'], value: inputs, addBy: 'id' }];
    },
    file: (machine) => machine.join(vscodeUser(machine), 'mcp.json'),
  },
  // https://kiro.dev/docs/mcp/configuration
  kiro: {
    title: 'Kiro',
    where: '.kiro/settings/mcp.json in your project, or ~/.kiro/settings/mcp.json',
    syntax: 'json',
    placeholder: braces,
    supply: `${environmentOf('Kiro')}, and approve them in its setting "Mcp Approved Env Vars"`,
    root: ['mcpServers'],
    stdio: plainStdio,
    http: plainHttp,
    file: ({ join, home }) => join(home, '.kiro', 'settings', 'mcp.json'),
  },
  // https://developers.openai.com/codex/mcp
  codex: {
    title: 'Codex',
    where: '~/.codex/config.toml, or .codex/config.toml in a trusted project',
    syntax: 'toml',
    placeholder: angles,
    forwards: true,
    supply: `${environmentOf('Codex')}; where the block shows <NAME>, enter the value`,
    root: ['mcp_servers'],
    stdio: (server) => ({
      ...plainStdio(server),
      ...(server.forwarded.length > 0 ? { env_vars: server.forwarded } : {}),
      // The defaults of Codex are 10 s for the start and 60 s for a call.
      startup_timeout_sec: 30,
      tool_timeout_sec: seconds(server.maxAnswerMs),
    }),
    http: ({ url, tokenVariable, maxAnswerMs }) => ({
      url,
      ...(tokenVariable === undefined ? {} : { bearer_token_env_var: tokenVariable }),
      startup_timeout_sec: 30,
      tool_timeout_sec: seconds(maxAnswerMs),
    }),
    file: ({ join, home, env }) => join(env.CODEX_HOME || join(home, '.codex'), 'config.toml'),
  },
  // https://geminicli.com/docs/tools/mcp-server
  'gemini-cli': {
    title: 'Gemini CLI',
    where: '~/.gemini/settings.json, or .gemini/settings.json in your project',
    syntax: 'json',
    placeholder: braces,
    supply: 'Set them in the environment that you start Gemini CLI from',
    root: ['mcpServers'],
    stdio: (server) => ({ ...plainStdio(server), timeout: server.maxAnswerMs }),
    http: (server) => ({ httpUrl: server.url, ...headersOf(server), timeout: server.maxAnswerMs }),
    file: ({ join, home }) => join(home, '.gemini', 'settings.json'),
  },
  // https://docs.windsurf.com/windsurf/cascade/mcp
  windsurf: {
    title: 'Windsurf',
    where: '~/.codeium/windsurf/mcp_config.json',
    syntax: 'json',
    placeholder: bracesEnv,
    supply: environmentOf('Windsurf'),
    root: ['mcpServers'],
    stdio: plainStdio,
    http: (server) => ({ serverUrl: server.url, ...headersOf(server) }),
    file: ({ join, home }) => join(home, '.codeium', 'windsurf', 'mcp_config.json'),
  },
  // https://zed.dev/docs/ai/mcp
  zed: {
    title: 'Zed',
    where: 'settings.json of Zed (the action "zed: open settings file")',
    syntax: 'json',
    placeholder: angles,
    supply: byHand('Zed'),
    root: ['context_servers'],
    stdio: plainStdio,
    http: plainHttp,
    file: (machine) => {
      const { join, home, platform, env } = machine;
      if (platform === 'win32') return join(appData(machine), 'Zed', 'settings.json');
      const folder =
        platform === 'linux' && env.XDG_CONFIG_HOME ? env.XDG_CONFIG_HOME : join(home, '.config');
      return join(folder, 'zed', 'settings.json');
    },
  },
  // https://docs.cline.bot/mcp/configuring-mcp-servers
  cline: {
    title: 'Cline',
    where: 'cline_mcp_settings.json (MCP Servers, Configure MCP Servers)',
    syntax: 'json',
    placeholder: angles,
    supply: byHand('Cline'),
    root: ['mcpServers'],
    stdio: (server) => ({
      ...plainStdio(server),
      disabled: false,
      timeout: Math.min(seconds(server.maxAnswerMs), MAX_CLINE_S),
    }),
    http: (server) => ({
      type: 'streamableHttp',
      ...plainHttp(server),
      disabled: false,
      timeout: Math.min(seconds(server.maxAnswerMs), MAX_CLINE_S),
    }),
    file: (machine) =>
      machine.join(
        vscodeUser(machine),
        'globalStorage',
        'saoudrizwan.claude-dev',
        'settings',
        'cline_mcp_settings.json',
      ),
  },
  // https://docs.aws.amazon.com/amazonq/latest/qdeveloper-ug/command-line-mcp-config-CLI.html
  'amazon-q': {
    title: 'Amazon Q Developer CLI',
    where: '~/.aws/amazonq/mcp.json, or .amazonq/mcp.json in your project',
    syntax: 'json',
    placeholder: bracesEnv,
    supply: environmentOf('Amazon Q'),
    root: ['mcpServers'],
    stdio: (server) => ({ ...plainStdio(server), timeout: server.maxAnswerMs }),
    http: (server) => ({ type: 'http', ...plainHttp(server), timeout: server.maxAnswerMs }),
    file: ({ join, home }) => join(home, '.aws', 'amazonq', 'mcp.json'),
  },
  // https://www.jetbrains.com/help/ai-assistant/mcp.html
  jetbrains: {
    title: 'JetBrains AI Assistant',
    where: 'Settings, Tools, AI Assistant, Model Context Protocol (MCP), Add, As JSON',
    syntax: 'json',
    placeholder: angles,
    supply: byHand('JetBrains AI Assistant'),
    root: ['mcpServers'],
    stdio: plainStdio,
    http: plainHttp,
  },
  // https://block.github.io/goose/docs/getting-started/using-extensions
  goose: {
    title: 'Goose',
    where: '~/.config/goose/config.yaml',
    syntax: 'yaml',
    placeholder: angles,
    forwards: true,
    supply: `${environmentOf('Goose')}; where the block shows <NAME>, enter the value`,
    root: ['extensions'],
    stdio: ({ command, args, env, forwarded, maxAnswerMs }, name) => ({
      name,
      type: 'stdio',
      enabled: true,
      cmd: command,
      args,
      ...(Object.keys(env).length > 0 ? { envs: env } : {}),
      ...(forwarded.length > 0 ? { env_keys: forwarded } : {}),
      timeout: seconds(maxAnswerMs),
    }),
    http: (server, name) => ({
      name,
      type: 'streamable_http',
      enabled: true,
      uri: server.url,
      ...headersOf(server),
      timeout: seconds(server.maxAnswerMs),
    }),
    file: (machine) => {
      const { join, home, platform } = machine;
      return platform === 'win32'
        ? join(appData(machine), 'Block', 'goose', 'config', 'config.yaml')
        : join(home, '.config', 'goose', 'config.yaml');
    },
  },
  // https://lmstudio.ai/docs/app/mcp
  'lm-studio': {
    title: 'LM Studio',
    where: 'mcp.json of LM Studio (Program, Install, Edit mcp.json)',
    syntax: 'json',
    placeholder: angles,
    supply: byHand('LM Studio'),
    root: ['mcpServers'],
    stdio: plainStdio,
    http: plainHttp,
    file: ({ join, home }) => join(home, '.lmstudio', 'mcp.json'),
  },
};
