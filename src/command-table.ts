import type { CommandShape } from './config/argv.ts';
import { integer, list, text, toggle } from './config/option.ts';

/** The clients that `config` supports. */
export const CLIENTS = [
  'claude-code',
  'claude-desktop',
  'opencode',
  'cursor',
  'vscode',
  'kiro',
  'codex',
  'gemini-cli',
  'windsurf',
  'zed',
  'cline',
  'amazon-q',
  'jetbrains',
  'goose',
  'lm-studio',
] as const;

/** The shells that `completion` supports. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

export type ClientName = (typeof CLIENTS)[number];

export interface Command extends CommandShape {
  /** False if the command takes neither an endpoint nor the options of the proxy. */
  readonly connects: boolean;
  readonly help: string;
  readonly example: string;
}

/** The faults that `demo --serve` can simulate. */
export const DEMO_FAULTS = ['throttling', 'expired-sessions', 'slow-tools'] as const;

const wholeResult = toggle({ group: 'Commands', help: 'print the whole result as the server sent it' });

const serverName = text({
  group: 'Commands',
  placeholder: 'name',
  fallback: 'aws',
  check: (value) => (/^[\w-]{1,64}$/.test(value) ? undefined : 'must be 1 to 64 letters, digits, - or _'),
  help: 'name of the server in the configuration of the client',
});

const clientFile = text({
  group: 'Commands',
  placeholder: 'path',
  fallback: undefined,
  defaultText: 'the file of the client',
  help: 'file to write, such as the one of a project',
});

