import { createServer, type Socket } from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { causeText } from '../../../src/core/errors/errors.ts';
import { type ConnectSettings, createConnector } from '../../../src/upstream/http/connect.ts';
import { Connection } from '../../../src/upstream/http/connection.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { Connections, listenOnLoopback, NO_SUCH_HOST, shut } from '../../support/connections.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { makeTlsAuthority, type TlsAuthority } from '../../support/tls-authority.ts';

let authority: TlsAuthority;
beforeAll(async () => {
  authority = await makeTlsAuthority(['mcp.test']);
});

const noProxy = { url: undefined, env: {} };
const through = (url: string) => ({ url, env: {} });

async function fetchWith(settings: Partial<ConnectSettings>, origin: string): Promise<string> {
  const connection = new Connection({
    origin,
    connect: createConnector({ proxy: noProxy, ca: undefined, timeoutMs: 5_000, ...settings }),
    keepAliveTimeoutMs: 1_000,
    onOpen: () => undefined,
    onClose: () => undefined,
  });
  try {
    const request = { method: 'GET', path: '/', headers: { host: new URL(origin).host } };
    return (await (await connection.send(request, () => undefined)).readAll()).toString();
  } catch (error) {
    throw new Error(causeText((error as Error).cause), { cause: error });
  } finally {
    connection.destroy();
  }
}

const tlsServer = () =>
  ScriptedServer.start((_request, response) => void response.end('secure'), { tls: authority });
const plainServer = () => ScriptedServer.start((_request, response) => void response.end('plain'));

/** Accepts connections and says nothing. */
async function silentServer(): Promise<number> {
  const server = createServer();
  const connections = new Connections(server);
  const port = await listenOnLoopback(server);
  afterThisTest(() => shut(server, connections));
  return port;
}

describe('directly', () => {
  it('a direct connection reaches a server whose certificate is trusted', async () => {
    const server = await tlsServer();
    await expect(fetchWith({ ca: [authority.ca] }, server.origin)).resolves.toBe('secure');
  });

  it('a direct connection refuses an untrusted certificate', async () => {
    const server = await tlsServer();
    await expect(fetchWith({}, server.origin)).rejects.toThrow(/unable to (verify|get)|self.signed/);
  });

  it('a direct connection refuses a certificate for another name', async () => {
    const server = await tlsServer();
    const proxy = await ConnectProxy.start({ hosts: { 'other.test': '127.0.0.1' } });
    const origin = `https://other.test:${server.port}`;
    await expect(fetchWith({ ca: [authority.ca], proxy: through(proxy.url) }, origin)).rejects.toThrow(
      /other\.test.*altnames/,
    );
  });

  it('a connection to loopback is always direct', async () => {
    const server = await plainServer();
    const proxy = await ConnectProxy.start();
    for (const host of ['127.0.0.1', 'localhost']) {
      const origin = `http://${host}:${server.port}`;
      const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url };
      await expect(fetchWith({ proxy: { url: proxy.url, env } }, origin)).resolves.toBe('plain');
    }
    expect([proxy.tunnels, proxy.plainRequests]).toEqual([[], []]);
  });

  it('a direct connection reaches an IPv6 address', async () => {
    const connecting = fetchWith({}, 'http://[::1]:1/');
    await expect(connecting).rejects.toThrow(/ECONNREFUSED|EADDRNOTAVAIL|EAFNOSUPPORT|ENETUNREACH/);
  });

  it('a direct connection obeys the time limit', async () => {
    const port = await silentServer();
    await expect(fetchWith({ timeoutMs: 50 }, `https://127.0.0.1:${port}`)).rejects.toThrow(
      /Connect Timeout Error.*timeout: 50ms/,
    );
  });
});

