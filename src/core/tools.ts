import { isObject, type JsonObject } from './message.ts';

/** What a tool says of itself, with the protocol's defaults for what it leaves out: all hints, none a promise. */
export interface ToolAnnotations {
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  readonly destructive: boolean;
}

/** More than any server offers; a server that never stops listing must not fill memory. */
const MOST_TOOLS = 10_000;

/** What is known of the tools of one profile, from the lists that passed. */
export class Tools {
  readonly #annotations = new Map<string, ToolAnnotations>();

  get size(): number {
    return this.#annotations.size;
  }

  /**
   * Takes note of one page of a tools/list answer; what a later page or list says of a tool replaces what was known. Anything
   * that is no such answer is passed over.
   */
  learn(response: JsonObject): void {
    const tools = isObject(response.result) ? response.result.tools : undefined;
    if (!Array.isArray(tools)) return;
    for (const tool of tools) {
      if (!isObject(tool) || typeof tool.name !== 'string') continue;
      if (this.#annotations.size >= MOST_TOOLS && !this.#annotations.has(tool.name)) continue;
      this.#annotations.set(tool.name, annotationsOf(tool));
    }
  }

  /** Undefined where no list has named the tool: nothing may be taken for granted then. */
  annotationsOf(name: string): ToolAnnotations | undefined {
    return this.#annotations.get(name);
  }

  /** After list_changed, or in a new session: what was known may be wrong. */
  forget(): void {
    this.#annotations.clear();
  }
}

function annotationsOf(tool: JsonObject): ToolAnnotations {
  const hints = isObject(tool.annotations) ? tool.annotations : {};
  const readOnly = hints.readOnlyHint === true;
  return {
    readOnly,
    idempotent: hints.idempotentHint === true,
    // Says something of tools that change things only.
    destructive: !readOnly && hints.destructiveHint !== false,
  };
}
