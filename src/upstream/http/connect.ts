import { isIP } from 'node:net';
import tls from 'node:tls';
import { toError } from '../../core/errors/errors.ts';
import { type ProxySettings, proxyFor } from './http-proxy.ts';
import type { ConnectTrust, TunnelCallback } from './tunnel.ts';
import { buildConnector, type ConnectCallback, type ConnectOptions, type Connector } from './undici.ts';

export interface ConnectSettings {
  readonly proxy: ProxySettings;
  /** Certificates to trust in place of Node's default set. */
  readonly ca: readonly string[] | undefined;
  /** Milliseconds to a usable socket: HTTP proxy, TCP and TLS. 0 = no limit. */
  readonly timeoutMs: number;
  /** Stops before TLS, so that the caller can inspect the certificates. */
  readonly tcpOnly?: boolean;
  /** Another address for the connections to one origin; all else stays as the origin says. */
  readonly redirect?: ConnectRedirect | undefined;
}

export interface ConnectRedirect {
  /** `host:port` of the origin, its port included. */
  readonly of: string;
  readonly to: ConnectAddress;
}

/** A host, without the brackets of an IPv6 address, and a port. */
export interface ConnectAddress {
  readonly host: string;
  readonly port: string;
}

interface Destroyable {
  destroy(error: Error): unknown;
}

/**
 * Creates the connector shared by endpoint and credential requests: proxy, certificates, time
 * limit.
 */
export function createConnector(settings: ConnectSettings): Connector {
  const { redirect } = settings;
  const connect = connectorOf(settings, {});
  if (!redirect) return connect;
  // The certificate is checked against the endpoint's name, whatever the address.
  const name = hostOf(redirect.of);
  const elsewhere = connectorOf(settings, {
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
  });
  const { host: hostname, port } = redirect.to;
  return (options, callback) => {
    if (authorityOf(options) !== redirect.of) connect(options, callback);
    // SNI carries names only, not addresses.
    else elsewhere({ ...options, hostname, port, servername: isIP(name) ? '' : name }, callback);
  };
}

function connectorOf(
  { proxy: settings, ca, timeoutMs, tcpOnly }: ConnectSettings,
  identity: ConnectTrust,
): Connector {
  // Created once: loading Node's root certificates takes milliseconds.
  const trust: ConnectTrust = ca ? { secureContext: tls.createSecureContext({ ca: [...ca] }) } : {};
  const direct = buildConnector({ ...trust, ...identity, timeout: timeoutMs, keepAlive: true });
  // Through a proxy, one limit covers the tunnel and TLS.
  const inside = buildConnector({ ...trust, ...identity, timeout: 0, keepAlive: true });
  return (options, callback) => {
    const authority = authorityOf(options);
    let proxy: URL | undefined;
    try {
      proxy = proxyFor(new URL(`${options.protocol}//${authority}`), settings);
    } catch (error) {
      callback(toError(error), null);
      return;
    }
    if (!proxy) {
      const port = options.port || (options.protocol === 'https:' ? '443' : '80');
      direct(tcpOnly ? { ...options, protocol: 'http:', port } : options, callback);
      return;
    }
    const name = `${proxy.protocol}//${proxy.host}`;
    const limit = createTimeout(timeoutMs, `HTTP proxy ${name} opened no connection to ${authority}`);
    const settle: ConnectCallback = (...outcome) => {
      limit.cancel();
      callback(...outcome);
    };
    const opened: TunnelCallback = (error, socket) => {
      if (error || !socket) settle(error ?? new Error(`HTTP proxy ${name} gave no socket`), null);
      else if (tcpOnly || options.protocol !== 'https:') settle(null, socket);
      // buildConnector returns the socket, though its type does not say so.
      else limit.watch(inside({ ...options, httpSocket: socket }, settle) as unknown as Destroyable);
    };
    // Loaded here: Node's HTTP client costs a start a millisecond, and few networks have a proxy.
    import('./tunnel.ts')
      .then(({ openTunnel }) => limit.watch(openTunnel(proxy, authority, trust, opened)))
      .catch((error: unknown) => settle(toError(error), null));
  };
}

const hostOf = (authority: string): string => authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');

/** `host:port` of a URL, its port included. */
export const authorityOfUrl = ({ hostname, port, protocol }: URL): string =>
  authorityOf({ hostname, port, protocol });

/** The URL whose host and port connections for `endpoint` are opened to. Pure. */
export function connectUrl(endpoint: URL, connectTo: string | undefined): URL {
  const to = connectTo === undefined ? undefined : readConnectAddress(connectTo);
  if (!to) return endpoint;
  const host = isIP(to.host) === 6 ? `[${to.host}]` : to.host;
  return new URL(`${endpoint.protocol}//${host}:${to.port}`);
}

/** Reads `host:port` or `[IPv6]:port`; undefined where it is neither. Pure. */
export function readConnectAddress(value: string): ConnectAddress | undefined {
  const [, v6, name, port = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(value) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  return Number(port) >= 1 && Number(port) <= 65_535 ? { host, port } : undefined;
}

function authorityOf({
  hostname,
  port,
  protocol,
}: Pick<ConnectOptions, 'hostname' | 'port' | 'protocol'>): string {
  // undici takes the brackets off an IPv6 address.
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
  return `${host}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

/** Destroys the watched target when the time is over. */
function createTimeout(ms: number, what: string): { watch(target: Destroyable): void; cancel(): void } {
  let watched: Destroyable | undefined;
  let over = false;
  let expired: Error | undefined;
  const expire = (): void => {
    expired = new Error(`${what}: timeout after ${ms / 1000} s`);
    watched?.destroy(expired);
  };
  const timer = ms > 0 ? setTimeout(expire, ms) : undefined;
  return {
    watch(target) {
      if (!over) watched = target;
      if (expired) target.destroy(expired);
    },
    cancel() {
      over = true;
      clearTimeout(timer);
    },
  };
}
