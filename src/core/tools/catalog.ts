import { createHash } from 'node:crypto';
import { canonicalText } from '../jsonrpc/canonical-json.ts';
import { isObject, type JsonObject } from '../jsonrpc/message.ts';

/**
 * What a tool says of itself, with the protocol's defaults for what it leaves out: all hints, none
 * a promise.
 */
export interface ToolAnnotations {
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  readonly destructive: boolean;
}

/** More than any server offers; a server that never stops listing must not fill memory. */
const MAX_TOOLS = 10_000;
/**
 * Lists that are being read page by page at one moment. A client that never asks for its next page
 * leaves one behind.
 */
const MAX_LISTINGS = 16;
/**
 * Views whose last list is remembered; what there are of them beside one or two is the clients'
 * choice.
 */
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

/** A list that is being read. */
interface Listing {
  readonly definitions: Definitions;
  /** Every tool, names twice included. */
  readonly tools: unknown[];
}

/** The last whole list of a view. */
interface LastList {
  readonly fingerprint: string;
  /**
   * Of the same texts as the server wrote them: while they stay, their keys need not be sorted
   * again.
   */
  readonly asWritten: string;
  /** How often it had been said by then that the list has changed. */
  readonly announcements: number;
}

/** What a whole list brought that differs from the whole list before it. */
export interface ToolsChange {
  /** The client knows already: the server said so, or the client has begun anew. */
  readonly announced: boolean;
}

/** What is known of the tools of one profile, from the lists that passed. */
export class ToolCatalog {
  #definitions: Definitions = new Map();
  /** What the earlier pages of a list held, by the page that comes next. */
  readonly #listings = new Map<string, Listing>();
  /** By view. */
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
   * True where a whole list was read since the last `forget`: a tool that is not known then does
   * not exist.
   */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Counts how often what was known has ended: what was asked for under another generation says
   * nothing of this one.
   */
  get generation(): number {
    return this.#generation;
  }

  /** Counts the identities that asked: what one was shown is nothing for the next. */
  get identity(): number {
    return this.#identity;
  }

  /**
   * Takes note of one page of a tools/list answer; what a later page or list says of a tool
   * replaces what was known, and the last page of a list ends what it did not name. Anything that
   * is no such answer is passed over.
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
      // Until its list is whole, what was known before may still hold, such as another tool of that
      // name on a later page.
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
   * Of the last whole list, also after what it said was forgotten; undefined before there was one.
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

  /**
   * The tool as its server describes it; undefined where no list has named it: nothing may be taken
   * for granted then.
   */
  definitionOf(name: string): JsonObject | undefined {
    return this.#definitions.get(name)?.definition;
  }

  /**
   * When the list was asked for that named the tool last, on the monotonic clock; undefined where
   * none has.
   */
  listedAt(name: string): number | undefined {
    return this.#definitions.get(name)?.at;
  }

  /**
   * Undefined where no list has named the tool. Of two tools of one name nobody can tell which a
   * call will run: only what both say holds then.
   */
  annotationsOf(name: string): ToolAnnotations | undefined {
    return this.#definitions.get(name)?.annotations;
  }

  /** Reads a whole list by `fill`, once for all who ask while that runs. */
  fillOnce(fill: () => Promise<void>): Promise<void> {
    if (this.#filling) return this.#filling;
    const filling = fill().finally(() => {
      if (this.#filling === filling) this.#filling = undefined;
    });
    this.#filling = filling;
    return filling;
  }

  /**
   * After list_changed, or in a new session: what was known may be wrong.
   * @param clientKnows - true where the client knows of it.
   * @param identityChanged - true where another identity asks from now on.
   */
  invalidate({ clientKnows = false, identityChanged = false } = {}): void {
    if (clientKnows) this.#announcements++;
    if (identityChanged) this.#identity++;
    this.#definitions = new Map();
    this.#listings.clear();
    this.#complete = false;
    this.#generation++;
    // Whoever asks from now on wants the list as it is now.
    this.#filling = undefined;
  }
}

/** Sorted, because there are servers that list in another order each time. */
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
    // Says something of tools that change things only.
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
