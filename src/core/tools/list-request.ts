import { jsonText } from '../jsonrpc/canonical-json.ts';
import { isObject, type Message, paramsOf, type Request, statedVersion } from '../jsonrpc/message.ts';
import { shortKey } from '../jsonrpc/short-key.ts';
import type { Call } from '../pipeline/call.ts';

/** Keys of `_meta` that do not affect the answer. */
const PASSING_META: ReadonlySet<string> = new Set([
  'progressToken',
  'traceparent',
  'tracestate',
  'baggage',
  'x-amzn-trace-id',
]);

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
