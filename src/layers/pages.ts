import { text } from '../config/option.ts';
import {
  arrayAt,
  insertMember,
  memberAt,
  removeMember,
  spliceText,
  valueStartOf,
} from '../core/jsonrpc/json-spans.ts';
import {
  cancellationOf,
  idText,
  isObject,
  type JsonObject,
  paramsOf,
  type Request,
  type Response,
  statedVersion,
  withIdText,
} from '../core/jsonrpc/message.ts';
import { type Call, type Handler, type Layer, NO_DEADLINE, type Reply } from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import { deriveHttpContext } from '../core/pipeline/http-context.ts';
import type { Clock } from '../core/time/clock.ts';
import { hasInputResponses } from '../core/tools/cacheable.ts';
import { listKeyOf, readPages } from '../core/tools/list-pages.ts';

export const pagesOptions = {
  pages: text({
    group: 'Tools',
    placeholder: 'how',
    choices: ['merge', 'pass'],
    fallback: undefined,
    defaultText: 'merge on stdio, pass at the listener',
    help: 'merge: return all pages of a list at once if the client asks without a cursor, because many clients read only the first page; pass: return each page as the server sends it',
  }),
} as const;

/** No further page is requested after this time: clients give up on lists after 30 s. */
const MAX_MERGE_MS = 20_000;
/** Characters of a merged list; more than clients pass to a model. */
const MAX_MERGED_CHARACTERS = 4 * 1024 * 1024;

