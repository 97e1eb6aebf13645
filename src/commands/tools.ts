import { similarNames } from '../config/spelling.ts';
import type { CommandContext } from './command.ts';
import { EXIT_FAILED } from './exit-codes.ts';
import { fail, wantsJson } from './failure.ts';
import { failList, listTools, namedEntries, noToolsText } from './tool-list.ts';
import { toolPage } from './tool-page.ts';
import { toolTable } from './tool-table.ts';
import { withServer } from './with-server.ts';

/** Lists the tools of the server, or describes one of them. */
export function run(context: CommandContext): Promise<number> {
  const { args, settings, stdout, stderr } = context;
  const [name] = args.words;
  return withServer(context, async (client) => {
    const list = await listTools(client);
    if (list.kind !== 'tools') return failList(context, list);
    if (name !== undefined) return showTool(context, name, list.texts);
    if (wantsJson(args)) stdout.json(`[${list.texts.join(',')}]\n`);
    else if (list.texts.length === 0) stderr.note(`${noToolsText(settings)}.\n`);
    else {
      const tools = list.texts.map((text): unknown => JSON.parse(text));
      stdout.write(toolTable(tools, stdout.isTerminal ? stdout.columns : undefined));
    }
    return 0;
  });
}

function showTool(context: CommandContext, name: string, texts: readonly string[]): number {
  const { args, stdout } = context;
  const tools = namedEntries(texts);
  const tool = tools.get(name);
  if (!tool) return failUnknownTool(context, name, [...tools.keys()]);
  if (wantsJson(args)) stdout.json(`${tool.text}\n`);
  else stdout.write(toolPage(tool.json, stdout.isTerminal ? stdout.columns : undefined));
  return 0;
}

/** The hint for a name that no tool of the list has. */
export function toolHint(name: string, known: readonly string[]): string {
  const near = similarNames(name, known);
  return near.length > 0
    ? `Did you mean ${near.join(' or ')}?`
    : 'Run "mcp-sigv4-proxy tools" for the names of the tools.';
}

/** Reports a name that no tool has. @returns the exit code. */
export function failUnknownTool(context: CommandContext, name: string, known: readonly string[]): number {
  const { settings } = context;
  const nothing = known.length === 0 ? `${noToolsText(settings)}.` : undefined;
  fail(context, {
    code: null,
    reason: 'unknown-tool',
    message: `The server lists no tool ${JSON.stringify(name)}. ${nothing ?? toolHint(name, known)}`,
  });
  return EXIT_FAILED;
}
