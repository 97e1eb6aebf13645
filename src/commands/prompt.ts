import { similarNames } from '../config/spelling.ts';
import { isObject, valueTextAt } from '../core/jsonrpc/message.ts';
import { pairOf } from './call-arguments.ts';
import type { CommandContext } from './command.ts';
import type { CommandClient } from './command-client.ts';
import { fail, failUnusable, failureOf, wantsJson } from './failure.ts';
import { blockText } from './result-text.ts';
import { listAll, namedEntries } from './tool-list.ts';
import { withServer } from './with-server.ts';

/** Prints the messages of one prompt. */
export function run(context: CommandContext): Promise<number> {
  const { args, stdout } = context;
  const [name = '', ...words] = args.words;
  return withServer(context, async (client) => {
    // MCP: all arguments of a prompt are strings.
    const given = Object.fromEntries(words.map(pairOf).map(({ name: key, text }) => [key, text]));
    const answer = await client.request('prompts/get', { name, arguments: given });
    if (answer.outcome === 'error') {
      const failure = failureOf(answer);
      const hint = failure.reason === 'server-error' ? await hintFor(client, name) : '';
      return fail(context, { ...failure, message: `${failure.message}${hint}` });
    }
    const { result } = answer.json;
    if (!isObject(result) || !Array.isArray(result.messages))
      return failUnusable(context, 'the result of prompts/get has no messages');
    if (wantsJson(args)) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
    else stdout.write(result.messages.map(messageText).join('\n'));
    return 0;
  });
}

/** A message as text: its role on a line of its own, then its content. */
function messageText(message: unknown): string {
  if (!isObject(message)) return '';
  const content = Array.isArray(message.content) ? message.content : [message.content];
  return `${String(message.role)}:\n${content.map(blockText).join('')}`;
}

/** The next step after the server refused the prompt or its arguments. */
async function hintFor(client: CommandClient, name: string): Promise<string> {
  const list = await listAll(client, 'prompts/list');
  if (list.kind !== 'entries') return '';
  const known = [...namedEntries(list.texts).keys()];
  const near = similarNames(name, known);
  if (known.includes(name) || near.length === 0)
    return '. Run "mcp-sigv4-proxy prompts" for the prompts and their arguments.';
  return `. Did you mean ${near.join(' or ')}?`;
}
