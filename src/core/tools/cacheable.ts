import { isObject, type JsonObject, paramsOf, type Request } from '../jsonrpc/message.ts';
import type { Reply } from '../pipeline/call.ts';

/**
 * MCP 2026-07-28, Caching: which answers may be given again, and for how long. Earlier revisions
 * say nothing of it.
 */

/**
 * A server's own ttl beyond this is taken as this: nobody means that a process shall never ask
 * again.
 */
const MAX_TTL_MS = 24 * 3_600_000;

/** What a server says of the request itself: an earlier answer to another request is no better. */
const ABOUT_THE_REQUEST: ReadonlySet<unknown> = new Set([
  ...[-32_700, -32_600, -32_601, -32_602],
  // Headers, capabilities and revision that do not fit.
  ...[-32_020, -32_021, -32_022],
]);

/** True for what answers a question of the server's: it is an answer to nobody else. */
export function isOneOff(request: Request): boolean {
  const params = paramsOf(request);
  return params.inputResponses !== undefined || params.requestState !== undefined;
}

/** The result, where it is a list of tools that is meant for more than one request. */
export function toolListOf(reply: Reply): JsonObject | undefined {
  const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
  if (!isObject(result) || !Array.isArray(result.tools)) return undefined;
  return result.resultType === undefined || result.resultType === 'complete' ? result : undefined;
}

/** How long the server allows its result to be given again; undefined where it does not say. */
export function serverTtlMs({ ttlMs }: JsonObject): number | undefined {
  if (ttlMs === undefined) return undefined;
  // Less than nothing is nothing, and so is what is no number.
  return typeof ttlMs === 'number' && ttlMs > 0 ? Math.min(ttlMs, MAX_TTL_MS) : 0;
}

/**
 * Why the server could not answer now; undefined where it answered, with a result or with what it
 * thinks of the request.
 */
export function transientErrorOf(reply: Reply): string | undefined {
  const error = reply.kind === 'answer' ? reply.message.json.error : undefined;
  if (!isObject(error) || ABOUT_THE_REQUEST.has(error.code)) return undefined;
  return typeof error.message === 'string' ? error.message : 'the server answered with an error';
}
