import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { type ProxySettings, proxyFor } from './http-proxy.ts';
import { buildConnector, type ConnectOptions, type Connector } from './undici.ts';

export interface ConnectSettings {
  readonly proxy: ProxySettings;
  /** Certificates to trust in place of Node's default set. */
  readonly ca: readonly string[] | undefined;
  /** Milliseconds for the whole way to a usable socket: HTTP proxy, TCP and TLS. 0 = no limit. */
  readonly timeoutMs: number;
}

/** Opens sockets the one way that endpoint and credential calls share: proxy, certificates, time limit. */
export function createConnector(settings: ConnectSettings): Connector {
  const tls = settings.ca ? { ca: [...settings.ca] } : {};
  const direct = buildConnector({ ...tls, timeout: settings.timeoutMs, keepAlive: true });
  return (options, callback) => {
    const url = new URL(`${options.protocol}//${hostAndPort(options)}`);
    const proxy = proxyFor(url, settings.proxy);
    if (!proxy) {
      direct(options, callback);
      return;
    }
    tunnel(proxy, hostAndPort(options), settings, (error, socket) => {
      if (error || !socket) callback(error ?? new Error('no tunnel'), null);
      else if (options.protocol === 'https:') direct({ ...options, httpSocket: socket }, callback);
      else callback(null, socket);
    });
  };
}

function hostAndPort(options: ConnectOptions): string {
  const port = options.port || (options.protocol === 'https:' ? '443' : '80');
  return `${options.hostname}:${port}`;
}

/** Asks an HTTP proxy for a tunnel. The proxy's address and answer stand in the error: it is the first suspect. */
function tunnel(
  proxy: URL,
  authority: string,
  settings: ConnectSettings,
  settle: (error: Error | null, socket?: Socket) => void,
): void {
  const name = `${proxy.protocol}//${proxy.host}`;
  const headers: Record<string, string> = { host: authority };
  if (proxy.username) {
    const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    headers['proxy-authorization'] = `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  const secure = proxy.protocol === 'https:';
  const request = (secure ? https : http).request({
    host: proxy.hostname.replace(/^\[|\]$/g, ''),
    port: proxy.port || (secure ? 443 : 80),
    method: 'CONNECT',
    path: authority,
    headers,
    agent: false,
    ...(secure && settings.ca ? { ca: [...settings.ca] } : {}),
    ...(settings.timeoutMs > 0 ? { timeout: settings.timeoutMs } : {}),
  });
  const fail = (what: string, cause?: unknown): void => {
    request.destroy();
    settle(new Error(`HTTP proxy ${name} ${what}`, { cause }));
  };
  request.once('timeout', () => fail(`did not open a tunnel to ${authority} in ${settings.timeoutMs} ms`));
  request.once('error', (error) => fail('could not be reached', error));
  request.once('response', (response) => {
    response.resume();
    fail(`refused a tunnel to ${authority} with status ${response.statusCode}`);
  });
  request.once('connect', (response, socket) => {
    request.removeAllListeners();
    request.on('error', () => undefined);
    socket.setTimeout(0);
    if (response.statusCode === 200) settle(null, socket);
    else {
      socket.destroy();
      const hint = response.statusCode === 407 ? ': it wants a user name and password in its URL' : '';
      settle(
        new Error(
          `HTTP proxy ${name} refused a tunnel to ${authority} with status ${response.statusCode}${hint}`,
        ),
      );
    }
  });
  request.end();
}
