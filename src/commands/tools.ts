import { COMMANDS } from '../command-table.ts';
import { readFlags } from '../config/option.ts';
import { type CommandContext, printError } from './command.ts';
import { CommandClient } from './command-client.ts';
import { errorTextOf } from './server-answer.ts';
import { listTools, noToolsText } from './tool-list.ts';
import { toolTable } from './tool-table.ts';

/** Lists the tools of the server. */
export async function run({ args, settings, stdout, stderr, signal }: CommandContext): Promise<number> {
  const { json } = readFlags(COMMANDS.tools.options, args.options).values;
  const client = new CommandClient({ settings, signal });
  const fail = (message: string): number => {
    printError(stderr, message);
    return 1;
  };
  try {
    const opened = await client.open();
    if (opened.outcome === 'error') return fail(errorTextOf(opened));
    const list = await listTools(client);
    if (list.kind === 'refused') return fail(errorTextOf(list.answer));
    if (list.kind === 'unusable') return fail(`The server's answer cannot be used: ${list.problem}.`);
    if (json) stdout.json(`[${list.texts.join(',')}]\n`);
    else if (list.texts.length === 0) stderr.write(`${noToolsText(settings)}.\n`);
    else {
      const tools = list.texts.map((text): unknown => JSON.parse(text));
      stdout.write(toolTable(tools, stdout.isTerminal ? stdout.columns : undefined));
    }
    return 0;
  } catch (error) {
    if (signal.aborted) return 1;
    throw error;
  } finally {
    await client.close();
  }
}
