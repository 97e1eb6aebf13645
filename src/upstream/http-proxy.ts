import { isLoopback } from '../core/loopback.ts';

/** Where requests leave the network: the variables as curl and undici read them, each overruled by --proxy. */
export interface ProxySettings {
  /** --proxy, for every host but those of NO_PROXY and loopback. */
  readonly url: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

const variable = (env: NodeJS.ProcessEnv, name: string): string | undefined =>
  // The lower-case name wins, as in curl: only that one cannot be set by a CGI request header.
  env[name.toLowerCase()] || env[name] || undefined;

/**
 * The HTTP proxy for a URL, or undefined for a direct connection. Loopback never goes through one.
 * @throws Error where a variable holds what is no proxy.
 */
export function proxyFor(url: URL, settings: ProxySettings): URL | undefined {
  if (isLoopback(url.hostname)) return undefined;
  const { env } = settings;
  const named =
    settings.url ??
    (url.protocol === 'https:' ? variable(env, 'HTTPS_PROXY') : undefined) ??
    variable(env, 'HTTP_PROXY');
  if (!named || exempt(url, variable(env, 'NO_PROXY') ?? '')) return undefined;
  const text = named.includes('://') ? named : `http://${named}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy?.protocol === 'http:' || proxy?.protocol === 'https:') return proxy;
  // The value itself may hold a password.
  const what = proxy
    ? `a ${proxy.protocol}// address, and only http:// and https:// are supported`
    : 'no URL';
  throw new Error(`the HTTP proxy setting for ${url.protocol}// is ${what}`);
}

/** NO_PROXY: names separated by commas or blanks; a name covers its subdomains, with or without a leading dot; `*` is all. */
function exempt(url: URL, noProxy: string): boolean {
  const host = bare(url.hostname.toLowerCase());
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
      const suffix = bare(name.replace(/^\*?\.?/, ''));
      return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
    });
}

const bare = (name: string): string => name.replace(/^\[|\]$/g, '').replace(/\.$/, '');
