import type { CommandShape } from './core/arguments.ts';

/** The clients that `config` knows, by the word that names each. */
export const CLIENTS = ['claude-code', 'claude-desktop', 'opencode', 'cursor', 'vscode', 'kiro'] as const;

export interface Command extends CommandShape {
  /** False: it takes neither the endpoint nor the options of the proxy. */
  readonly connects: boolean;
  readonly help: string;
  readonly example: string;
}

/**
 * The commands beside serving, in the order in which help shows them. Their options stand here and not in commands/, because
 * help is made of them and must not load what a command needs to run. They have no environment variables: what they say is
 * about one run.
 */
export const COMMANDS = {
  config: {
    words: ['client'],
    options: {},
    connects: true,
    help: `prints the configuration for an MCP client from the options given: ${CLIENTS.join(', ')}`,
    example: 'mcp-sigv4-proxy config claude-code --profile dev --max-connections 16',
  },
  demo: {
    words: [],
    options: {},
    connects: false,
    help: 'shows a fan-out over few and over many connections; needs no AWS account',
    example: 'mcp-sigv4-proxy demo',
  },
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof COMMANDS;
