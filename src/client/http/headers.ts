import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { HttpFacts } from '../../core/pipeline/call.ts';

/**
 * All MCP headers are forwarded in both directions. Those that repeat the body are compared with
 * it.
 */
const MCP_PREFIX = 'mcp-';

const TRACING_HEADERS = ['traceparent', 'tracestate', 'baggage'];

/**
 * Forwarded to the server besides MCP's. The signature would vouch for any other header that means
 * something to the server.
 */
const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'last-event-id',
  'user-agent',
  ...TRACING_HEADERS,
]);

/**
 * Forwarded to the client besides MCP's: headers that describe the body, retry times, and ids for
 * support.
 */
const RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  'allow',
  'apigw-requestid',
  'cache-control',
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'date',
  'expires',
  'retry-after',
  'server-timing',
  'x-accel-buffering',
  'x-amzn-requestid',
  'x-amzn-trace-id',
  'x-request-id',
  ...TRACING_HEADERS,
]);

/**
 * Never forwarded, also not by --forward-header: hop-by-hop headers (RFC 9110, 7.6.1), headers that
 * the proxy sets or signs, headers that override method, address or user, and headers that control
 * a browser.
 */
const NEVER_FORWARDED =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|authorization|content-.*|accept-encoding|expect|x-amz-.*|cookie2?|x-http-method.*|x-method-override|x-original-.*|x-rewrite-url|www-authenticate|set-cookie2?|location|refresh|alt-svc|access-control-.*|clear-site-data|service-worker-allowed|strict-transport-security)$/;

/** Returns why a header cannot be forwarded, as a phrase, or undefined. Pure. */
export function forwardProblem(name: string): string | undefined {
  const given = JSON.stringify(name.slice(0, 100));
  // Servers that follow CGI read x_user and x-user as one header.
  if (!/^[!#$%&'*+.^`|~0-9A-Za-z-]+$/.test(name)) {
    return `must name headers such as x-request-id, without underscores and values, not ${given}`;
  }
  return NEVER_FORWARDED.test(name.toLowerCase())
    ? `must not name ${name.toLowerCase()}: the proxy owns that header`
    : undefined;
}

/**
 * Bytes that no header value may contain. A header with one is dropped, so that the client still
 * gets its response.
 */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

const NONE: ReadonlySet<string> = new Set();

function connectionHeaders(connection: string | string[] | undefined): ReadonlySet<string> {
  // Shortcut for the usual values, which name no header.
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return NONE;
  return new Set(
    String(connection)
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
}

/**
 * Selects the client's headers that are forwarded. Pure.
 * @param more - names from --forward-header, in lower case.
 */
export function pickRequestHeaders(
  headers: IncomingHttpHeaders,
  more: ReadonlySet<string> = NONE,
): Readonly<Record<string, string>> {
  const hop = connectionHeaders(headers.connection);
  const kept: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || !isForwarded(name, REQUEST_HEADERS, more) || hop.has(name)) continue;
    kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return kept;
}

const isForwarded = (name: string, listed: ReadonlySet<string>, more: ReadonlySet<string>): boolean =>
  listed.has(name) || (name.startsWith(MCP_PREFIX) && !name.includes('_')) || more.has(name);

/**
 * Selects the server's headers that are forwarded. Pure.
 * @param more - names from --forward-header, in lower case.
 */
export function pickResponseHeaders(
  { headers }: HttpFacts,
  more: ReadonlySet<string> = NONE,
): OutgoingHttpHeaders {
  const hop = connectionHeaders(headers.connection);
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || !isForwarded(name, RESPONSE_HEADERS, more) || hop.has(name)) continue;
    const unsendable = Array.isArray(value)
      ? value.some((one) => UNSENDABLE.test(one))
      : UNSENDABLE.test(value);
    if (!unsendable) kept[name] = value;
  }
  return kept;
}

/** CORS headers that let the requesting page read the response; none without an Origin. Pure. */
export function corsHeaders(origin: string | undefined): Readonly<Record<string, string>> {
  if (origin === undefined) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'mcp-session-id, mcp-protocol-version, retry-after, www-authenticate',
    vary: 'Origin',
  };
}

/** How long browsers may cache the preflight response; Chrome's maximum. */
const MAX_PREFLIGHT_AGE_S = 7_200;

/** The headers of a preflight response. Pure. */
export const preflightHeaders = (headers: IncomingHttpHeaders): Readonly<Record<string, string>> => ({
  ...corsHeaders(headers.origin),
  'access-control-allow-methods': 'GET, POST, DELETE',
  // Mcp-Param headers have names that only the server's tools know.
  'access-control-allow-headers': String(headers['access-control-request-headers'] ?? '*'),
  'access-control-max-age': String(MAX_PREFLIGHT_AGE_S),
});
