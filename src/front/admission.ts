import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ProxyError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';
import { errorAnswer } from '../core/message.ts';

/** Where MCP is served; everything else, the paths of OAuth discovery before all, does not exist. */
export const MCP_PATH = '/mcp';

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS'];

/** Who and what is let in. */
export interface AdmissionRules {
  readonly token: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly maxBodyBytes: number;
}

/** The head of a request, as far as it decides. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** How often a Host stands there: parsers disagree about which of two counts. */
  readonly hosts: number;
}

export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly error: ProxyError;
}

/**
 * Why a request is not let in, or undefined. A page of any site can send requests to loopback, and with a name that it points there
 * (DNS rebinding) read the answers: what browsers do not let it forge, Host and Origin, is checked first, as MCP asks. Pure.
 */
export function refusalOf(head: RequestHead, rules: AdmissionRules): Refusal | undefined {
  const { method, path, headers } = head;
  const { host, origin, authorization } = headers;
  if (head.hosts !== 1 || !isHostAllowed(host, rules.allowedHosts)) {
    return refused(403, `Host ${shown(host)} is not served here (--allowed-host).`);
  }
  if (origin !== undefined && !isOriginAllowed(origin, rules.allowedOrigins)) {
    return refused(403, `Pages of ${shown(origin)} may not use this listener (--allowed-origin).`);
  }
  const site = headers['sec-fetch-site'];
  if (origin === undefined && !isSiteAllowed(site, rules.allowedOrigins)) {
    return refused(
      403,
      `Sec-Fetch-Site ${shown(siteOf(site))}: a web page of another site sent this without an Origin that could be allowed. Pages must send MCP requests in CORS mode, from an origin of --allowed-origin.`,
    );
  }
  if (path !== MCP_PATH) return invalid(404, `There is nothing at ${shown(path)}: MCP is at ${MCP_PATH}.`);
  if (!METHODS.includes(method)) {
    return invalid(405, `${method} is no method of MCP: it has POST, GET and DELETE.`, {
      allow: 'GET, POST, DELETE',
    });
  }
  // A browser asks before it has anything to show.
  if (method === 'OPTIONS') return undefined;
  if (rules.token !== undefined && !isToken(authorization, rules.token)) {
    return refused(401, 'This listener wants its token as Authorization: Bearer (--listen-token).', {
      'www-authenticate': 'Bearer',
    });
  }
  if (method === 'GET' && !accepts(headers.accept, ['text/event-stream'])) {
    return invalid(406, 'GET opens an event stream: Accept must name text/event-stream.');
  }
  return method === 'POST' ? postRefusal(headers, rules.maxBodyBytes) : undefined;
}

/** What clients are told to send, and the SDKs do send, to the letter: it need not be taken apart. */
const USUAL_ACCEPT = 'application/json, text/event-stream';

function postRefusal(headers: IncomingHttpHeaders, maxBodyBytes: number): Refusal | undefined {
  const { accept } = headers;
  if (accept !== USUAL_ACCEPT && !accepts(accept, ['application/json', 'text/event-stream'])) {
    return invalid(406, 'Accept must name application/json and text/event-stream.');
  }
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') return invalid(415, 'Content-Type must be application/json.');
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity') return invalid(415, 'Bodies are taken uncompressed only.');
  return Number(headers['content-length'] ?? 0) > maxBodyBytes ? bodyTooLarge(maxBodyBytes) : undefined;
}

export const bodyTooLarge = (limit: number): Refusal => ({
  status: 413,
  headers: {},
  error: new ProxyError(
    'message-too-large',
    `The request's body is longer than ${limit} bytes (--max-body). It was not sent.`,
    { sent: 'no', details: { limit } },
  ),
});

export const listenerFull = (what: string): Refusal => ({
  status: 503,
  headers: { 'retry-after': '1' },
  error: new ProxyError('listener-full', `${what} This request was not sent; try again.`, {
    sent: 'no',
    retryAfterMs: 1_000,
  }),
});

const refused = (status: number, message: string, headers = {}): Refusal => ({
  status,
  headers,
  error: new ProxyError('client-refused', message, { sent: 'no' }),
});

const invalid = (status: number, message: string, headers = {}): Refusal => ({
  status,
  headers,
  error: new ProxyError('invalid-request', `Invalid request: ${message}`, { sent: 'no' }),
});

/** No id: what was not let in was not read. */
export function bodyOf(error: ProxyError): { text: string; headers: Record<string, string> } {
  const { text } = errorAnswer(error.toJsonRpc(), undefined);
  const length = String(Buffer.byteLength(text));
  return { text, headers: { 'content-type': 'application/json', 'content-length': length } };
}

/** What a stranger wrote, short and on one line. */
const shown = (value: string | undefined): string => JSON.stringify((value ?? '').slice(0, 100));

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

/** Browsers alone set it, on every request; a value that is not known is not of a person or of the same origin. */
const isSiteAllowed = (site: string | string[] | undefined, allowed: readonly string[]): boolean =>
  site === undefined || site === 'none' || site === 'same-origin' || allowed.includes('*');

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compared by digests, in a time that tells nothing of where they differ, nor of how long the token is. */
export function isToken(authorization: string | undefined, token: string): boolean {
  const [, given = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  return timingSafeEqual(digest(given), digest(token));
}

/** Whether any of these media types is accepted. No header accepts everything. */
export function accepts(header: string | undefined, types: readonly string[]): boolean {
  if (header === undefined) return true;
  const ranges = header.split(',').flatMap((part) => {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    return parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter)) ? [] : [range];
  });
  return types.some((type) =>
    ranges.some((range) => range === type || range === '*/*' || range === `${type.split('/', 1)[0]}/*`),
  );
}
