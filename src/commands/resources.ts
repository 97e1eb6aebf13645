import { isObject, METHOD_NOT_FOUND } from '../core/jsonrpc/message.ts';
import type { CommandContext } from './command.ts';
import { wantsJson } from './failure.ts';
import { failList, listAll } from './tool-list.ts';
import { descriptionOf, table, textOf } from './tool-table.ts';
import { withServer } from './with-server.ts';

/** Lists the resources and resource templates of the server. */
export function run(context: CommandContext): Promise<number> {
  const { args, stdout, stderr } = context;
  return withServer(context, async (client) => {
    const resources = await listAll(client, 'resources/list');
    if (resources.kind !== 'entries') return failList(context, resources);
    const found = await listAll(client, 'resources/templates/list');
    // Servers with fixed resources alone often do not implement the list of templates.
    const isAbsent =
      found.kind === 'refused' &&
      isObject(found.answer.json.error) &&
      found.answer.json.error.code === METHOD_NOT_FOUND;
    if (found.kind !== 'entries' && !isAbsent) return failList(context, found);
    const templates = found.kind === 'entries' ? found.texts : [];
    if (wantsJson(args)) {
      stdout.json(
        `{"resources":[${resources.texts.join(',')}],"resourceTemplates":[${templates.join(',')}]}\n`,
      );
    } else if (resources.texts.length + templates.length === 0) {
      stderr.note('The server offers no resources.\n');
    } else {
      const rows = [...resources.texts, ...templates].map((text) => rowOf(JSON.parse(text)));
      stdout.write(
        table([['URI', 'TYPE', 'DESCRIPTION'], ...rows], stdout.isTerminal ? stdout.columns : undefined),
      );
    }
    return 0;
  });
}

function rowOf(entry: unknown): [string, string, string] {
  if (!isObject(entry)) return ['?', '', 'not an object'];
  const uri = textOf(entry.uri) || textOf(entry.uriTemplate) || '?';
  return [uri, textOf(entry.mimeType) || '-', descriptionOf(entry) || textOf(entry.name)];
}
