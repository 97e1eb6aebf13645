import { arrayAt } from '../jsonrpc/json-spans.ts';
import { isObject, type JsonObject, type Response } from '../jsonrpc/message.ts';
import { SharedResponse } from '../jsonrpc/shared-response.ts';

/**
 * Returns the tools/list answer with edited tools: `edit` returns the text of each, or undefined to
 * remove it. Everything else keeps its bytes; without an edit the same answer is returned.
 */
export function editTools(
  response: Response,
  edit: (tool: JsonObject, text: string) => string | undefined,
): Response {
  const { result } = response.json;
  if (!isObject(result) || !Array.isArray(result.tools)) return response;
  const listed = readParts(response);
  if (!listed) return response;
  const texts: string[] = [];
  const kept: unknown[] = [];
  let edited = false;
  let changed = false;
  listed.texts.forEach((text, at) => {
    const value: unknown = (result.tools as readonly unknown[])[at];
    const shown = isObject(value) ? edit(value, text) : text;
    if (shown !== text) edited = true;
    if (shown === undefined) return;
    changed ||= shown !== text;
    texts.push(shown);
    kept.push(value);
  });
  if (!edited) return response;
  const pieces = { ...listed, texts };
  const made = createEdited(
    response,
    pieces,
    changed ? parseLazily(result, texts) : { ...result, tools: kept },
  );
  editedLists.set(made, pieces);
  return made;
}

/** The text of a list in parts. */
interface ListParts {
  /** The text before and after the tools, with the brackets. */
  readonly head: string;
  readonly tail: string;
  readonly texts: readonly string[];
}

/**
 * Parts of edited lists, so that the next layer need not find the tools again. They repeat the
 * text: without them it is read once more.
 */
const editedLists = new WeakMap<Response, ListParts>();

function readParts(response: Response): ListParts | undefined {
  const known = editedLists.get(response);
  if (known) return known;
  const { text } = response;
  const found = arrayAt(text, ['result', 'tools']);
  if (!found) return undefined;
  return {
    head: `${text.slice(0, found.span.start)}[`,
    tail: `]${text.slice(found.span.end)}`,
    texts: found.elements.map(({ start, end }) => text.slice(start, end)),
  };
}

/** The text is joined only when it is read: the next layer edits the parts. */
function createEdited(
  { kind, id, outcome, json }: Response,
  { head, tail, texts }: ListParts,
  result: JsonObject,
): Response {
  let text: string | undefined;
  return {
    kind,
    id,
    outcome,
    json: { ...json, result },
    get text(): string {
      text ??= head + texts.join(',') + tail;
      return text;
    },
  };
}

/** Edited tools are parsed only when a later layer reads them. */
function parseLazily(result: JsonObject, texts: readonly string[]): JsonObject {
  let tools: unknown;
  return {
    ...result,
    get tools(): unknown {
      tools ??= JSON.parse(`[${texts.join(',')}]`);
      return tools;
    },
  };
}

/**
 * One layer's edits of lists. A kept list is edited once: it is recognized by its result object,
 * which all answers with this list share. A copy of that object is edited again, which costs time
 * but is never wrong; test/layers/cached-list-edits.test.ts notices such a copy.
 */
export class ListEdits {
  readonly #made = new WeakMap<JsonObject, SharedResponse | 'none'>();

  /** As `editTools`, but a list that was edited before is not edited again. */
  of(response: Response, edit: (tool: JsonObject, text: string) => string | undefined): Response {
    const { id, json } = response;
    if (id === undefined || !isObject(json.result)) return editTools(response, edit);
    const made = this.#made.get(json.result);
    if (made === 'none') return response;
    if (made) return made.for({ ...response, id });
    const first = editTools(response, edit);
    this.#made.set(json.result, first === response ? 'none' : new SharedResponse(first));
    return first;
  }
}
