import { causeText, factsOf, ProxyError } from '../errors/errors.ts';
import { isObject, type JsonObject } from '../jsonrpc/message.ts';
import { type Call, type Handler, NO_DEADLINE } from '../pipeline/call.ts';
import { deriveHttpContext } from '../pipeline/http-context.ts';
import type { Clock } from '../time/clock.ts';
import { abortableUnsent, withTimeout } from '../time/waits.ts';
import type { ToolCatalog } from './catalog.ts';
import { MAX_PAGES, readPages } from './list-pages.ts';
import { listRequest } from './list-request.ts';
import { isOutdated } from './list-version.ts';

/** Time limit for a listing of the proxy, so that a silent server does not block later ones. */
const LIST_LIMIT_MS = 60_000;

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
 * @throws ProxyError tools-unknown, if the request failed or its answer is not a list;
 * session-lost, if the session of an HTTP client is gone, because only that client can open a new
 * one.
 */
export async function fillTools(tools: ToolCatalog, next: Handler, call: Call, clock: Clock): Promise<void> {
  const { version } = tools;
  await fillOnce(tools, next, call, clock);
  // The request may have opened a new session, whose list is not known yet.
  if (isOutdated(version, tools.version) && !tools.complete) await fillOnce(tools, next, call, clock);
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
