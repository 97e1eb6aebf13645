import { isObject, type JsonObject } from './message.ts';

/** What a tool says of itself, with the protocol's defaults for what it leaves out: all hints, none a promise. */
export interface ToolAnnotations {
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  readonly destructive: boolean;
}

/** More than any server offers; a server that never stops listing must not fill memory. */
const MOST_TOOLS = 10_000;
/** Lists that are being read page by page at one moment. A client that never asks for its next page leaves one behind. */
const MOST_WALKS = 16;

interface Known {
  readonly definition: JsonObject;
  readonly annotations: ToolAnnotations;
}

type Definitions = Map<string, Known>;

/** What is known of the tools of one profile, from the lists that passed. */
export class Tools {
  #definitions: Definitions = new Map();
  /** What the earlier pages of a list held, by the cursor of the page that comes next. */
  readonly #walks = new Map<string, Definitions>();
  #complete = false;
  #generation = 0;
  #filling: Promise<void> | undefined;

  get size(): number {
    return this.#definitions.size;
  }

  /** True where a whole list was read since the last `forget`: a tool that is not known then does not exist. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Counts how often what was known has ended: what was asked for under another generation says nothing of this one. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Takes note of one page of a tools/list answer; what a later page or list says of a tool replaces what was known, and the last
   * page of a list ends what it did not name. Anything that is no such answer is passed over.
   * @param cursor - that of the request; undefined where it asked for the first page.
   */
  learn(response: JsonObject, cursor?: unknown): void {
    const result = isObject(response.result) ? response.result : {};
    const { tools, nextCursor } = result;
    if (!Array.isArray(tools)) return;
    const walk = this.#walkOf(cursor);
    for (const tool of tools) {
      if (!isObject(tool) || typeof tool.name !== 'string') continue;
      if (walk) this.#note(walk, tool.name, tool);
      // Until its list is whole, what was known before may still hold, such as another tool of that name on a later page.
      this.#note(this.#definitions, tool.name, tool);
    }
    if (!walk) return;
    if (typeof nextCursor === 'string') {
      this.#walks.set(nextCursor, walk);
      const [oldest] = this.#walks.keys();
      if (this.#walks.size > MOST_WALKS && oldest !== undefined) this.#walks.delete(oldest);
      return;
    }
    this.#definitions = walk;
    this.#complete = true;
  }

  #walkOf(cursor: unknown): Definitions | undefined {
    if (cursor === undefined) return new Map();
    const walk = this.#walks.get(String(cursor));
    this.#walks.delete(String(cursor));
    return walk;
  }

  #note(into: Definitions, name: string, definition: JsonObject): void {
    const before = into.get(name);
    if (!before && into.size >= MOST_TOOLS) return;
    into.set(name, { definition, annotations: worst(annotationsOf(definition), before?.annotations) });
  }

  get names(): Iterable<string> {
    return this.#definitions.keys();
  }

  /** The tool as its server describes it; undefined where no list has named it: nothing may be taken for granted then. */
  definitionOf(name: string): JsonObject | undefined {
    return this.#definitions.get(name)?.definition;
  }

  /**
   * Undefined where no list has named the tool. Of two tools of one name nobody can tell which a call will run: only what both say
   * holds then.
   */
  annotationsOf(name: string): ToolAnnotations | undefined {
    return this.#definitions.get(name)?.annotations;
  }

  /** Reads a whole list by `fill`, once for all who ask while that runs. */
  filled(fill: () => Promise<void>): Promise<void> {
    if (this.#filling) return this.#filling;
    const filling = fill().finally(() => {
      if (this.#filling === filling) this.#filling = undefined;
    });
    this.#filling = filling;
    return filling;
  }

  /** After list_changed, or in a new session: what was known may be wrong. */
  forget(): void {
    this.#definitions = new Map();
    this.#walks.clear();
    this.#complete = false;
    this.#generation++;
    // Whoever asks from now on wants the list as it is now.
    this.#filling = undefined;
  }
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

function worst(one: ToolAnnotations, other = one): ToolAnnotations {
  return {
    readOnly: one.readOnly && other.readOnly,
    idempotent: one.idempotent && other.idempotent,
    destructive: one.destructive || other.destructive,
  };
}
