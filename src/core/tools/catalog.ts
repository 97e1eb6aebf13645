import { createHash } from 'node:crypto';
import { canonicalText } from '../jsonrpc/canonical-json.ts';
import { isObject, type JsonObject } from '../jsonrpc/message.ts';

/** A tool's annotations with the protocol's defaults. They are hints, not promises. */
export interface ToolAnnotations {
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  readonly destructive: boolean;
}

/** More than any server offers; a server that never stops listing must not fill memory. */
const MAX_TOOLS = 10_000;
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
}

type Definitions = Map<string, KnownTool>;

/** A listing in progress. */
interface Listing {
  readonly definitions: Definitions;
  /** All tools, duplicate names included. */
  readonly tools: unknown[];
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
  #definitions: Definitions = new Map();
  /** Listings in progress, by the page that comes next. */
  readonly #listings = new Map<string, Listing>();
  /** By cache key. */
  readonly #last = new Map<string, LastList>();
  #announcements = 0;
  #identity = 0;
  #complete = false;
  #generation = 0;
  #filling: Promise<void> | undefined;

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

  /** Number of invalidations. An answer requested under an earlier generation is outdated. */
  get generation(): number {
    return this.#generation;
  }

  /** Number of identity changes. A list shown to one identity is not shown to another. */
  get identity(): number {
    return this.#identity;
  }

  /**
   * Records one page of a tools/list answer. Later pages and lists replace what was known, and the
   * last page removes tools that the list did not name. Anything else is ignored.
   * @param cursor - that of the request; undefined where it asked for the first page.
   * @param cacheKey - what the list depends on beside that: what is shown to one session says
   * nothing of what another is shown.
   * @param at - when the list was asked for, on the monotonic clock.
   * @returns word of a change, where this completes a list that differs from the whole list that
   * this view had before.
   */
  learn(response: JsonObject, cursor?: unknown, cacheKey = '', at = 0): ToolsChange | undefined {
    const result = isObject(response.result) ? response.result : {};
    const { tools, nextCursor } = result;
    if (!Array.isArray(tools)) return undefined;
    const listing = this.#takeListing(cursor, cacheKey);
    for (const tool of tools) {
      if (!isObject(tool) || typeof tool.name !== 'string') continue;
      if (listing) this.#note(listing.definitions, tool.name, tool, at);
      // Until the listing is complete, earlier entries may still be valid.
      this.#note(this.#definitions, tool.name, tool, at);
    }
    if (!listing) return undefined;
    if (listing.tools.length < MAX_TOOLS) for (const tool of tools) listing.tools.push(tool);
    if (typeof nextCursor === 'string') {
      setBounded(this.#listings, pageKey(nextCursor, cacheKey), listing, MAX_LISTINGS);
      return undefined;
    }
    this.#definitions = listing.definitions;
    this.#complete = true;
    return this.#compare(listing, cacheKey);
  }

  #takeListing(cursor: unknown, cacheKey: string): Listing | undefined {
    if (cursor === undefined) return { definitions: new Map(), tools: [] };
    const key = pageKey(cursor, cacheKey);
    const listing = this.#listings.get(key);
    this.#listings.delete(key);
    return listing;
  }

  #compare({ tools }: Listing, cacheKey: string): ToolsChange | undefined {
    const before = this.#last.get(cacheKey);
    const asWritten = hashOf(tools.map((tool) => JSON.stringify(tool)));
    const fingerprint =
      before?.asWritten === asWritten ? before.fingerprint : hashOf(tools.map(canonicalText));
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

  #note(into: Definitions, name: string, definition: JsonObject, at: number): void {
    const before = into.get(name);
    if (!before && into.size >= MAX_TOOLS) return;
    into.set(name, {
      definition,
      annotations: mergeAnnotations(annotationsOf(definition), before?.annotations),
      at,
    });
  }

  get names(): Iterable<string> {
    return this.#definitions.keys();
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
    if (this.#filling) return this.#filling;
    const filling = fill().finally(() => {
      if (this.#filling === filling) this.#filling = undefined;
    });
    this.#filling = filling;
    return filling;
  }

  /**
   * Discards what is known, after list_changed or with a new session.
   * @param clientKnows - true where the client knows of the change.
   * @param identityChanged - true where another identity asks from now on.
   */
  invalidate({ clientKnows = false, identityChanged = false } = {}): void {
    if (clientKnows) this.#announcements++;
    if (identityChanged) this.#identity++;
    this.#definitions = new Map();
    this.#listings.clear();
    this.#complete = false;
    this.#generation++;
    // Later callers need a list of after this point.
    this.#filling = undefined;
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

const pageKey = (cursor: unknown, cacheKey: string): string => JSON.stringify([cacheKey, cursor]);

function setBounded<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
