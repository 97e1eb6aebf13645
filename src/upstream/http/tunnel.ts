import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type tls from 'node:tls';

/** What TLS connections trust, where it is not Node's default. */
export interface ConnectTrust {
  readonly secureContext?: tls.SecureContext;
  readonly checkServerIdentity?: typeof tls.checkServerIdentity;
}

/** Receives the socket of the tunnel, or the error that prevented the tunnel. */
export type TunnelCallback = (error: Error | null, socket?: Socket) => void;

/** Opens a tunnel through an HTTP proxy. Errors name the proxy and its answer. */
export function openTunnel(
  proxy: URL,
  authority: string,
  trust: ConnectTrust,
  settle: TunnelCallback,
): http.ClientRequest {
  const name = `${proxy.protocol}//${proxy.host}`;
  const headers: Record<string, string> = { host: authority };
  if (proxy.username) {
    const pair = `${decodeCredential(proxy.username)}:${decodeCredential(proxy.password)}`;
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
    ...(secure ? trust : {}),
  });
  request.once('error', (error) => {
    settle(
      error.message.startsWith('HTTP proxy')
        ? error
        : new Error(`HTTP proxy ${name} could not be reached`, { cause: error }),
    );
  });
  request.once('connect', ({ statusCode }, socket) => {
    request.removeAllListeners();
    request.on('error', () => undefined);
    if (statusCode === 200) {
      settle(null, socket);
      return;
    }
    socket.destroy();
    const hint =
      statusCode !== 407
        ? ''
        : proxy.username
          ? ': it does not take the user name and password in its URL'
          : ': it wants a user name and password in its URL';
    settle(new Error(`HTTP proxy ${name} refused a tunnel to ${authority} with status ${statusCode}${hint}`));
  });
  request.end();
  return request;
}

/** A password with an unencoded "%" is used as it is. */
function decodeCredential(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
