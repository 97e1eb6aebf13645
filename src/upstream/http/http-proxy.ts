import { isLoopback } from '../../core/http/loopback.ts';

/** The HTTP proxy settings: environment variables as curl reads them, overridden by --proxy. */
export interface ProxySettings {
  /** --proxy, for every host but those of NO_PROXY and loopback. */
  readonly url: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** The proxy chosen for a URL, and the setting that decided it. */
export type ProxyChoice =
  | { readonly kind: 'loopback' | 'none' }
  | { readonly kind: 'exempt'; readonly from: string }
  | { readonly kind: 'proxy'; readonly url: URL; readonly from: string };

/** The lower-case name wins, as in curl: only that one cannot be set by a CGI request header. */
const variable = (env: NodeJS.ProcessEnv, name: string): string | undefined =>
  [name.toLowerCase(), name].find((each) => env[each]);

/**
 * Chooses the HTTP proxy for a URL. Loopback never goes through one.
 * @throws Error where a variable holds what is no proxy.
 */
export function proxyChoice(url: URL, { url: given, env }: ProxySettings): ProxyChoice {
  if (isLoopback(url.hostname)) return { kind: 'loopback' };
  const name =
    (url.protocol === 'https:' ? variable(env, 'HTTPS_PROXY') : undefined) ?? variable(env, 'HTTP_PROXY');
  const from = given === undefined ? name : '--proxy';
  const named = given ?? (name && env[name]);
  if (!named || from === undefined) return { kind: 'none' };
  const exempting = variable(env, 'NO_PROXY');
  if (exempting && isExempt(url, env[exempting] ?? '')) return { kind: 'exempt', from: exempting };
  const text = named.includes('://') ? named : `http://${named}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy?.protocol === 'http:' || proxy?.protocol === 'https:') return { kind: 'proxy', url: proxy, from };
  // The value itself may hold a password.
  const what = proxy
    ? `a ${proxy.protocol}// address, and only http:// and https:// are supported`
    : 'no URL';
  throw new Error(`the HTTP proxy setting for ${url.protocol}// is ${what}`);
}

/**
 * The HTTP proxy for a URL, or undefined for a direct connection.
 * @throws Error as proxyChoice.
 */
export function proxyFor(url: URL, settings: ProxySettings): URL | undefined {
  const choice = proxyChoice(url, settings);
  return choice.kind === 'proxy' ? choice.url : undefined;
}

/**
 * NO_PROXY: names separated by commas or blanks; a name covers its subdomains, with or without a
 * leading dot; `*` is all.
 */
function isExempt(url: URL, noProxy: string): boolean {
  const host = stripBrackets(url.hostname.toLowerCase());
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      // An IPv6 address without brackets ends in digits after a colon, too.
      const [, name = entry, wantedPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
      if (wantedPort !== undefined && wantedPort !== port) return false;
      const suffix = stripBrackets(name.replace(/^\*?\.?/, ''));
      return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
    });
}

const stripBrackets = (name: string): string => name.replace(/^\[|\]$/g, '').replace(/\.$/, '');