const outputOption = text({
  group: 'Commands',
  placeholder: 'file',
  fallback: undefined,
  help: 'file for the images, audio and binary resources of the result, or for its text if it has none; further files get a number in their names',
});

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
    optionalWords: ['name'],
    options: {
      json: toggle({
        group: 'Commands',
        help: 'print the array of tools, or one tool, as the server sent it',
      }),
    },
    connects: true,
    help: 'lists the tools of the server, or describes one tool with its arguments',
    example: 'mcp-sigv4-proxy tools --profile dev',
  },
  call: {
    words: ['tool'],
    takesPairs: true,
    options: {
      args: text({
        group: 'Commands',
        placeholder: 'json',
        fallback: undefined,
        defaultText: '{}',
        help: 'arguments of the call, a JSON object; @file reads the object from a file, - from stdin; a name=value word replaces the argument of its name',
      }),
      output: outputOption,
      json: wholeResult,
    },
    connects: true,
    help: 'calls one tool and prints the result; the arguments are name=value, with types from the schema of the tool; exit code 0, or 1 for an error',
    example: 'mcp-sigv4-proxy call aws___search_documentation search_phrase="S3 lifecycle"',
  },
  resources: {
    words: [],
    options: {
      json: toggle({
        group: 'Commands',
        help: 'print one JSON object with the resources and templates as the server sent each',
      }),
    },
    connects: true,
    help: 'lists the resources and resource templates of the server',
    example: 'mcp-sigv4-proxy resources --profile dev',
  },
  read: {
    words: ['uri'],
    firstIsUri: true,
    options: { output: outputOption, json: wholeResult },
    connects: true,
    help: 'reads one resource and prints its text',
    example: 'mcp-sigv4-proxy read docs://guide --profile dev',
  },
  prompts: {
    words: [],
    options: {
      json: toggle({ group: 'Commands', help: 'print the array of prompts as the server sent it' }),
    },
    connects: true,
    help: 'lists the prompts of the server with their arguments',
    example: 'mcp-sigv4-proxy prompts --profile dev',
  },
  prompt: {
    words: ['name'],
    takesPairs: true,
    options: { json: wholeResult },
    connects: true,
    help: 'prints the messages of one prompt; the arguments are name=value',
    example: 'mcp-sigv4-proxy prompt review language=go --profile dev',
  },
  ping: {
    words: [],
    options: { json: toggle({ group: 'Commands', help: 'print the times as one JSON object' }) },
    connects: true,
    help: 'opens a session, sends one ping and prints how long the answers took',
    example: 'mcp-sigv4-proxy ping --profile dev',
  },
  init: {
    words: [],
    optionalWords: ['client'],
    options: {
      name: serverName,
      file: clientFile,
      yes: toggle({
        group: 'Commands',
        help: 'ask nothing: take the options, and write the file if all checks pass',
      }),
    },
    connects: true,
    help: 'asks for endpoint, profile and client, checks them, shows the change and writes the file of the client',
    example: 'mcp-sigv4-proxy init claude-code --profile dev',
  },
  config: {
    words: ['client'],
    options: {
      write: toggle({
        group: 'Commands',
        help: 'write the block into the file of the client, after a backup of the file; comments and order stay',
      }),
      name: serverName,
      file: clientFile,
    },
    connects: true,
    help: `prints the configuration of an MCP client for the given options, or writes it; with --listen, for a client that connects by URL. The clients are ${CLIENTS.join(', ')}`,
    example: 'mcp-sigv4-proxy config claude-code --profile dev --lazy --max-connections 8',
  },
  login: {
    words: [],
    optionalWords: ['profile'],
    options: {},
    connects: true,
    help: 'runs the login that a profile needs: aws sso login, aws login, or with --auth oauth a login in the browser',
    example: 'mcp-sigv4-proxy login dev',
  },
  logout: {
    words: [],
    optionalWords: ['profile'],
    options: {},
    connects: true,
    help: 'ends the login of a profile: aws sso logout, aws logout, or with --auth oauth by revoking and removing the tokens',
    example: 'mcp-sigv4-proxy logout dev',
  },
  completion: {
    words: ['shell'],
    options: {},
    connects: false,
    help: `prints a script that completes commands, options, profiles, clients and tools in a shell; the shells are ${SHELLS.join(', ')}`,
    example: 'mcp-sigv4-proxy completion bash',
  },
  status: {
    words: [],
    optionalWords: ['url'],
    firstIsUri: true,
    options: {
      watch: toggle({ group: 'Commands', help: 'print the status again every 2 seconds, until Ctrl-C' }),
      json: toggle({ group: 'Commands', help: 'print the status as one JSON document' }),
    },
    connects: false,
    help: 'prints what a proxy that was started with --status is doing; the default url is http://127.0.0.1:9464/',
    example: 'mcp-sigv4-proxy status --watch',
  },
  demo: {
    words: [],
    options: {
      serve: toggle({
        group: 'Commands',
        help: 'keep the endpoint of the demo running, and print the variables with which any command connects to it',
      }),
      port: integer({
        group: 'Commands',
        placeholder: 'n',
        min: 0,
        max: 65_535,
        fallback: 0,
        needs: 'serve',
        defaultText: '0, any free port',
        help: 'port of the endpoint of demo --serve, on 127.0.0.1',
      }),
      fault: list({
        group: 'Commands',
        placeholder: 'fault',
        separator: 'words',
        needs: 'serve',
        check: (value) =>
          DEMO_FAULTS.some((fault) => fault === value)
            ? undefined
            : `must be one of ${DEMO_FAULTS.join(', ')}`,
        help: `fault that demo --serve simulates: ${DEMO_FAULTS.join(', ')}. Every third call is throttled, every fifth call finds its session expired, every call takes 5 s longer`,
      }),
    },
    connects: false,
    help: 'compares a fan-out over few and over many connections, or serves an endpoint to try the proxy with; needs no AWS account',
    example: 'mcp-sigv4-proxy demo --serve --fault throttling',
  },
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof COMMANDS;

/** The words of a command as help shows them: `<tool> [name=value...] [endpoint]`. */
export const wordsOf = ({ words, optionalWords = [], takesPairs, connects }: Command): string[] => [
  ...words.map((word) => `<${word}>`),
  ...optionalWords.map((word) => `[${word}]`),
  ...(takesPairs ? ['[name=value...]'] : []),
  ...(connects ? ['[endpoint]'] : []),
];
