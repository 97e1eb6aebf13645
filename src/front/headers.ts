import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { HttpFacts } from '../core/call.ts';

/** Some names of headers, in lower case: whole ones, and how others begin. */
interface Names {
  readonly whole: ReadonlySet<string>;
  readonly beginnings: readonly string[];
}

/** `proxy-*` stands for all that begin so. */
const namesOf = (list: string): Names => {
  const all = list.split(' ');
  return {
    whole: new Set(all.filter((name) => !name.endsWith('*'))),
    beginnings: all.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1)),
  };
};

/** Asked for every header of every message: a regular expression takes three times as long. */
function isAmong(name: string, { whole, beginnings }: Names): boolean {
  if (whole.has(name)) return true;
  for (const beginning of beginnings) if (name.startsWith(beginning)) return true;
  return false;
}

/** These speak of one hop only (RFC 9110, 7.6.1). */
const ONE_HOP = 'connection keep-alive proxy-* te trailer transfer-encoding upgrade';
/**
 * These speak of the client's way to the proxy, or are said anew on the way up: who asks is settled by the signature, which covers
 * every x-amz- header, and whether a page may ask was settled here.
 */
const NOT_UP = namesOf(
  `${ONE_HOP} host authorization cookie content-length content-type content-encoding accept-encoding expect origin referer sec-* access-control-* x-amz-* forwarded x-forwarded-* x-real-ip via`,
);
/**
 * These would be taken for the proxy's own: an invitation to log in, cookies (which do not go up), another address, rules for pages.
 */
const NOT_DOWN = namesOf(`${ONE_HOP} www-authenticate set-cookie alt-svc access-control-* clear-site-data`);

/** What no header value may hold. A server that sends it must not cost the client its answer. */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

const NONE: ReadonlySet<string> = new Set();

function namedIn(connection: string | string[] | undefined): ReadonlySet<string> {
  // What nearly every message says names no header.
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return NONE;
  return new Set(
    String(connection)
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
}

/** What of a client's headers goes up to the server. Pure. */
export function upHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const hop = namedIn(headers.connection);
  const kept: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isAmong(name, NOT_UP) || hop.has(name)) continue;
    kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return kept;
}

/** What of a server's headers goes down to the client. Pure. */
export function downHeaders({ headers }: HttpFacts): OutgoingHttpHeaders {
  const hop = namedIn(headers.connection);
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isAmong(name, NOT_DOWN) || hop.has(name)) continue;
    const unsendable = Array.isArray(value)
      ? value.some((one) => UNSENDABLE.test(one))
      : UNSENDABLE.test(value);
    if (!unsendable) kept[name] = value;
  }
  return kept;
}

/** What lets the page that asked read the answer; nothing for who is no page. Pure. */
export function pageHeaders(origin: string | undefined): Readonly<Record<string, string>> {
  if (origin === undefined) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'mcp-session-id, mcp-protocol-version, retry-after, www-authenticate',
    vary: 'Origin',
  };
}

/** How long browsers may remember the answer to their question whether they may ask. Chrome keeps no longer. */
const REMEMBERED_S = 7_200;

/** The answer to that question. Pure. */
export const preflightHeaders = (headers: IncomingHttpHeaders): Readonly<Record<string, string>> => ({
  ...pageHeaders(headers.origin),
  'access-control-allow-methods': 'GET, POST, DELETE',
  // Mcp-Param headers have names that only the server's tools know.
  'access-control-allow-headers': String(headers['access-control-request-headers'] ?? '*'),
  'access-control-max-age': String(REMEMBERED_S),
});
