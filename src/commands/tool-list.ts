import { elementsOf } from '../core/jsonrpc/json-spans.ts';
import { isObject, type Response, valueTextAt } from '../core/jsonrpc/message.ts';
import { MAX_PAGES, readPages } from '../core/tools/list-pages.ts';
import type { ToolRules } from '../layers/tool-filter/rules.ts';
import type { Settings } from '../settings.ts';
import type { CommandClient } from './command-client.ts';

export type ToolList =
  | {
      readonly kind: 'tools';
      /** JSON text of each tool, as the server sent it. */
      readonly texts: readonly string[];
      readonly pages: number;
    }
  | { readonly kind: 'refused'; readonly answer: Response }
  | { readonly kind: 'unusable'; readonly problem: string };

/** Explains an empty list: the server offers no tools, or the options filter all of them. */
export function noToolsText(settings: ToolRules & Pick<Settings, 'from'>): string {
  const { readOnly, allowTool, denyTool, from } = settings;
  const rules = { readOnly, allowTool: allowTool.length > 0, denyTool: denyTool.length > 0 };
  const given = Object.entries(rules).flatMap(([key, isOn]) => (isOn ? (from[key] ?? []) : []));
  if (given.length === 0) return 'The server offers no tools';
  return `The server offers no tools that ${given.join(' and ')} ${given.length > 1 ? 'let' : 'lets'} through`;
}

/** Reads the tools of all pages. */
export async function listTools(client: CommandClient): Promise<ToolList> {
  const texts: string[] = [];
  let pages = 0;
  let failed: ToolList | undefined;
  const end = await readPages<Response>({
    fetch: (cursor) => client.listTools(cursor),
    nextCursorOf: ({ json }) => (isObject(json.result) ? json.result.nextCursor : undefined),
    take: (answer) => {
      pages++;
      const { result } = answer.json;
      if (answer.outcome === 'error') failed = { kind: 'refused', answer };
      else if (!isObject(result) || !Array.isArray(result.tools)) {
        failed = { kind: 'unusable', problem: `page ${pages} of tools/list contains no list of tools` };
      } else texts.push(...elementsOf(valueTextAt(answer.text, ['result', 'tools']) ?? '[]'));
      return failed === undefined;
    },
  });
  if (failed) return failed;
  if (end === 'circle') return { kind: 'unusable', problem: 'tools/list returned the same cursor twice' };
  if (end === 'too-many') return { kind: 'unusable', problem: `tools/list has more than ${MAX_PAGES} pages` };
  return { kind: 'tools', texts, pages };
}
