import { elementsOf } from '../core/json-spans.ts';
import { isObject, type Response, valueTextAt } from '../core/message.ts';
import type { ToolRules } from '../layers/tool-filter.ts';
import type { Settings } from '../settings.ts';
import type { ClientSession } from './client-session.ts';

/** A server whose list never ends must not keep a person waiting: a thousand pages are more tools than any client takes. */
const MOST_PAGES = 1_000;

export type ToolList =
  | {
      readonly kind: 'tools';
      /** Each tool as the server wrote it. */
      readonly texts: readonly string[];
      readonly pages: number;
    }
  | { readonly kind: 'refused'; readonly answer: Response }
  | { readonly kind: 'unusable'; readonly what: string };

/** What it means that the list is empty: it is the server's, as far as the options let it through. */
export function noTools(settings: ToolRules & Pick<Settings, 'from'>): string {
  const { readOnly, allowTool, denyTool, from } = settings;
  const rules = { readOnly, allowTool: allowTool.length > 0, denyTool: denyTool.length > 0 };
  const given = Object.entries(rules).flatMap(([key, isOn]) => (isOn ? (from[key] ?? []) : []));
  if (given.length === 0) return 'The server offers no tools';
  return `The server offers no tools that ${given.join(' and ')} ${given.length > 1 ? 'let' : 'lets'} through`;
}

/** Every tool, over all pages. */
export async function listTools(session: ClientSession): Promise<ToolList> {
  const texts: string[] = [];
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let pages = 1; pages <= MOST_PAGES; pages++) {
    const params = cursor === undefined ? {} : { cursor: JSON.stringify(cursor) };
    const answer = await session.request('tools/list', params);
    if (answer.outcome === 'error') return { kind: 'refused', answer };
    const { result } = answer.json;
    if (!isObject(result) || !Array.isArray(result.tools)) {
      return { kind: 'unusable', what: `page ${pages} of tools/list has no list of tools` };
    }
    texts.push(...elementsOf(valueTextAt(answer.text, ['result', 'tools']) ?? '[]'));
    const { nextCursor } = result;
    if (typeof nextCursor !== 'string') return { kind: 'tools', texts, pages };
    if (seen.has(nextCursor)) return { kind: 'unusable', what: 'tools/list goes round in a circle of pages' };
    seen.add(nextCursor);
    cursor = nextCursor;
  }
  return { kind: 'unusable', what: `tools/list has not ended after ${MOST_PAGES} pages` };
}
