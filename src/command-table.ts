import type { CommandShape } from './config/argv.ts';
import { text, toggle } from './config/option.ts';

/** The clients that `config` supports. */
export const CLIENTS = ['claude-code', 'claude-desktop', 'opencode', 'cursor', 'vscode', 'kiro'] as const;

export interface Command extends CommandShape {
  /** False if the command takes neither an endpoint nor the options of the proxy. */
  readonly connects: boolean;
  readonly help: string;
  readonly example: string;
}

/**
 * The commands, in the order of help. Their options are declared here because help must not load
 * the code of commands. They have no variables, because they concern one run.
 */
export const COMMANDS = {
  doctor: {
    words: [],
    options: { json: toggle({ group: 'Commands', help: 'print the findings as one JSON document' }) },
    connects: true,
    help: 'checks settings, credentials, network and server, and names a remedy for each failure',
    example: 'mcp-sigv4-proxy doctor --profile dev',
  },
  tools: {
    words: [],
    options: { json: toggle({ group: 'Commands', help: 'print the array of tools as the server sent it' }) },
    connects: true,
    help: 'lists the tools of the server',
    example: 'mcp-sigv4-proxy tools --profile dev',
  },
  call: {
    words: ['tool'],
    options: {
      args: text({
        group: 'Commands',
        placeholder: 'json',
        fallback: undefined,
        defaultText: '{}',
        help: 'arguments of the call, a JSON object; - reads the object from stdin',
      }),
      json: toggle({ group: 'Commands', help: 'print the whole result as the server sent it' }),
    },
    connects: true,
    help: 'calls one tool and prints the result; exit code 0, or 1 for an error',
    example: `mcp-sigv4-proxy call aws___list_regions --args '{}' --profile dev`,
  },
  config: {
    words: ['client'],
    options: {},
    connects: true,
    help: `prints the configuration of an MCP client for the given options; the clients are ${CLIENTS.join(', ')}`,
    example: 'mcp-sigv4-proxy config claude-code --profile dev --lazy --max-connections 8',
  },
  demo: {
    words: [],
    options: {},
    connects: false,
    help: 'compares a fan-out over few and over many connections; needs no AWS account',
    example: 'mcp-sigv4-proxy demo',
  },
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof COMMANDS;
