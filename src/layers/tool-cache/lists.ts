import { paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { SharedResponse } from '../../core/jsonrpc/shared-response.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { SingleFlight } from '../../core/pipeline/single-flight.ts';
import { listCacheKey } from '../../core/tools/list-edit.ts';

/** Lists that are kept: one per client, profile, revision and the like. */
const MAX_LISTS = 100;
/** Pages of one list. A server whose cursors never come twice must not fill memory. */
const MAX_PAGES = 1_000;
/** Characters of all that is kept; some lists of thousands of tools with long schemas. */
const MAX_CHARACTERS = 64 * 1024 * 1024;

/** What a fetch was begun with. */
export interface ListVersion {
  /** What an earlier one brings late replaces nothing. */
  readonly order: number;
  readonly generation: number;
  readonly identity: number;
  readonly listing: number;
  readonly continuityToken: object | undefined;
}

export interface CachedAnswer extends ListVersion {
  readonly answer: SharedResponse;
  readonly characters: number;
  readonly at: number;
  /** The server's own; undefined where it named none. */
  readonly ttlMs: number | undefined;
}

/** How a fetch ended. */
export interface ListOutcome {
  /** The reply for one of those who waited. @throws what was thrown. */
  readonly replyFor: (call: Call, request: Request) => Reply | Promise<Reply>;
  /**
   * Why an earlier list may stand in; absent where this is the answer. `lasts`: asking again at
   * once would be to no avail.
   */
  readonly failure?: { readonly why: string; readonly lasts: boolean };
}

export interface PageFlight {
  readonly generation: number;
  readonly work: SingleFlight<ListOutcome>;
}

export interface CachedPage {
  cached: CachedAnswer | undefined;
  failed: { readonly at: number; readonly generation: number; readonly outcome: ListOutcome } | undefined;
  flight: PageFlight | undefined;
}

/**
 * A list as one kind of request sees it, with those of its pages that were asked for, by cursor.
 */
export interface CachedList {
  readonly cacheKey: string;
  readonly pages: Map<string, CachedPage>;
  /**
   * Counts how often its first page has come: what belonged to an earlier one is no page of this
   * list.
   */
  listing: number;
  /** Of the whole list when a page last came. */
  fingerprint: string | undefined;
}

/** The lists that were asked for, with what is kept of them, within bounds. */
export class CachedLists {
  readonly #lists = new Map<string, CachedList>();

  get size(): number {
    return this.#lists.size;
  }

  /** The list that the call sees. */
  of(call: Call): CachedList {
    const view = listCacheKey(call);
    const key = JSON.stringify([call.profile, view]);
    const list = this.#lists.get(key) ?? {
      cacheKey: view,
      pages: new Map(),
      listing: 0,
      fingerprint: undefined,
    };
    // The last one used is the last one to go.
    this.#lists.delete(key);
    this.#lists.set(key, list);
    return list;
  }

  /**
   * Keeps what is kept within its bounds: pages of lists that are over go first, then the lists
   * that nobody asked for the longest.
   */
  trim(list: CachedList): void {
    for (const [cursor, { cached, flight }] of list.pages) {
      const over = cached !== undefined && cached.listing < list.listing - 1;
      if (!flight && (over || list.pages.size > MAX_PAGES)) list.pages.delete(cursor);
    }
    let characters = 0;
    for (const { pages } of this.#lists.values()) {
      for (const { cached } of pages.values()) characters += cached?.characters ?? 0;
    }
    for (const [key, { pages }] of this.#lists) {
      if (characters <= MAX_CHARACTERS && this.#lists.size <= MAX_LISTS) return;
      for (const { cached } of pages.values()) characters -= cached?.characters ?? 0;
      this.#lists.delete(key);
    }
  }
}

export function findPage({ pages }: CachedList, request: Request): CachedPage {
  const cursor = JSON.stringify(paramsOf(request).cursor ?? null);
  const page = pages.get(cursor) ?? { cached: undefined, failed: undefined, flight: undefined };
  pages.set(cursor, page);
  return page;
}
