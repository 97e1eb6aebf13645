import { EnvHttpProxyAgent, ProxyAgent, request } from 'undici';
import { describe, expect, it } from 'vitest';
import { ConnectProxy } from './connect-proxy.ts';
import { ScriptedServer } from './scripted-server.ts';
import { makeTlsAuthority } from './tls-authority.ts';

describe('the CONNECT proxy', () => {
  it('the CONNECT proxy leads a made-up host name to a server with a certificate of a private authority', async () => {
    const { ca, key, cert } = await makeTlsAuthority(['mcp.example']);
    const server = await ScriptedServer.start((_request, response) => void response.end('hello'), {
      tls: { key, cert },
    });
    const proxy = await ConnectProxy.start({
      hosts: { 'mcp.example': '127.0.0.1' },
      credentials: { user: 'u', password: '' },
    });
    const token = `Basic ${Buffer.from('u:').toString('base64')}`;
    const dispatcher = new ProxyAgent({ uri: proxy.url, token, requestTls: { ca } });
    const answer = await request(`https://mcp.example:${server.port}/mcp`, { dispatcher });
    expect(await answer.body.text()).toBe('hello');
    expect(proxy.opened).toMatchObject([
      { authority: `mcp.example:${server.port}`, proxyAuthorization: token },
    ]);
    expect(server.connections.opened).toBe(1);
    await dispatcher.close();
  });

  it.each([
    [407, { credentials: { user: 'u', password: 'p' } }, 'localhost:1'],
    [503, { refuseWith: 503 }, 'localhost:1'],
    [403, {}, 'mcp.example:1'],
  ])('the CONNECT proxy refuses with %s', async (status, options, authority) => {
    const proxy = await ConnectProxy.start(options);
    const dispatcher = new EnvHttpProxyAgent({ httpsProxy: proxy.url, noProxy: '' });
    await expect(request(`https://${authority}/`, { dispatcher })).rejects.toThrow();
    expect(proxy.tunnels).toMatchObject([{ status, authority }]);
    expect(proxy.opened).toEqual([]);
    await dispatcher.close();
  });
});
