import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isHostAllowed, isOriginAllowed, isSiteAllowed } from '../../core/http/allowed-site.ts';

export interface StatusRules {
  /** The host of --status, beside the loopback names. */
  readonly allowedHosts: readonly string[];
  readonly token: string | undefined;
}

export interface StatusRefusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Returns why a request is refused, or undefined. Web pages can send requests to loopback and read
 * the answers by DNS rebinding: without a token, Host decides. Pure.
 */
export function statusRefusal(
  method: string,
  headers: IncomingHttpHeaders,
  { allowedHosts, token }: StatusRules,
): StatusRefusal | undefined {
  const { host, origin } = headers;
  // A token protects under any name; a browser has it for the right name only.
  const hosts = token === undefined ? allowedHosts : ['*'];
  if (!isHostAllowed(host, hosts)) return { status: 403, message: 'This Host is not served here.' };
  const own = origin !== undefined && origin.replace(/^https?:\/\//i, '') === host;
  if (origin !== undefined && !own && !isOriginAllowed(origin, []))
    return { status: 403, message: 'Pages of this Origin may not read the status.' };
  if (origin === undefined && !isSiteAllowed(headers['sec-fetch-site']?.toString(), []) && !isVisit(headers))
    return { status: 403, message: 'Pages of other sites may not read the status.' };
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, message: 'The status is read with GET.', headers: { allow: 'GET, HEAD' } };
  if (token === undefined || isEqual(secretOf(headers.authorization), token)) return undefined;
  return {
    status: 401,
    message: 'The status needs the secret of --status-token, as bearer token or as password.',
    headers: { 'www-authenticate': 'Basic realm="mcp-sigv4-proxy status", charset="UTF-8", Bearer' },
  };
}

/** A person follows a link to the page. It cannot be read by the page with the link. */
const isVisit = (headers: IncomingHttpHeaders): boolean =>
  headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';

/** The bearer token, or the password of Basic. */
function secretOf(authorization = ''): string {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(authorization) ?? [];
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return '';
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

const isEqual = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));
