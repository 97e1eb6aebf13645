import { causeText, factsOf, ProxyError } from '../errors/errors.ts';
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
import { type Call, type Handler, NO_DEADLINE } from '../pipeline/call.ts';
import { deriveHttpContext } from '../pipeline/http-context.ts';
import { abortableUnsent } from '../time/before-sending.ts';
import { type Clock, withTimeout } from '../time/clock.ts';
import type { ToolCatalog } from './catalog.ts';
import { MAX_PAGES, readPages } from './list-pages.ts';

/**
 * The longest time for a list of the proxy's own. Callers have their own deadlines; this one keeps
 * a silent server from holding later ones.
 */
const LIST_LIMIT_MS = 60_000;

/**
 * The same answer to tools/list with other tools: `edit` gives the text of each as it should stand
 * there, or undefined to leave it out. Everything else keeps its bytes; an answer in which nothing
 * is edited comes back itself.
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

/** A list in pieces. */
interface ListParts {
  /** What stands before its tools and behind them, brackets included. */
  readonly head: string;
  readonly tail: string;
  readonly texts: readonly string[];
}

/**
 * Lists that were edited here: the next one who edits such a list need not look for its tools
 * again.
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

/** Whoever edits it next needs its pieces: it is put together for who looks at the whole. */
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

/**
 * Most who edit a list are the last to look at it: what they wrote is parsed for whoever does, not
 * for everybody.
 */
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
 * What one layer makes of lists. A cache gives the same list to many, and then it is edited once:
 * the same result object is the same list, whoever the answer is for.
 */
export class ListEdits {
  readonly #made = new WeakMap<JsonObject, SharedResponse | 'none'>();

  /** As `editTools`; `edit` is asked only where the list has not been here before. */
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

/** Keys of `_meta` that say nothing of the answer: they would make every request another one. */
const PASSING_META: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate', 'baggage']);

/**
 * A key for everything that the answer to tools/list may depend on, but the page and the profile:
 * client, session, revision, region. What one view shows is never given to another.
 */
export function listCacheKey({ client, httpContext, message }: Call): string {
  const { cursor: _cursor, _meta, ...rest } = paramsOf(message);
  const meta = Object.entries(isObject(_meta) ? _meta : {}).filter(([key]) => !PASSING_META.has(key));
  return JSON.stringify([client.id, httpContext?.headers['mcp-session-id'] ?? null, rest, meta]);
}

let lastId = 0;

/**
 * A request for one page, in the era of the message that it is asked for, under an id that no
 * client uses.
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

/** The server has refused its list to one of many HTTP clients, in the session of that one. */
class RefusedToOne extends Error {}

/**
 * True where the list failed for one client, and what it met says nothing of others: a session that
 * is gone, a client not let in.
 */
export const concernsOneClient = (error: unknown): boolean =>
  error instanceof RefusedToOne ||
  (error instanceof ProxyError && (error.reason === 'session-lost' || error.cause instanceof RefusedToOne));

/**
 * Reads the whole list of the call's profile through `next`, which teaches it to `tools` on the
 * way; once for all who ask at the same time. One caller that leaves does not end it for the
 * others, nor does one that the server refuses.
 * @throws ProxyError tools-unknown, where the server could not be asked or did not answer with a
 * list; session-lost, where an HTTP client has to hear that its session is gone, because nobody
 * else opens it a new one.
 */
export async function fillTools(tools: ToolCatalog, next: Handler, call: Call, clock: Clock): Promise<void> {
  const { generation } = tools;
  await fillOnce(tools, next, call, clock);
  // Asking has brought a new session perhaps, whose list nobody has learned yet; a list that goes
  // on changing is the caller's matter.
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
