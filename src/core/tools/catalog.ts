import { createHash } from 'node:crypto';
import { canonicalText, jsonText } from '../jsonrpc/canonical-json.ts';
import { heapBytesOf } from '../jsonrpc/containers.ts';
import { isObject, type JsonObject } from '../jsonrpc/message.ts';
import { shortKey } from '../jsonrpc/short-key.ts';
import { heapShare } from '../system/heap-share.ts';
import { SingleFlight } from '../time/single-flight.ts';
import type { CatalogVersion } from './list-version.ts';

/** A tool's annotations with the protocol's defaults. They are hints, not promises. */
export interface ToolAnnotations {
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  readonly destructive: boolean;
}

/** More than any server offers; a server that never stops listing must not fill memory. */
const MAX_TOOLS = 10_000;
/** Bounds the known tools, and separately the listings in progress. */
const MAX_KNOWN_BYTES = heapShare(32 * 1024 * 1024);
/** Listings in progress. A client that never requests the next page leaves one behind. */
const MAX_LISTINGS = 16;
/** Cache keys whose last list is remembered; clients choose how many there are. */
const MAX_CACHE_KEYS = 100;
/** Enough of a hash to tell lists apart, and short enough for a log. */
const FINGERPRINT_LENGTH = 16;

interface KnownTool {
  readonly definition: JsonObject;
  readonly annotations: ToolAnnotations;
  /** When its list was asked for, on the monotonic clock. */
  readonly at: number;
  /** Its text and what is parsed of it. */
  readonly heapBytes: number;
}

/** Tools by name, within bounds. */
class Definitions {
  readonly #tools = new Map<string, KnownTool>();
  #heapBytes = 0;

  get size(): number {
    return this.#tools.size;
  }

  get heapBytes(): number {
    return this.#heapBytes;
  }

  get names(): Iterable<string> {
    return this.#tools.keys();
  }

  get(name: string): KnownTool | undefined {
    return this.#tools.get(name);
  }

  /** One that there is no room for is not known: nothing is taken for granted then. */
  note(name: string, definition: JsonObject, { at, heapBytes }: Pick<KnownTool, 'at' | 'heapBytes'>): void {
    const before = this.#tools.get(name);
    if (before) {
      this.#tools.delete(name);
      this.#heapBytes -= before.heapBytes;
    }
    if (this.#tools.size >= MAX_TOOLS || this.#heapBytes + heapBytes > MAX_KNOWN_BYTES) return;
    const annotations = mergeAnnotations(annotationsOf(definition), before?.annotations);
    this.#tools.set(name, { definition, annotations, at, heapBytes });
    this.#heapBytes += heapBytes;
  }
}

/** A listing in progress. */
interface Listing {
  readonly definitions: Definitions;
  /** All tools, duplicate names included. */
  readonly tools: { readonly tool: unknown; readonly text: string }[];
  heapBytes: number;
}

/** The last complete list under a cache key. */
interface LastList {
  readonly fingerprint: string;
  /**
   * Hash of the tools as written: while it is unchanged, the canonical hash need not be computed.
   */
  readonly asWritten: string;
  /** Number of announced changes at that time. */
  readonly announcements: number;
}

/** A complete list that differs from the previous one. */
export interface ToolsChange {
  /** True where the server announced the change, or the client started a new session. */
  readonly announced: boolean;
}

/** The known tools of one profile, from the tool lists that passed. */
export class ToolCatalog {
  #definitions = new Definitions();
  /** Listings in progress, by the page that comes next. */
  readonly #listings = new Map<string, Listing>();
  /** By cache key. */
  readonly #last = new Map<string, LastList>();
  #announcements = 0;
  #identity = 0;
  #complete = false;
  #generation = 0;
  readonly #filling = new SingleFlight<void>();

  get size(): number {
    return this.#definitions.size;
  }

  /**
   * True where a complete list was read since the last `invalidate`: an unlisted tool does not
   * exist then.
   */
  get complete(): boolean {
    return this.#complete;
  }

