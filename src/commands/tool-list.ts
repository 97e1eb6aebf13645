import { elementsOf } from '../core/jsonrpc/json-spans.ts';
import { isObject, type JsonObject, type Response, valueTextAt } from '../core/jsonrpc/message.ts';
import { listKeyOf, MAX_PAGES, readPages } from '../core/tools/list-pages.ts';
import type { ToolRules } from '../layers/tool-filter/rules.ts';
import type { Settings } from '../settings.ts';
import type { CommandContext } from './command.ts';
import type { CommandClient } from './command-client.ts';
import { fail, failUnusable, failureOf } from './failure.ts';

type Failed =
  | { readonly kind: 'refused'; readonly answer: Response }
  | { readonly kind: 'unusable'; readonly problem: string };

type Listed =
  | {
      readonly kind: 'entries';
      /** JSON text of each entry, as the server sent it. */
      readonly texts: readonly string[];
      readonly pages: number;
    }
  | Failed;

export type ToolList =
  | { readonly kind: 'tools'; readonly texts: readonly string[]; readonly pages: number }
  | Failed;

/** Explains an empty list: the server offers no tools, or the options filter all of them. */
export function noToolsText(settings: ToolRules & Pick<Settings, 'from'>): string {
  const { readOnly, allowTool, denyTool, from } = settings;
  const rules = { readOnly, allowTool: allowTool.length > 0, denyTool: denyTool.length > 0 };
  const given = Object.entries(rules).flatMap(([key, isOn]) => (isOn ? (from[key] ?? []) : []));
  if (given.length === 0) return 'The server offers no tools';
  return `The server offers no tools that ${given.join(' and ')} ${given.length > 1 ? 'let' : 'lets'} through`;
}

/** Reads all pages of a list, such as `resources/list`. */
export async function listAll(client: CommandClient, method: string): Promise<Listed> {
  const key = listKeyOf(method) ?? '';
  const texts: string[] = [];
  let pages = 0;
  let failed: Failed | undefined;
  const end = await readPages<Response>({
    fetch: (cursor) => client.request(method, cursor === undefined ? {} : { cursor }),
    nextCursorOf: ({ json }) => (isObject(json.result) ? json.result.nextCursor : undefined),
    take: (answer) => {
      pages++;
      const { result } = answer.json;
      if (answer.outcome === 'error') failed = { kind: 'refused', answer };
      else if (!isObject(result) || !Array.isArray(result[key])) {
        failed = { kind: 'unusable', problem: `page ${pages} of ${method} contains no list of ${key}` };
      } else texts.push(...elementsOf(valueTextAt(answer.text, ['result', key]) ?? '[]'));
      return failed === undefined;
    },
  });
  if (failed) return failed;
  if (end === 'circle') return { kind: 'unusable', problem: `${method} returned the same cursor twice` };
  if (end === 'too-many') return { kind: 'unusable', problem: `${method} has more than ${MAX_PAGES} pages` };
  return { kind: 'entries', texts, pages };
}

/** Reads the tools of all pages. */
export async function listTools(client: CommandClient): Promise<ToolList> {
  const list = await listAll(client, 'tools/list');
  return list.kind === 'entries' ? { ...list, kind: 'tools' } : list;
}

/** Reports that a list could not be read. @returns the exit code. */
export const failList = (context: CommandContext, list: Failed): number =>
  list.kind === 'refused' ? fail(context, failureOf(list.answer)) : failUnusable(context, list.problem);

/** The entries of a list that are objects with a name. */
export function namedEntries(texts: readonly string[]): Map<string, { text: string; json: JsonObject }> {
  const entries = texts.map((text) => ({ text, json: JSON.parse(text) as unknown }));
  return new Map(
    entries.flatMap(({ text, json }) =>
      isObject(json) && typeof json.name === 'string' ? [[json.name, { text, json }] as const] : [],
    ),
  );
}
