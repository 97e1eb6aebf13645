import { readProfileFacts } from '../../auth/credentials/shared-files.ts';
import { CLIENTS } from '../../command-table.ts';
import type { Arguments } from '../../config/argv.ts';
import type { Settings } from '../../settings.ts';
import { PACKAGE_NAME } from '../../version.ts';
import { type CommandContext, EXIT_USAGE, printError } from '../command.ts';
import { CLIENT_FORMATS, type ClientFormat } from './clients.ts';
import { createLaunch, placeholderVariables, type Template } from './launch.ts';

/** The server's name in the block; a user with several endpoints renames it. */
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

/** The machine that the block is for. On Windows npx is a script, which only a shell can start. */
export interface ConfigTarget {
  readonly platform: NodeJS.Platform;
  readonly cwd: string;
  /** All profiles in the AWS files: they show whether a text with blanks is one name. */
  readonly knownProfiles?: readonly string[];
}

export interface ConfigBlock {
  /** The JSON document. */
  readonly text: string;
  /** Instructions to the user. */
  readonly notes: readonly string[];
}

const LAZY_NOTE =
  'Recommended: --lazy. With an expired login the server then still starts, names the command to run, and lists its tools after the login without a restart.';

/** Used where an option sets no limit: Node's timers end after 24 days. */
const UNLIMITED_MS = 24 * 3_600_000;
/** The client's limit is longer, so that the proxy's error with its reason arrives first. */
const CLIENT_MARGIN_MS = 5_000;

function maxAnswerMs({ timeout, toolTimeout }: Settings): number {
  const longest = timeout === 0 || toolTimeout === 0 ? 0 : Math.max(timeout, toolTimeout);
  return longest === 0 ? UNLIMITED_MS : longest * 1_000 + CLIENT_MARGIN_MS;
}

/** The block that makes a client start the proxy with these settings. It contains no secret. */
export function configBlock(args: Arguments, settings: Settings, target: ConfigTarget): ConfigBlock {
  const format = formatOf(args);
  if (!format) throw new TypeError('an unknown client');
  const { platform, cwd, knownProfiles = [] } = target;
  const launch = createLaunch(args, settings, { cwd, knownProfiles });
  const fillTemplate = (template: Template): string =>
    template.map((part) => (typeof part === 'string' ? part : format.placeholder(part.variable))).join('');
  const env = Object.fromEntries(
    Object.entries(launch.env).map(([name, template]) => [name, fillTemplate(template)]),
  );
  const [command = '', ...first] = platform === 'win32' ? ['cmd', '/c', 'npx'] : ['npx'];
  const server = {
    command,
    args: [...first, '-y', PACKAGE_NAME, ...launch.args],
    env,
    maxAnswerMs: maxAnswerMs(settings),
  };
  const placeholders = placeholderVariables(launch);
  return {
    text: `${JSON.stringify(format.document(SERVER_NAME, server, placeholders), undefined, 2)}\n`,
    notes: [
      `For ${format.title}: ${format.where}`,
      ...(placeholders.length > 0
        ? [`Not copied, because they are secret: ${placeholders.join(', ')}. ${format.supply}.`]
        : []),
      ...(settings.lazy ? [] : [LAZY_NOTE]),
      ...(settings.defaultProfile === '' && 'AWS_ACCESS_KEY_ID' in env
        ? ['Credentials in the environment expire. With --profile the proxy refreshes them.']
        : []),
    ],
  };
}

export async function run({ args, settings, stdout, stderr }: CommandContext): Promise<number> {
  if (!settings.servesStdio) {
    printError(
      stderr,
      `${settings.from.listen} serves clients over HTTP, but a client that starts the proxy uses stdio: omit it, or add --stdio.`,
    );
    return EXIT_USAGE;
  }
  const { known } = await readProfileFacts(undefined, settings.env);
  const target = { platform: process.platform, cwd: process.cwd(), knownProfiles: known };
  const block = configBlock(args, settings, target);
  stdout.write(block.text);
  stderr.write(block.notes.map((note) => `${note}\n`).join(''));
  return 0;
}
