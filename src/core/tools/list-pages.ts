import { shortKey } from '../jsonrpc/short-key.ts';

/** The result key of each paged list (MCP, Pagination). */
const LISTS: ReadonlyMap<string, string> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resourceTemplates'],
]);

/** The key of the list in the method's result; undefined where the method has no pages. */
export const listKeyOf = (method: string): string | undefined => LISTS.get(method);

/** More pages than any server has. */
export const MAX_PAGES = 1_000;

/**
 * Why reading ended: at the last page, at a repeated cursor, at the bound, or because `take`
 * returned false.
 */
export type PagesEnd = 'complete' | 'circle' | 'too-many' | 'stopped';

export interface PageReader<P> {
  /** Asks for one page; the first has no cursor. */
  readonly fetch: (cursor: string | undefined) => Promise<P>;
  readonly nextCursorOf: (page: P) => unknown;
  /** Receives a page. @returns */
  readonly take: (page: P, cursor: string | undefined) => boolean;
}

/** Reads a list page by page. Each cursor is requested once. */
export async function readPages<P>({ fetch, nextCursorOf, take }: PageReader<P>): Promise<PagesEnd> {
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let count = 1; count <= MAX_PAGES; count++) {
    const page = await fetch(cursor);
    if (!take(page, cursor)) return 'stopped';
    const next = nextCursorOf(page);
    if (typeof next !== 'string') return 'complete';
    const key = shortKey(next);
    if (seen.has(key)) return 'circle';
    seen.add(key);
    cursor = next;
  }
  return 'too-many';
}
