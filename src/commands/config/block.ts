import type { Arguments } from '../../config/argv.ts';
import { urlHost } from '../../core/http/listen-address.ts';
import type { Settings } from '../../settings.ts';
import { PACKAGE_NAME } from '../../version.ts';
import { shellLine } from '../shell-word.ts';
import {
  CLIENT_FORMATS,
  type ClientFormat,
  type Edit,
  type HttpServer,
  type ServerCommand,
} from './clients.ts';
import { newFile } from './edit-file.ts';
import { createLaunch, placeholderVariables, type Template } from './launch.ts';

/** The machine that the block is for. On Windows npx is a script, which only a shell can start. */
export interface ConfigTarget {
  readonly platform: NodeJS.Platform;
  readonly cwd: string;
  /** All profiles in the AWS files: they show whether a text with blanks is one name. */
  readonly knownProfiles?: readonly string[];
  /** The server's name in the block. */
  readonly name?: string;
  /** The path of the single executable, if it runs this command. */
  readonly executable?: string | undefined;
}

export interface ConfigBlock {
  /** The document, as a file that contains nothing else. */
  readonly text: string;
  /** The document as changes of a file that exists. */
  readonly edits: readonly Edit[];
  /** Instructions to the user. */
  readonly notes: readonly string[];
}

const LAZY_NOTE =
  'Recommended: --lazy. With an expired login the server then still starts, names the command to run, and lists its tools after the login without a restart.';

/** Used where an option sets no limit: Node's timers end after 24 days. */
const UNLIMITED_MS = 24 * 3_600_000;
/** The client's limit is longer, so that the proxy's error with its reason arrives first. */
const CLIENT_MARGIN_MS = 5_000;
/** In the environment of the client; the proxy has its own variable. */
const TOKEN_VARIABLE = 'LISTEN_TOKEN';
const DEFAULT_NAME = 'aws';

function maxAnswerMs({ timeout, toolTimeout }: Settings): number {
  const longest = timeout === 0 || toolTimeout === 0 ? 0 : Math.max(timeout, toolTimeout);
  return longest === 0 ? UNLIMITED_MS : longest * 1_000 + CLIENT_MARGIN_MS;
}

/**
 * The block that makes a client start the proxy with these settings, or connect to the proxy that
 * listens with them. It contains no secret.
 */
export async function configBlock(
  client: keyof typeof CLIENT_FORMATS,
  args: Arguments,
  settings: Settings,
  target: ConfigTarget,
): Promise<ConfigBlock> {
  const format = CLIENT_FORMATS[client];
  const { name = DEFAULT_NAME } = target;
  const parts = settings.servesStdio
    ? stdioParts(format, args, settings, target)
    : httpParts(format, settings, target);
  const { entry, placeholders, notes, addLine } = parts;
  const edits = [...(format.more?.(placeholders) ?? []), { path: [...format.root, name], value: entry }];
  return {
    edits,
    text: await newFile(format.syntax, edits),
    notes: [
      `For ${format.title}: ${format.where}`,
      ...(client === 'claude-code' ? [`Or run: ${addLine}`] : []),
      ...(placeholders.length > 0
        ? [`Not copied, because they are secret: ${placeholders.join(', ')}. ${format.supply}.`]
        : []),
      ...notes,
    ],
  };
}

interface Parts {
  readonly entry: unknown;
  readonly placeholders: readonly string[];
  readonly notes: readonly string[];
  /** The command that adds the server to Claude Code. */
  readonly addLine: string;
}

function stdioParts(format: ClientFormat, args: Arguments, settings: Settings, target: ConfigTarget): Parts {
  const { cwd, knownProfiles = [], name = DEFAULT_NAME } = target;
  const launch = createLaunch(args, settings, { cwd, knownProfiles });
  const fillTemplate = (template: Template): string =>
    template.map((part) => (typeof part === 'string' ? part : format.placeholder(part.variable))).join('');
  const isForwarded = ([variable, template]: [string, Template]): boolean => {
    const [part] = template;
    return (
      format.forwards === true &&
      template.length === 1 &&
      typeof part === 'object' &&
      part.variable === variable
    );
  };
  const variables = Object.entries(launch.env);
  const env = Object.fromEntries(
    variables.filter((entry) => !isForwarded(entry)).map(([key, template]) => [key, fillTemplate(template)]),
  );
  const [command = '', ...first] = launcherOf(target);
  const server: ServerCommand = {
    command,
    args: [...first, ...launch.args],
    env,
    forwarded: variables.filter(isForwarded).map(([variable]) => variable),
    maxAnswerMs: maxAnswerMs(settings),
  };
  const envFlags = Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]);
  const line = ['claude', 'mcp', 'add', name, ...envFlags, '--', command, ...server.args];
  return {
    entry: format.stdio(server, name),
    placeholders: placeholderVariables(launch),
    addLine: shellLine(line, target.platform),
    notes: [
      ...(settings.lazy ? [] : [LAZY_NOTE]),
      ...(settings.defaultProfile === '' && 'AWS_ACCESS_KEY_ID' in launch.env
        ? ['Credentials in the environment expire. With --profile the proxy refreshes them.']
        : []),
    ],
  };
}

/** The words that start the program. */
function launcherOf({ platform, executable }: ConfigTarget): readonly string[] {
  if (executable !== undefined) return [executable];
  const npx = ['npx', '-y', PACKAGE_NAME];
  return platform === 'win32' ? ['cmd', '/c', ...npx] : npx;
}

const WILDCARDS: readonly string[] = ['0.0.0.0', '::', '*'];

function httpParts(
  format: ClientFormat,
  settings: Settings,
  { name = DEFAULT_NAME, platform }: ConfigTarget,
): Parts {
  const { listener } = settings;
  if (!format.http || !listener || 'socketPath' in listener.address)
    throw new TypeError(`${format.title} connects to no URL`);
  const { host, port } = listener.address;
  const scheme = listener.tls ? 'https' : 'http';
  const shownHost = WILDCARDS.includes(host) ? 'localhost' : urlHost(host);
  const hasToken = listener.tokens.length > 0 || listener.tokenFile !== undefined;
  const bearer = `Bearer ${format.placeholder(TOKEN_VARIABLE)}`;
  const server: HttpServer = {
    url: `${scheme}://${shownHost}:${port}${listener.path}`,
    headers: hasToken ? { Authorization: bearer } : {},
    tokenVariable: hasToken ? TOKEN_VARIABLE : undefined,
    maxAnswerMs: maxAnswerMs(settings),
  };
  const header = hasToken ? ['--header', `Authorization: ${bearer}`] : [];
  const line = ['claude', 'mcp', 'add', '--transport', 'http', name, server.url, ...header];
  return {
    entry: format.http(server, name),
    placeholders: hasToken ? [TOKEN_VARIABLE] : [],
    addLine: shellLine(line, platform),
    notes: ['The proxy has to run already, with these options: the client does not start it.'],
  };
}
