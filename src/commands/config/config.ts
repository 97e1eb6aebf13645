import { readProfileFacts } from '../../auth/credentials/files.ts';
import { CLIENTS } from '../../command-table.ts';
import type { Arguments } from '../../config/argv.ts';
import type { Settings } from '../../settings.ts';
import { type CommandContext, complain, EXIT_USAGE } from '../command.ts';
import { CLIENT_FORMATS, type ClientFormat } from './clients.ts';
import { holesOf, launchOf, type Template } from './launch.ts';

/** The name of the server in the block; who has several endpoints gives each its own. */
const SERVER_NAME = 'aws';

const formatOf = ({ words }: Arguments): ClientFormat | undefined => {
  const client = CLIENTS.find((name) => name === words[0]);
  return client && CLIENT_FORMATS[client];
};

export function problems(args: Arguments): readonly string[] {
  const [client] = args.words;
  if (client === undefined || formatOf(args)) return [];
  return [`<client> must be one of ${CLIENTS.join(', ')}, not ${JSON.stringify(client)}`];
}

/**
 * Where it is asked for: a client that starts npx on Windows finds a script, which only a shell can
 * run.
 */
export interface ConfigFile {
  readonly platform: NodeJS.Platform;
  readonly cwd: string;
  /** Every profile in the AWS files: by them a name with blanks is told from several names. */
  readonly knownProfiles?: readonly string[];
}

export interface ConfigBlock {
  /** The JSON document. */
  readonly text: string;
  /** For the person who puts it somewhere. */
  readonly notes: readonly string[];
}

const LAZY_NOTE =
  'Recommended: --lazy. With an expired login the server then starts all the same, says which command to run, and has its tools after the login without a restart.';

/** Where an option sets no limit; Node's timers cannot wait for longer than 24 days. */
const NO_LIMIT_MS = 24 * 3_600_000;
/** So that the proxy's own error, with the reason, arrives first. */
const AHEAD_MS = 5_000;

function longestAnswerMs({ timeout, toolTimeout }: Settings): number {
  const longest = timeout === 0 || toolTimeout === 0 ? 0 : Math.max(timeout, toolTimeout);
  return longest === 0 ? NO_LIMIT_MS : longest * 1_000 + AHEAD_MS;
}

/** The block that makes a client start the proxy with these settings. Nothing secret is in it. */
export function configBlock(args: Arguments, settings: Settings, place: ConfigFile): ConfigBlock {
  const format = formatOf(args);
  if (!format) throw new TypeError('a client that nobody knows');
  const { platform, cwd, knownProfiles = [] } = place;
  const launch = launchOf(args, settings, { cwd, knownProfiles });
  const filled = (template: Template): string =>
    template.map((part) => (typeof part === 'string' ? part : format.placeholder(part.variable))).join('');
  const env = Object.fromEntries(
    Object.entries(launch.env).map(([name, template]) => [name, filled(template)]),
  );
  const [command = '', ...first] = platform === 'win32' ? ['cmd', '/c', 'npx'] : ['npx'];
  const server = {
    command,
    args: [...first, '-y', 'mcp-sigv4-proxy', ...launch.args],
    env,
    longestAnswerMs: longestAnswerMs(settings),
  };
  const holes = holesOf(launch);
  return {
    text: `${JSON.stringify(format.document(SERVER_NAME, server, holes), undefined, 2)}\n`,
    notes: [
      `For ${format.title}: ${format.where}`,
      ...(holes.length > 0
        ? [`Not copied, because they are secret: ${holes.join(', ')}. ${format.supply}.`]
        : []),
      ...(settings.lazy ? [] : [LAZY_NOTE]),
      ...(settings.defaultProfile === '' && 'AWS_ACCESS_KEY_ID' in env
        ? ['Keys in the environment expire; with --profile the proxy gets fresh ones by itself.']
        : []),
    ],
  };
}

export async function run({ args, settings, stdout, stderr }: CommandContext): Promise<number> {
  if (!settings.servesStdio) {
    complain(
      stderr,
      `${settings.from.listen} serves clients by HTTP, and one that starts the proxy itself talks to it on stdio: leave it out, or add --stdio.`,
    );
    return EXIT_USAGE;
  }
  const { known } = await readProfileFacts(undefined, settings.env);
  const place = { platform: process.platform, cwd: process.cwd(), knownProfiles: known };
  const block = configBlock(args, settings, place);
  stdout.write(block.text);
  stderr.write(block.notes.map((note) => `${note}\n`).join(''));
  return 0;
}