export interface PagesDeps {
  /** `merge` or `pass`; undefined: depends on the client's transport. */
  readonly how: string | undefined;
  /** Bytes of one line to the client, 0 = no limit. */
  readonly maxLineBytes: number;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Reads all pages of a list and returns them as one: Claude Code, Codex and opencode read only the
 * first.
 */
export function pages(deps: PagesDeps): Layer {
  const { how } = deps;
  return (next) =>
    function pages(call) {
      const { message, httpContext } = call;
      const key = message.kind === 'request' ? listKeyOf(message.method) : undefined;
      if (message.kind !== 'request' || key === undefined) return next(call);
      const merges = how === 'merge' || (how === undefined && !httpContext);
      const { cursor = null } = paramsOf(message);
      if (!merges || cursor !== null || hasInputResponses(message)) return next(call);
      return mergePages(deps, next, call, message, key);
    };
}

interface Page {
  readonly reply: Reply;
  /** Undefined where the reply has no list. */
  readonly list:
    | {
        readonly result: JsonObject;
        readonly items: readonly unknown[];
        readonly response: Response;
        readonly reply: Reply;
      }
    | undefined;
}

function readPage(reply: Reply, key: string): Page {
  const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
  if (reply.kind !== 'answer' || !isObject(result)) return { reply, list: undefined };
  const items = result[key];
  const complete = result.resultType === undefined || result.resultType === 'complete';
  return {
    reply,
    list: complete && Array.isArray(items) ? { result, items, response: reply.message, reply } : undefined,
  };
}

/** The text between the brackets of the list. */
function listItemsText({ text }: Response, key: string): string {
  const span = memberAt(text, ['result', key])?.valueSpan;
  return span ? text.slice(span.start + 1, span.end - 1).trim() : '';
}

/** All pages share the call's deadline. A failed page fails the list. */
async function mergePages(
  deps: PagesDeps,
  next: Handler,
  call: Call,
  request: Request,
  key: string,
): Promise<Reply> {
  const { maxLineBytes, clock, events } = deps;
  // Leaves room for what outer layers add to each tool.
  const limit = Math.min(
    MAX_MERGED_CHARACTERS,
    maxLineBytes === 0 ? MAX_MERGED_CHARACTERS : maxLineBytes / 2,
  );
  const started = clock.monotonic();
  const taken: NonNullable<Page['list']>[] = [];
  const inners: string[] = [];
  let size = 0;
  let failed: Reply | undefined;
  let rest: string | undefined;
  const end = await readPages<Page>({
    fetch: async (cursor) => {
      const page = cursor === undefined ? call : createPageCall(call, request, cursor);
      try {
        return readPage(await next(page), key);
      } catch (error) {
        if (page !== call && call.signal.aborted) cancelPage(next, page);
        throw error;
      }
    },
    nextCursorOf: ({ list }) => list?.result.nextCursor,
    take: ({ reply, list }, cursor) => {
      if (!list) {
        failed = reply;
        return false;
      }
      const { nextCursor } = list.result;
      // A list of one page is returned unchanged.
      if (taken.length === 0 && typeof nextCursor !== 'string') {
        taken.push(list);
        return false;
      }
      const inner = listItemsText(list.response, key);
      if (taken.length > 0 && size + inner.length > limit) {
        rest = cursor;
        return false;
      }
      taken.push(list);
      inners.push(inner);
      size += inner.length + 1;
      if (typeof nextCursor !== 'string' || clock.monotonic() - started < MAX_MERGE_MS) return true;
      rest = nextCursor;
      return false;
    },
  });
  const [first] = taken;
  if (failed || !first)
    return failed?.kind === 'answer'
      ? { ...failed, message: withIdText(failed.message, idText(request)) }
      : (failed ?? next(call));
  if (inners.length === 0) return first.reply;
  // A server with a stuck cursor repeats its last page.
  if (end === 'circle' && inners.indexOf(inners.at(-1) ?? '') < inners.length - 1) {
    inners.pop();
    taken.pop();
  }
  if (end === 'too-many') rest = String(taken.at(-1)?.result.nextCursor);
  if (end !== 'complete') {
    events.emit({
      type: 'list.cut',
      profile: call.profile,
      method: request.method,
      pages: taken.length,
      reason: end,
    });
  }
  const { http } = first.reply;
  return { kind: 'answer', message: joinPages(taken, inners, key, rest), ...(http ? { http } : {}) };
}

let lastPageId = 0;

function createPageCall(call: Call, request: Request, cursor: string): Call {
  const value = JSON.stringify(cursor);
  const { httpContext, batch: _batch, ...rest } = call;
  const start = valueStartOf(request.text, 'params');
  let text: string;
  if (start === undefined) text = insertMember(request.text, 0, 'params', `{"cursor":${value}}`);
  else {
    const present = memberAt(request.text, ['params', 'cursor']);
    text = present
      ? spliceText(request.text, present.valueSpan, value)
      : insertMember(request.text, start, 'cursor', value);
  }
  const message = withIdText({ ...request, text }, `"mcp-sigv4-proxy:page:${++lastPageId}"`);
  return {
    ...rest,
    message,
    ...(httpContext ? { httpContext: deriveHttpContext(httpContext, request.method) } : {}),
  };
}

/**
 * Notifies the server that a page is not wanted any more: the client's own cancellation names an id
 * that the server knows from the first page only.
 */
function cancelPage(next: Handler, page: Call): void {
  const { message } = page;
  // The stateless revision cancels by closing the stream.
  if (message.kind !== 'request' || statedVersion(message) !== undefined) return;
  const cancellation = cancellationOf(message, 'the list was cancelled');
  const signal = new AbortController().signal;
  void next({ ...page, message: cancellation, signal, deadline: NO_DEADLINE }).catch(() => undefined);
}

/** The first page with the items of all, and the strictest ttl and cache scope. */
function joinPages(
  taken: readonly NonNullable<Page['list']>[],
  inners: readonly string[],
  key: string,
  rest: string | undefined,
): Response {
  const [first] = taken;
  if (!first) throw new TypeError('a list without a page');
  const { response } = first;
  let { text } = response;
  const edits: Record<string, unknown> = {};
  const ttls = taken.map(({ result }) => result.ttlMs).filter((ttl) => typeof ttl === 'number');
  const shortest = Math.min(...ttls);
  if (typeof first.result.ttlMs === 'number' && shortest < first.result.ttlMs) edits.ttlMs = shortest;
  if (taken.some(({ result }) => result.cacheScope === 'private')) edits.cacheScope = 'private';
  const { nextCursor: _next, ...result } = {
    ...first.result,
    ...edits,
    [key]: taken.flatMap(({ items }) => items),
  };
  const start = valueStartOf(text, 'result') ?? 0;
  if (rest === undefined) text = removeMember(text, 'nextCursor', start);
  else edits.nextCursor = rest;
  for (const [name, value] of Object.entries(edits)) {
    const member = memberAt(text, ['result', name]);
    text = member
      ? spliceText(text, member.valueSpan, JSON.stringify(value))
      : insertMember(text, start, name, JSON.stringify(value));
  }
  const array = arrayAt(text, ['result', key]);
  if (!array) throw new TypeError('a page without its list');
  text = spliceText(text, array.span, `[${inners.filter((inner) => inner !== '').join(',')}]`);
  const json = { ...response.json, result: rest === undefined ? result : { ...result, nextCursor: rest } };
  return { ...response, text, json };
}
