import type { IncomingHttpHeaders } from 'node:http';
import { ProxyError } from '../../core/errors/errors.ts';
import { acceptedForms, accepts } from '../../core/http/accept.ts';
import { isHostAllowed, isOriginAllowed, isSiteAllowed } from '../../core/http/allowed-site.ts';
import { errorResponse } from '../../core/jsonrpc/message.ts';

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS'];

/** The rules that each request is checked against. */
export interface AdmissionRules {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly maxBodyBytes: number;
  /**
   * Path that MCP is served at, without a trailing slash. All other paths return 404, also those of
   * OAuth discovery.
   */
  readonly path: string;
  /** Further paths of MCP, without a trailing slash: one for each of several profiles. */
  readonly paths?: ReadonlyMap<string, unknown> | undefined;
}

/** The parts of a request's head that the rules need. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Number of Host headers: parsers disagree about which of two counts. */
  readonly hostCount: number;
  /** True where it presents a valid token, or none is required. */
  readonly authorized: boolean;
  /** The refusal where it does not; absent where the listener has static tokens only. */
  readonly unauthorized?: HttpRefusal | undefined;
}

export interface HttpRefusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: ProxyError;
}

/**
 * Returns why a request is rejected, or undefined. A web page can send requests to loopback, and
 * read the answers by DNS rebinding. Host and Origin, which it cannot forge, are checked first, as
 * MCP requires. Pure.
 */
export function admissionRefusal(head: RequestHead, rules: AdmissionRules): HttpRefusal | undefined {
  const { method, headers } = head;
  const refusal = siteRefusal(head, rules) ?? targetRefusal(head, rules);
  // A preflight request carries no token.
  if (refusal || method === 'OPTIONS') return refusal;
  if (!head.authorized) {
    return (
      head.unauthorized ??
      refused(
        401,
        'This listener needs one of its tokens as Authorization: Bearer (--listen-token, --listen-token-file).',
        { 'www-authenticate': 'Bearer' },
      )
    );
  }
  if (method === 'GET' && !accepts(headers.accept, 'text/event-stream')) {
    return invalid(406, 'GET opens an event stream: Accept must name text/event-stream.');
  }
  return method === 'POST' ? postRefusal(headers, rules.maxBodyBytes) : undefined;
}

/** The part of `admissionRefusal` about the name of the listener and the page behind a request. */
export function siteRefusal(
  { headers, hostCount }: Pick<RequestHead, 'headers' | 'hostCount'>,
  rules: Pick<AdmissionRules, 'allowedHosts' | 'allowedOrigins'>,
): HttpRefusal | undefined {
  const { host, origin } = headers;
  if (hostCount !== 1 || !isHostAllowed(host, rules.allowedHosts)) {
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
  return undefined;
}

function targetRefusal(
  { method, path }: Pick<RequestHead, 'method' | 'path'>,
  rules: AdmissionRules,
): HttpRefusal | undefined {
  if (path !== rules.path && path !== `${rules.path}/` && !rules.paths?.has(withoutSlash(path))) {
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
  return undefined;
}

/**
 * Rejects requests whose end is ambiguous: Node's parser accepts one without a version, and
 * Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1). A reverse proxy may have split the bytes in
 * another way. Pure.
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

/** A handler without tokens serves loopback only, as a listener without them does. */
export const remoteRefusal = (address: string): HttpRefusal =>
  refused(
    403,
    `Clients at ${quoteShort(address)} are not served: without a token, the handler serves loopback addresses only (listenToken, authenticated).`,
  );

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

/** The error has no id, because the body of a rejected request was not read. */
export function errorBody(error: ProxyError): { text: string; headers: Record<string, string> } {
  const { text } = errorResponse(error.toJsonRpc(), undefined);
  const length = String(Buffer.byteLength(text));
  return { text, headers: { 'content-type': 'application/json', 'content-length': length } };
}

/** Quotes client input in at most 100 characters on one line. */
const quoteShort = (value: string | undefined): string => JSON.stringify((value ?? '').slice(0, 100));

/** Both forms of a path are served. */
export const withoutSlash = (path: string): string => path.replace(/\/$/, '');

const siteOf = (site: string | string[] | undefined): string | undefined => site?.toString();
