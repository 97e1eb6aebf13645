import type { IncomingHttpHeaders } from 'node:http';
import { ProxyError } from '../../core/errors/errors.ts';
import { acceptedForms, accepts } from '../../core/http/accept.ts';
import { isLoopback } from '../../core/http/loopback.ts';
import { errorResponse } from '../../core/jsonrpc/message.ts';

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS'];

/** Who and what is let in. */
export interface AdmissionRules {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly maxBodyBytes: number;
  /**
   * Where MCP is served, without a slash at its end; everything else, the paths of OAuth discovery
   * before all, does not exist.
   */
  readonly path: string;
}

/** The head of a request, as far as it decides. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** How often a Host stands there: parsers disagree about which of two counts. */
  readonly hostCount: number;
  /** Whether it presents one of the listener's tokens, or needs none. */
  readonly authorized: boolean;
}

export interface HttpRefusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: ProxyError;
}

/**
 * Why a request is not let in, or undefined. A page of any site can send requests to loopback, and
 * with a name that it points there (DNS rebinding) read the answers: what browsers do not let it
 * forge, Host and Origin, is checked first, as MCP asks. Pure.
 */
export function admissionRefusal(head: RequestHead, rules: AdmissionRules): HttpRefusal | undefined {
  const { method, path, headers } = head;
  const { host, origin } = headers;
  if (head.hostCount !== 1 || !isHostAllowed(host, rules.allowedHosts)) {
    return refused(403, `Host ${quoteShort(host)} is not served here (--allowed-host).`);
  }
  if (origin !== undefined && !isOriginAllowed(origin, rules.allowedOrigins)) {
    return refused(403, `Pages of ${quoteShort(origin)} may not use this listener (--allowed-origin).`);
  }
  const site = headers['sec-fetch-site'];
  if (origin === undefined && !isSiteAllowed(site, rules.allowedOrigins)) {
    return refused(
      403,
      `Sec-Fetch-Site ${quoteShort(siteOf(site))}: a web page of another site sent this without an Origin that could be allowed. Pages must send MCP requests in CORS mode, from an origin of --allowed-origin.`,
    );
  }
  if (path !== rules.path && path !== `${rules.path}/`) {
    return invalid(
      404,
      `There is nothing at ${quoteShort(path)}: MCP is at ${rules.path || '/'} (--listen-path).`,
    );
  }
  if (!METHODS.includes(method)) {
    return invalid(405, `${method} is no method of MCP: it has POST, GET and DELETE.`, {
      allow: 'GET, POST, DELETE',
    });
  }
  // A browser asks before it has anything to show.
  if (method === 'OPTIONS') return undefined;
  if (!head.authorized) {
    return refused(
      401,
      'This listener needs one of its tokens as Authorization: Bearer (--listen-token, --listen-token-file).',
      { 'www-authenticate': 'Bearer' },
    );
  }
  if (method === 'GET' && !accepts(headers.accept, 'text/event-stream')) {
    return invalid(406, 'GET opens an event stream: Accept must name text/event-stream.');
  }
  return method === 'POST' ? postRefusal(headers, rules.maxBodyBytes) : undefined;
}

/**
 * Why nobody can tell where a request ends, or undefined: node's parser takes one without a
 * version, and a transfer coding in HTTP/1.0, which has none (RFC 9112, 6.1). A reader in front may
 * have split these bytes in another way. Pure.
 */
export function framingRefusal(version: string, headers: IncomingHttpHeaders): HttpRefusal | undefined {
  if (version === '1.1') return undefined;
  if (version !== '1.0') return invalid(505, 'the listener speaks HTTP/1.1 and HTTP/1.0.');
  return headers['transfer-encoding'] === undefined
    ? undefined
    : invalid(400, 'HTTP/1.0 has no Transfer-Encoding.');
}

function postRefusal(headers: IncomingHttpHeaders, maxBodyBytes: number): HttpRefusal | undefined {
  const { json, events } = acceptedForms(headers.accept);
  if (!json && !events) {
    return invalid(406, 'Accept must name application/json, text/event-stream or, as MCP asks, both.');
  }
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') return invalid(415, 'Content-Type must be application/json.');
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity') return invalid(415, 'Bodies are taken uncompressed only.');
  return Number(headers['content-length'] ?? 0) > maxBodyBytes ? bodyTooLarge(maxBodyBytes) : undefined;
}

export const bodyTooLarge = (limit: number): HttpRefusal => ({
  status: 413,
  headers: {},
  error: new ProxyError(
    'message-too-large',
    `The request's body is longer than ${limit} bytes (--max-body). It was not sent.`,
    { sent: 'no', details: { limit } },
  ),
});

export const listenerFull = (what: string): HttpRefusal => ({
  status: 503,
  headers: { 'retry-after': '1' },
  error: new ProxyError('listener-full', `${what} This request was not sent; try again.`, {
    sent: 'no',
    retryAfterMs: 1_000,
  }),
});

const refused = (status: number, message: string, headers = {}): HttpRefusal => ({
  status,
  headers,
  error: new ProxyError('client-refused', message, { sent: 'no' }),
});

const invalid = (status: number, message: string, headers = {}): HttpRefusal => ({
  status,
  headers,
  error: new ProxyError('invalid-request', `Invalid request: ${message}`, { sent: 'no' }),
});

/** No id: what was not let in was not read. */
export function errorBody(error: ProxyError): { text: string; headers: Record<string, string> } {
  const { text } = errorResponse(error.toJsonRpc(), undefined);
  const length = String(Buffer.byteLength(text));
  return { text, headers: { 'content-type': 'application/json', 'content-length': length } };
}

/** What a stranger wrote, short and on one line. */
const quoteShort = (value: string | undefined): string => JSON.stringify((value ?? '').slice(0, 100));

/** By name; where the rule has a port, by port too. Exported for its table of tests. */
export function isHostAllowed(host: string | undefined, allowed: readonly string[]): boolean {
  const [, name] = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+)(:\d+)?$/i.exec(host ?? '') ?? [];
  if (host === undefined || name === undefined) return false;
  if (isLoopback(name)) return true;
  return allowed.some((rule) => rule === '*' || rule === name.toLowerCase() || rule === host.toLowerCase());
}

export function isOriginAllowed(origin: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || allowed.includes(origin.toLowerCase())) return true;
  // "null" and the like are the origin of nobody in particular.
  if (!/^https?:\/\//i.test(origin) || !URL.canParse(origin)) return false;
  const url = new URL(origin);
  return url.origin === origin.toLowerCase() && isLoopback(url.hostname);
}

const siteOf = (site: string | string[] | undefined): string | undefined => site?.toString();

/**
 * Browsers alone set it, on every request; a value that is not known is not of a person or of the
 * same origin.
 */
const isSiteAllowed = (site: string | string[] | undefined, allowed: readonly string[]): boolean =>
  site === undefined || site === 'none' || site === 'same-origin' || allowed.includes('*');
