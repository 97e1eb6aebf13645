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

/** The HTTP proxy for a URL, or undefined for a direct connection. Loopback never goes through one. */
export function proxyFor(url: URL, settings: ProxySettings): URL | undefined {
  if (isLoopback(url.hostname)) return undefined;
  const named =
    settings.url ??
    (url.protocol === 'https:' ? variable(settings.env, 'HTTPS_PROXY') : undefined) ??
    variable(settings.env, 'HTTP_PROXY');
  if (!named || exempt(url, variable(settings.env, 'NO_PROXY') ?? '')) return undefined;
  return new URL(named.includes('://') ? named : `http://${named}`);
}

/** NO_PROXY: names separated by commas or blanks; a name covers its subdomains, with or without a leading dot; `*` is all. */
function exempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (wantedPort !== undefined && wantedPort !== port) return false;
      const suffix = name.replace(/^\*?\.?/, '').replace(/^\[|\]$/g, '');
      return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
    });
}
