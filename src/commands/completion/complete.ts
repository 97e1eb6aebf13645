import { readProfileFacts } from '../../auth/credentials/shared-files.ts';
import type { Arguments } from '../../config/argv.ts';
import type { JsonObject } from '../../core/jsonrpc/message.ts';
import { firstLine, truncate } from '../../core/system/plain-text.ts';
import { readSettings } from '../../settings.ts';
import { CommandClient } from '../command-client.ts';
import { listAll, namedEntries } from '../tool-list.ts';
import { candidatesFor, type Sources } from './candidates.ts';

/** A person waits for the candidates. */
const MAX_SERVER_MS = 3_000;
const MAX_DESCRIPTION = 80;
/** In place of an empty last word, which some shells cannot pass. */
const EMPTY = '--empty';

/** Prints the candidates for a shell. Errors print nothing: they would damage the user's line. */
export async function complete(words: readonly string[], write: (text: string) => void): Promise<void> {
  const given = words.at(-1) === EMPTY ? [...words.slice(0, -1), ''] : words;
  const found = await candidatesFor(given, sourcesOf(process.env)).catch(() => []);
  for (const { word, description } of found) {
    // A name with other characters would be more than one word to the shell.
    if (!/^[\w.:/=@%+,~-]+$/.test(word)) continue;
    const text = truncate(firstLine(description), MAX_DESCRIPTION);
    write(text === '' ? `${word}\n` : `${word}\t${text}\n`);
  }
}

const sourcesOf = (env: NodeJS.ProcessEnv): Sources => ({
  profiles: async () => (await readProfileFacts(undefined, env)).known,
  tools: (args) => entriesOf('tools/list', args, env),
  prompts: (args) => entriesOf('prompts/list', args, env),
});

async function entriesOf(method: string, args: Arguments, env: NodeJS.ProcessEnv): Promise<JsonObject[]> {
  const outcome = await readSettings({ ...args, problems: [] }, env);
  if ('problems' in outcome) return [];
  const settings = { ...outcome.settings, logLevel: 'silent' as const, retries: 0 };
  const client = new CommandClient({ settings, signal: AbortSignal.timeout(MAX_SERVER_MS) });
  try {
    const opened = await client.open();
    if (opened.outcome === 'error') return [];
    const list = await listAll(client, method);
    return list.kind === 'entries' ? [...namedEntries(list.texts).values()].map(({ json }) => json) : [];
  } finally {
    await client.close();
  }
}
