import { isObject } from '../core/jsonrpc/message.ts';
import type { CommandContext } from './command.ts';
import { wantsJson } from './failure.ts';
import { failList, listAll } from './tool-list.ts';
import { descriptionOf, table, textOf } from './tool-table.ts';
import { withServer } from './with-server.ts';

/** Lists the prompts of the server with their arguments. */
export function run(context: CommandContext): Promise<number> {
  const { args, stdout, stderr } = context;
  return withServer(context, async (client) => {
    const list = await listAll(client, 'prompts/list');
    if (list.kind !== 'entries') return failList(context, list);
    if (wantsJson(args)) stdout.json(`[${list.texts.join(',')}]\n`);
    else if (list.texts.length === 0) stderr.note('The server offers no prompts.\n');
    else {
      const rows = list.texts.map((text) => rowOf(JSON.parse(text)));
      stdout.write(
        table(
          [['NAME', 'ARGUMENTS', 'DESCRIPTION'], ...rows],
          stdout.isTerminal ? stdout.columns : undefined,
        ),
      );
    }
    return 0;
  });
}

/** Optional arguments are in brackets. */
function rowOf(prompt: unknown): [string, string, string] {
  if (!isObject(prompt)) return ['?', '', 'not an object'];
  const given = Array.isArray(prompt.arguments) ? prompt.arguments.filter(isObject) : [];
  const names = given.map(({ name, required }) => (required === true ? textOf(name) : `[${textOf(name)}]`));
  return [textOf(prompt.name) || '?', names.join(' ') || '-', descriptionOf(prompt)];
}
