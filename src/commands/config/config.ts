import { readProfileFacts } from '../../auth/credentials/shared-files.ts';
import { CLIENTS, type ClientName, COMMANDS } from '../../command-table.ts';
import type { Arguments } from '../../config/argv.ts';
import { readFlags } from '../../config/option.ts';
import { didYouMean } from '../../config/spelling.ts';
import { executablePath } from '../../core/system/executable.ts';
import type { Settings } from '../../settings.ts';
import { type CommandContext, printError } from '../command.ts';
import { EXIT_USAGE } from '../exit-codes.ts';
import { applyBlock } from './apply.ts';
import { type ConfigBlock, configBlock } from './block.ts';
import { CLIENT_FORMATS } from './clients.ts';

/** The client that a word names. */
export const clientOf = (word: string | undefined): ClientName | undefined =>
  CLIENTS.find((name) => name === word);

/** The problem with a word that names no client. */
export const clientProblem = (word: string): string =>
  `<client> must be one of ${CLIENTS.join(', ')}, not ${JSON.stringify(word)}${didYouMean(word, CLIENTS)}`;

export function problems(args: Arguments): readonly string[] {
  const [client] = args.words;
  return client === undefined || clientOf(client) ? [] : [clientProblem(client)];
}

/** Why the client cannot use these settings; undefined if it can. */
export function mismatchOf(client: ClientName, settings: Settings): string | undefined {
  const { servesStdio, from, listener } = settings;
  if (servesStdio) return undefined;
  const { title, http } = CLIENT_FORMATS[client];
  if (!http)
    return `${title} starts its servers on stdio, and connects to no URL of its file: omit ${from.listen}, or add --stdio.`;
  const address = listener?.address;
  if (address && 'socketPath' in address)
    return `${title} connects to URLs, and to no unix socket: omit ${from.listen}, or add --stdio.`;
  return address?.port === 0
    ? `${from.listen} with port 0 has another URL after each start: name a port.`
    : undefined;
}

/** The block for a client on this machine. */
export async function blockHere(
  client: ClientName,
  { args, settings, name }: { readonly args: Arguments; readonly settings: Settings; readonly name: string },
): Promise<ConfigBlock> {
  const { known } = await readProfileFacts(undefined, settings.env);
  const target = {
    platform: process.platform,
    cwd: process.cwd(),
    knownProfiles: known,
    name,
    executable: executablePath(),
  };
  return configBlock(client, args, settings, target);
}

/** Prints the block for a client, or writes it into the client's file. */
export async function run(context: CommandContext): Promise<number> {
  const { args, settings, stdout, stderr } = context;
  const client = clientOf(args.words[0]);
  if (!client) throw new TypeError('an unknown client');
  const { write, name, file } = readFlags(COMMANDS.config.options, args.options).values;
  const mismatch = mismatchOf(client, settings);
  if (mismatch !== undefined) {
    printError(stderr, mismatch);
    return EXIT_USAGE;
  }
  const block = await blockHere(client, { args, settings, name });
  if (!write && file === undefined) {
    stdout.write(block.text);
    stderr.note(block.notes.map((note) => `${note}\n`).join(''));
    return 0;
  }
  return applyBlock(context, { client, block, file, confirm: async () => true });
}