describe('through a proxy', () => {
  it('a connection through a proxy names the host, which only the proxy resolves', async () => {
    const server = await tlsServer();
    const proxy = await ConnectProxy.start({ hosts: { 'mcp.test': '127.0.0.1' } });
    const origin = `https://mcp.test:${server.port}`;
    await expect(fetchWith({ ca: [authority.ca], proxy: through(proxy.url) }, origin)).resolves.toBe(
      'secure',
    );
    expect(proxy.tunnels).toEqual([
      { authority: `mcp.test:${server.port}`, proxyAuthorization: undefined, status: 200 },
    ]);
  });

  it('a connection through a proxy reaches a server without TLS, for calls of the AWS SDK', async () => {
    const server = await plainServer();
    const proxy = await ConnectProxy.start({ hosts: { 'sts.test': '127.0.0.1' } });
    const origin = `http://sts.test:${server.port}`;
    await expect(fetchWith({ proxy: through(proxy.url) }, origin)).resolves.toBe('plain');
    expect(proxy.opened).toHaveLength(1);
  });

  it('a connection is direct if NO_PROXY names the host', async () => {
    const proxy = await ConnectProxy.start({ hosts: { [NO_SUCH_HOST]: '127.0.0.1' } });
    const env = { HTTPS_PROXY: proxy.url, NO_PROXY: '.invalid' };
    await expect(fetchWith({ proxy: { url: undefined, env } }, `https://${NO_SUCH_HOST}`)).rejects.toThrow(
      /ENOTFOUND|EAI_AGAIN/,
    );
    expect(proxy.tunnels).toEqual([]);
  });

  it.each([
    ['user', 'pass', 'user:pass'],
    ['us er@corp', 'p:a/s%s', 'us%20er%40corp:p%3Aa%2Fs%25s'],
    ['user', '100%', 'user:100%'],
  ])(
    'a connection through a proxy sends the credentials of its URL: %s and %s',
    async (user, password, inUrl) => {
      const server = await tlsServer();
      const proxy = await ConnectProxy.start({
        credentials: { user, password },
        hosts: { 'mcp.test': '127.0.0.1' },
      });
      const url = proxy.url.replace('//', `//${inUrl}@`);
      const settings = { ca: [authority.ca], proxy: through(url) };
      await expect(fetchWith(settings, `https://mcp.test:${server.port}`)).resolves.toBe('secure');
    },
  );

  it.each([
    ['', ': it wants a user name and password in its URL'],
    ['user:wrong@', ': it does not take the user name and password in its URL'],
  ])(
    'a connection through a proxy that requires credentials, with "%s", fails with that reason',
    async (inUrl, hint) => {
      const proxy = await ConnectProxy.start({ credentials: { user: 'user', password: 'right' } });
      const url = proxy.url.replace('//', `//${inUrl}`);
      await expect(fetchWith({ proxy: through(url) }, 'https://mcp.test')).rejects.toThrow(
        new Error(`HTTP proxy ${proxy.url} refused a tunnel to mcp.test:443 with status 407${hint}`),
      );
    },
  );

  it('a connection through a proxy that refuses fails with its status', async () => {
    const proxy = await ConnectProxy.start({ refuseWith: 403 });
    await expect(fetchWith({ proxy: through(proxy.url) }, 'https://mcp.test:8443')).rejects.toThrow(
      new Error(`HTTP proxy ${proxy.url} refused a tunnel to mcp.test:8443 with status 403`),
    );
  });

  it('a connection through an unreachable proxy fails', async () => {
    const settings = { proxy: through('http://127.0.0.1:1') };
    await expect(fetchWith(settings, 'https://mcp.test')).rejects.toThrow(
      /^HTTP proxy http:\/\/127\.0\.0\.1:1 could not be reached: connect ECONNREFUSED/,
    );
  });

  it('a connection through a proxy that closes without an answer fails', async () => {
    const server = createServer((socket) => socket.destroy());
    const port = await listenOnLoopback(server);
    afterThisTest(() => void server.close());
    await expect(
      fetchWith({ proxy: through(`http://127.0.0.1:${port}`) }, 'https://mcp.test'),
    ).rejects.toThrow(
      /^HTTP proxy http:\/\/127\.0\.0\.1:\d+ could not be reached: (socket hang up|read ECONNRESET)/,
    );
  });

  it('a connection through a proxy that never answers obeys the time limit', async () => {
    const url = `http://127.0.0.1:${await silentServer()}`;
    await expect(fetchWith({ proxy: through(url), timeoutMs: 50 }, 'https://mcp.test')).rejects.toThrow(
      new Error(`HTTP proxy ${url} opened no connection to mcp.test:443: timeout after 0.05 s`),
    );
  });

  it('a connection through a proxy to a server that never finishes TLS obeys the same limit', async () => {
    const port = await silentServer();
    const proxy = await ConnectProxy.start({ hosts: { 'mcp.test': '127.0.0.1' } });
    const settings = { proxy: through(proxy.url), timeoutMs: 100 };
    await expect(fetchWith(settings, `https://mcp.test:${port}`)).rejects.toThrow(
      new Error(`HTTP proxy ${proxy.url} opened no connection to mcp.test:${port}: timeout after 0.1 s`),
    );
    expect(proxy.opened).toHaveLength(1);
  });

  it.each([
    ['socks5://127.0.0.1:1080', /is a socks5:\/\/ address/],
    ['http://[', /is no URL/],
  ])('a connection through an unusable proxy URL fails: %s', async (value, message) => {
    const proxy = { url: undefined, env: { HTTPS_PROXY: value } };
    await expect(fetchWith({ proxy }, 'https://mcp.test')).rejects.toThrow(message);
  });
});

describe('a socket without TLS, for a look at the certificates', () => {
  const bareSocket = async (url: string, settings: Partial<ConnectSettings>): Promise<Socket> => {
    const connect = createConnector({
      proxy: noProxy,
      ca: undefined,
      timeoutMs: 5_000,
      ...settings,
      tcpOnly: true,
    });
    const { protocol, hostname, port } = new URL(url);
    const socket = await new Promise<Socket>((resolve, reject) => {
      connect({ protocol, hostname, port }, (error, opened) => (opened ? resolve(opened) : reject(error)));
    });
    afterThisTest(() => void socket.destroy());
    return socket;
  };

  it('a bare socket to a TLS port opens, whatever its certificate', async () => {
    const server = await tlsServer();
    const socket = await bareSocket(server.origin, {});
    expect(socket).not.toHaveProperty('authorized');
    const secured = tls.connect({ socket, ca: authority.ca, host: '127.0.0.1' });
    await new Promise<void>((resolve) => secured.once('secureConnect', () => resolve()));
    expect(secured.authorized).toBe(true);
  });

  it('a bare socket for https goes through the HTTP proxy', async () => {
    const [server, proxy] = [
      await tlsServer(),
      await ConnectProxy.start({ hosts: { 'mcp.test': '127.0.0.1' } }),
    ];
    const socket = await bareSocket(`https://mcp.test:${server.port}`, {
      proxy: { url: undefined, env: { HTTPS_PROXY: proxy.url } },
    });
    expect(socket).not.toHaveProperty('authorized');
    expect(proxy.opened.map(({ authority: to }) => to)).toEqual([`mcp.test:${server.port}`]);
  });
});
