import type { CLIENTS } from '../../command-table.ts';

/** How a client has to start the server. */
export interface Server {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The longest time in which the proxy answers a request. */
  readonly maxAnswerMs: number;
}

/** The configuration format of one client. */
export interface ClientFormat {
  readonly title: string;
  readonly where: string;
  /** The text in place of a secret, which the file must not contain. */
  readonly placeholder: (variable: string) => string;
  /** Instruction to the user: where to put the secrets. */
  readonly supply: string;
  readonly document: (name: string, server: Server, variables: readonly string[]) => unknown;
}

const env = (server: Server): { env?: Server['env'] } =>
  Object.keys(server.env).length > 0 ? { env: server.env } : {};

const mcpServers = (name: string, server: Server): unknown => ({
  mcpServers: { [name]: { command: server.command, args: server.args, ...env(server) } },
});

const inputId = (variable: string): string => variable.toLowerCase().replaceAll('_', '-');

export const CLIENT_FORMATS: Readonly<Record<(typeof CLIENTS)[number], ClientFormat>> = {
  // https://code.claude.com/docs/en/mcp
  'claude-code': {
    title: 'Claude Code',
    where:
      '.mcp.json in your project, or pass the object under the name to: claude mcp add-json <name> <json>',
    placeholder: (variable) => `\${${variable}}`,
    supply: 'Set them in the environment that you start Claude Code from',
    document: mcpServers,
  },
  // https://modelcontextprotocol.io/docs/develop/connect-local-servers
  'claude-desktop': {
    title: 'Claude Desktop',
    where: 'claude_desktop_config.json (Settings, Developer, Edit Config)',
    placeholder: (variable) => `<${variable}>`,
    supply: 'Claude Desktop does not replace placeholders: enter the values, and keep the file private',
    document: mcpServers,
  },
  // https://opencode.ai/docs/mcp-servers/
  opencode: {
    title: 'opencode',
    where: 'opencode.json in your project, or ~/.config/opencode/opencode.json',
    placeholder: (variable) => `{env:${variable}}`,
    supply: 'Set them in the environment that you start opencode from',
    document: (name, { command, args, env: environment, maxAnswerMs }) => ({
      $schema: 'https://opencode.ai/config.json',
      mcp: {
        [name]: {
          type: 'local',
          command: [command, ...args],
          enabled: true,
          // Limits the start and each tool call. The default is shorter than the proxy's limits.
          timeout: maxAnswerMs,
          ...(Object.keys(environment).length > 0 ? { environment } : {}),
        },
      },
    }),
  },
  // https://cursor.com/docs/mcp
  cursor: {
    title: 'Cursor',
    where: '.cursor/mcp.json in your project, or ~/.cursor/mcp.json',
    placeholder: (variable) => `\${env:${variable}}`,
    supply: 'Set them in the environment that Cursor starts in',
    document: (name, server) => ({
      mcpServers: {
        [name]: { type: 'stdio', command: server.command, args: server.args, ...env(server) },
      },
    }),
  },
  // https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
  vscode: {
    title: 'VS Code',
    where: '.vscode/mcp.json in your project, or the file of "MCP: Open User Configuration"',
    placeholder: (variable) => `\${input:${inputId(variable)}}`,
    supply: 'VS Code asks for them when the server starts for the first time',
    document: (name, server, variables) => ({
      ...(variables.length === 0
        ? {}
        : {
            inputs: variables.map((variable) => ({
              type: 'promptString',
              id: inputId(variable),
              description: variable,
              password: true,
            })),
          }),
      servers: { [name]: { type: 'stdio', command: server.command, args: server.args, ...env(server) } },
    }),
  },
  // https://kiro.dev/docs/mcp/configuration
  kiro: {
    title: 'Kiro',
    where: '.kiro/settings/mcp.json in your project, or ~/.kiro/settings/mcp.json',
    placeholder: (variable) => `\${${variable}}`,
    supply:
      'Set them in the environment that Kiro starts in, and approve them in its setting "Mcp Approved Env Vars"',
    document: mcpServers,
  },
};
