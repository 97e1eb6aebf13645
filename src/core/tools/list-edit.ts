import { causeText, factsOf, ProxyError } from '../errors/errors.ts';
import { jsonText } from '../jsonrpc/canonical-json.ts';
import { arrayAt } from '../jsonrpc/json-spans.ts';
import {
  isObject,
  type JsonObject,
  type Message,
  paramsOf,
  type Request,
  type Response,
  statedVersion,
} from '../jsonrpc/message.ts';
import { SharedResponse } from '../jsonrpc/shared-response.ts';
import { shortKey } from '../jsonrpc/short-key.ts';
import { type Call, type Handler, NO_DEADLINE } from '../pipeline/call.ts';
import { deriveHttpContext } from '../pipeline/http-context.ts';
import type { Clock } from '../time/clock.ts';
import { abortableUnsent, withTimeout } from '../time/waits.ts';
import type { ToolCatalog } from './catalog.ts';
import { MAX_PAGES, readPages } from './list-pages.ts';

/** Time limit for a listing of the proxy, so that a silent server does not block later ones. */
const LIST_LIMIT_MS = 60_000;

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

/** Parts of edited lists, so that the next layer need not find the tools again. */
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
 * One layer's edits of lists. A cached list is edited once: the same result object is the same
 * list.
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

/** Keys of `_meta` that do not affect the answer. */
const PASSING_META: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate', 'baggage']);

/**
 * A key for everything that a tools/list answer may depend on besides page and profile: client,
 * session, revision, region. Lists are never shared between keys.
 */
export function listCacheKey({ client, httpContext, message }: Call): string {
  const { cursor: _cursor, _meta, ...rest } = paramsOf(message);
  const meta = Object.entries(isObject(_meta) ? _meta : {}).filter(([key]) => !PASSING_META.has(key));
  return shortKey(jsonText([client.id, httpContext?.headers['mcp-session-id'] ?? null, rest, meta]));
}

let lastId = 0;

/**
 * Creates a request for one page, in the era of the given message, under an id that no client uses.
 */
export function listRequest(example: Message, cursor: string | undefined): Request {
  const envelope =
    statedVersion(example) === undefined
      ? undefined
      : Object.fromEntries(
          Object.entries(paramsOf(example)._meta ?? {}).filter(([key]) =>
            key.startsWith('io.modelcontextprotocol/'),
          ),
        );
  const params = {
    ...(cursor === undefined ? {} : { cursor }),
    ...(envelope ? { _meta: envelope } : {}),
  };
  const id = `mcp-sigv4-proxy:tools:${++lastId}`;
  const method = 'tools/list';
  const json = { jsonrpc: '2.0', id, method, ...(Object.keys(params).length === 0 ? {} : { params }) };
  return { kind: 'request', id, method, json, text: JSON.stringify(json) };
}

/** The server refused the list to one HTTP client in its session. */
class RefusedToOne extends Error {}

/**
 * True where the failure concerns one client only: a lost session, or a client that was refused.
 */
export const concernsOneClient = (error: unknown): boolean =>
  error instanceof RefusedToOne ||
  (error instanceof ProxyError && (error.reason === 'session-lost' || error.cause instanceof RefusedToOne));

/**
 * Reads the complete tool list of the call's profile through `next`, which records it in `tools`.
 * Concurrent callers share one run; it continues when one of them leaves or is refused.
 * @throws ProxyError tools-unknown, where the server could not be asked or did not answer with a
 * list; session-lost, where an HTTP client has to hear that its session is gone, because nobody
 * else opens it a new one.
 */
export async function fillTools(tools: ToolCatalog, next: Handler, call: Call, clock: Clock): Promise<void> {
  const { generation } = tools;
  await fillOnce(tools, next, call, clock);
  // The request may have opened a new session, whose list is not known yet.
  if (generation !== tools.generation && !tools.complete) await fillOnce(tools, next, call, clock);
}

async function fillOnce(tools: ToolCatalog, next: Handler, call: Call, clock: Clock): Promise<void> {
  let own = false;
  const fill = (): Promise<void> => {
    own = true;
    return withTimeout(clock, LIST_LIMIT_MS, (signal) => readAllPages(next, call, signal));
  };
  const filling = tools.fillOnce(fill).catch((error: unknown) => {
    if (own || !concernsOneClient(error) || call.signal.aborted) throw error;
    return fill();
  });
  try {
    await abortableUnsent(filling, call.signal);
  } catch (error) {
    if (call.signal.aborted) throw error;
    if (call.httpContext && error instanceof ProxyError && error.reason === 'session-lost') throw error;
    throw new ProxyError(
      'tools-unknown',
      `The server's list of tools cannot be had now, and this call depends on it: ${causeText(error)}. The call was not sent; try again.`,
      {
        sent: 'no',
        cause: error,
        retryAfterMs: factsOf(error).retryAfterMs,
      },
    );
  }
}

async function readAllPages(next: Handler, call: Call, signal: AbortSignal): Promise<void> {
  const fetch = async (cursor: string | undefined): Promise<JsonObject> => {
    const message = listRequest(call.message, cursor);
    const { client, profile, emit, httpContext } = call;
    const reply = await next({
      message,
      client,
      profile,
      signal,
      emit,
      deadline: NO_DEADLINE,
      fresh: true,
      ...(httpContext ? { httpContext: deriveHttpContext(httpContext, message.method) } : {}),
    });
    const json: JsonObject = reply.kind === 'answer' ? reply.message.json : {};
    if (!isObject(json.result)) {
      const said = isObject(json.error) ? json.error.message : undefined;
      const words = typeof said === 'string' ? said : 'the server did not answer tools/list with a list';
      if (!httpContext) throw new Error(words);
      const inSession = httpContext.headers['mcp-session-id'] !== undefined;
      throw inSession && reply.kind === 'answer' && reply.http?.status === 404
        ? sessionGone(words)
        : new RefusedToOne(words);
    }
    return json.result;
  };
  const end = await readPages({ fetch, nextCursorOf: ({ nextCursor }) => nextCursor, take: () => true });
  if (end === 'circle') throw new Error('the list goes round in a circle of pages');
  if (end === 'too-many') throw new Error(`the list has more than ${MAX_PAGES} pages`);
}

const sessionGone = (words: string): ProxyError =>
  new ProxyError(
    'session-lost',
    `The MCP session is gone: the server no longer knows it, and this call was not sent. Open a new one. The server said: ${words}`,
    { sent: 'no' },
  );
