import { jsonText } from '../../core/jsonrpc/canonical-json.ts';
import { paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { SharedResponse } from '../../core/jsonrpc/shared-response.ts';
import { shortKey } from '../../core/jsonrpc/short-key.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { SharedCall } from '../../core/pipeline/shared-call.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import { MAX_PAGES } from '../../core/tools/list-pages.ts';
import { listCacheKey } from '../../core/tools/list-request.ts';
import type { CatalogVersion, KeptList, ListVersion } from '../../core/tools/list-version.ts';

/** Cached lists: one per client, profile, protocol version and the like. */
const MAX_LISTS = 100;
/** Heap bytes of all cached lists and failures: several lists of thousands of tools. */
const MAX_HEAP_BYTES = heapShare(64 * 1024 * 1024);

/** The version of a page. The fingerprint is that of its whole list. */
export type PageVersion = Omit<ListVersion, 'fingerprint'>;

export interface CachedAnswer extends Omit<KeptList, 'version'> {
  /** As of its request. */
  readonly version: PageVersion;
  /** A late answer to an earlier request replaces nothing. */
  readonly order: number;
  readonly answer: SharedResponse;
  readonly heapBytes: number;
}

/** The outcome of a fetch. */
export interface ListOutcome {
  /** Returns the reply for one waiting call. */
  readonly replyFor: (call: Call, request: Request) => Reply | Promise<Reply>;
  /**
   * Why an earlier list may be served; absent for an answer. `lasts`: an immediate retry would fail
   * too.
   */
  readonly failure?: { readonly why: string; readonly lasts: boolean; readonly heapBytes: number };
}

export interface PageFlight {
  readonly version: CatalogVersion;
  readonly work: SharedCall<ListOutcome>;
}

export interface CachedPage {
  cached: CachedAnswer | undefined;
  failed:
    | { readonly at: number; readonly version: CatalogVersion; readonly outcome: ListOutcome }
    | undefined;
  flight: PageFlight | undefined;
}

/** A list under one cache key, with the requested pages by cursor. */
export interface CachedList {
  readonly cacheKey: string;
  readonly pages: Map<string, CachedPage>;
  /** Number of first pages received; pages of earlier listings are outdated. */
  listing: number;
  /** Fingerprint of the complete list at the last page. */
  fingerprint: string | undefined;
}

/** The cached lists, within bounds. */
export class CachedLists {
  readonly #lists = new Map<string, CachedList>();

  get size(): number {
    return this.#lists.size;
  }

  /** Finds or creates the list for a call. */
  of(call: Call): CachedList {
    const view = listCacheKey(call);
    const key = shortKey(JSON.stringify([call.profile, view]));
    const list = this.#lists.get(key) ?? {
      cacheKey: view,
      pages: new Map(),
      listing: 0,
      fingerprint: undefined,
    };
    // Moved to the end: least recently used lists go first.
    this.#lists.delete(key);
    this.#lists.set(key, list);
    return list;
  }

  /** Enforces the bounds: outdated pages go first, then least recently used lists. */
  trim(list: CachedList): void {
    for (const [cursor, { cached, flight }] of list.pages) {
      const over = cached !== undefined && cached.version.listing < list.listing - 1;
      if (!flight && (over || list.pages.size > MAX_PAGES)) list.pages.delete(cursor);
    }
    let heapBytes = 0;
    for (const { pages } of this.#lists.values()) {
      for (const page of pages.values()) heapBytes += heapBytesIn(page);
    }
    for (const [key, { pages }] of this.#lists) {
      if (heapBytes <= MAX_HEAP_BYTES && this.#lists.size <= MAX_LISTS) return;
      for (const page of pages.values()) heapBytes -= heapBytesIn(page);
      this.#lists.delete(key);
    }
  }
}

const heapBytesIn = ({ cached, failed }: CachedPage): number =>
  (cached?.heapBytes ?? 0) + (failed?.outcome.failure?.heapBytes ?? 0);

export function findPage({ pages }: CachedList, request: Request): CachedPage {
  const cursor = shortKey(jsonText(paramsOf(request).cursor ?? null));
  const page = pages.get(cursor) ?? { cached: undefined, failed: undefined, flight: undefined };
  pages.set(cursor, page);
  return page;
}