  /** An answer that was requested under an earlier version is outdated. */
  get version(): CatalogVersion {
    return { generation: this.#generation, identity: this.#identity };
  }

  /**
   * Records one page of a tools/list answer. Later pages and lists replace what was known, and the
   * last page removes tools that the list did not name. Anything else is ignored.
   * @param cursor - that of the request; undefined for the first page.
   * @param cacheKey - what else the list depends on: two sessions may receive different lists.
   * @param at - when the list was requested, on the monotonic clock.
   * @returns word of a change, where this completes a list that differs from the whole list that
   * this view had before.
   */
  learn(response: JsonObject, cursor?: unknown, cacheKey = '', at = 0): ToolsChange | undefined {
    const result = isObject(response.result) ? response.result : {};
    const { tools, nextCursor } = result;
    if (!Array.isArray(tools)) return undefined;
    const listing = this.#takeListing(cursor, cacheKey);
    for (const tool of tools) {
      const text = jsonText(tool);
      const heapBytes = heapBytesOf(text);
      if (listing && listing.tools.length < MAX_TOOLS && listing.heapBytes + heapBytes <= MAX_KNOWN_BYTES) {
        listing.tools.push({ tool, text });
        listing.heapBytes += heapBytes;
      }
      if (!isObject(tool) || typeof tool.name !== 'string') continue;
      const facts = { at, heapBytes };
      listing?.definitions.note(tool.name, tool, facts);
      // Until the listing is complete, earlier entries may still be valid.
      this.#definitions.note(tool.name, tool, facts);
    }
    if (!listing) return undefined;
    if (typeof nextCursor === 'string') {
      this.#keepListing(pageKey(nextCursor, cacheKey), listing);
      return undefined;
    }
    this.#definitions = listing.definitions;
    this.#complete = true;
    return this.#compare(listing, cacheKey);
  }

  #keepListing(key: string, listing: Listing): void {
    setBounded(this.#listings, key, listing, MAX_LISTINGS);
    let heapBytes = 0;
    for (const each of this.#listings.values()) heapBytes += each.heapBytes;
    for (const [oldest, each] of this.#listings) {
      if (heapBytes <= MAX_KNOWN_BYTES) return;
      this.#listings.delete(oldest);
      heapBytes -= each.heapBytes;
    }
  }

  #takeListing(cursor: unknown, cacheKey: string): Listing | undefined {
    if (cursor === undefined) return { definitions: new Definitions(), tools: [], heapBytes: 0 };
    const key = pageKey(cursor, cacheKey);
    const listing = this.#listings.get(key);
    this.#listings.delete(key);
    return listing;
  }

  #compare({ tools }: Listing, cacheKey: string): ToolsChange | undefined {
    const before = this.#last.get(cacheKey);
    const asWritten = hashOf(tools.map(({ text }) => text));
    const fingerprint =
      before?.asWritten === asWritten
        ? before.fingerprint
        : hashOf(tools.map(({ tool }) => canonicalText(tool)));
    setBounded(
      this.#last,
      cacheKey,
      { fingerprint, asWritten, announcements: this.#announcements },
      MAX_CACHE_KEYS,
    );
    if (before === undefined || before.fingerprint === fingerprint) return undefined;
    return { announced: before.announcements !== this.#announcements };
  }

  /**
   * Fingerprint of the last complete list, also after an invalidation; undefined before the first.
   */
  fingerprintOf(cacheKey = ''): string | undefined {
    return this.#last.get(cacheKey)?.fingerprint;
  }

  get names(): Iterable<string> {
    return this.#definitions.names;
  }

  /** The server's definition of the tool; undefined where no list has named it. */
  definitionOf(name: string): JsonObject | undefined {
    return this.#definitions.get(name)?.definition;
  }

  /** When the last list with this tool was requested, on the monotonic clock. */
  listedAt(name: string): number | undefined {
    return this.#definitions.get(name)?.at;
  }

  /**
   * Undefined where no list has named the tool. For duplicate names, only what all of them state.
   */
  annotationsOf(name: string): ToolAnnotations | undefined {
    return this.#definitions.get(name)?.annotations;
  }

  /** Reads the complete list by `fill`; concurrent callers share one run. */
  fillOnce(fill: () => Promise<void>): Promise<void> {
    return this.#filling.run(fill).outcome;
  }

  /**
   * Discards what is known, after list_changed or with a new session.
   * @param clientKnows - true where the client knows of the change.
   * @param identityChanged - true where another identity asks from now on.
   */
  invalidate({ clientKnows = false, identityChanged = false } = {}): void {
    if (clientKnows) this.#announcements++;
    if (identityChanged) this.#identity++;
    this.#definitions = new Definitions();
    this.#listings.clear();
    this.#complete = false;
    this.#generation++;
    // Later callers need a list of after this point.
    this.#filling.detach();
  }
}

/** Sorted, because some servers list in varying order. */
function hashOf(texts: string[]): string {
  const hash = createHash('sha256');
  for (const text of texts.sort()) hash.update(text).update('\n');
  return hash.digest('hex').slice(0, FINGERPRINT_LENGTH);
}

export function annotationsOf(tool: JsonObject): ToolAnnotations {
  const hints = isObject(tool.annotations) ? tool.annotations : {};
  const readOnly = hints.readOnlyHint === true;
  return {
    readOnly,
    idempotent: hints.idempotentHint === true,
    // The hint applies only to tools that change something.
    destructive: !readOnly && hints.destructiveHint !== false,
  };
}

function mergeAnnotations(one: ToolAnnotations, other = one): ToolAnnotations {
  return {
    readOnly: one.readOnly && other.readOnly,
    idempotent: one.idempotent && other.idempotent,
    destructive: one.destructive || other.destructive,
  };
}

const pageKey = (cursor: unknown, cacheKey: string): string => shortKey(jsonText([cacheKey, cursor]));

function setBounded<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
