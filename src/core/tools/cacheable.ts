import { isObject, type JsonObject, paramsOf, type Request } from '../jsonrpc/message.ts';
import type { Reply } from '../pipeline/call.ts';

/**
 * MCP 2026-07-28, Caching: which answers may be cached, and for how long. Earlier revisions have no
 * rule for it.
 */

/** Upper bound for a server's ttl. */
const MAX_TTL_MS = 24 * 3_600_000;

/**
 * Errors about the request itself, for which a cached answer to another request is no substitute.
 */
const ABOUT_THE_REQUEST: ReadonlySet<unknown> = new Set([
  ...[-32_700, -32_600, -32_601, -32_602],
  // Headers, capabilities and revision that do not fit.
  ...[-32_020, -32_021, -32_022],
]);

/** True for a request that answers the server's question; its answer fits no other request. */
export function hasInputResponses(request: Request): boolean {
  const params = paramsOf(request);
  return params.inputResponses !== undefined || params.requestState !== undefined;
}

/** The result, where it is a complete tool list. */
export function toolListOf(reply: Reply): JsonObject | undefined {
  const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
  if (!isObject(result) || !Array.isArray(result.tools)) return undefined;
  return result.resultType === undefined || result.resultType === 'complete' ? result : undefined;
}

/** The server's ttl for its result; undefined where it states none. */
export function serverTtlMs({ ttlMs }: JsonObject): number | undefined {
  if (ttlMs === undefined) return undefined;
  // Negative and non-numeric values count as 0.
  return typeof ttlMs === 'number' && ttlMs > 0 ? Math.min(ttlMs, MAX_TTL_MS) : 0;
}

/**
 * Why the server could not answer now; undefined where it did, with a result or an error about the
 * request.
 */
export function transientErrorOf(reply: Reply): string | undefined {
  const error = reply.kind === 'answer' ? reply.message.json.error : undefined;
  if (!isObject(error) || ABOUT_THE_REQUEST.has(error.code)) return undefined;
  return typeof error.message === 'string' ? error.message : 'the server answered with an error';
}
