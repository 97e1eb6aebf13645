import { describe, expect, it } from 'vitest';
import { checkConnection, checkDns, proxyFinding } from '../../../src/commands/doctor/network.ts';
import { ConnectProxy } from '../../support/connect-proxy.ts';
import { NO_SUCH_HOST } from '../../support/connections.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { settingsFor } from './rig.ts';

const LAMBDA = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const SCOPE = ['--service', 'execute-api', '--region', 'eu-west-1'];
const P = 'http://me:geheim@proxy.corp:3128';

describe('proxyFinding', () => {
  it.each<[argv: string[], env: NodeJS.ProcessEnv, detail: string]>([
    [[LAMBDA], {}, 'none'],
    [
      ['http://127.0.0.1/mcp', ...SCOPE, '--proxy', P],
      {},
      'none: loopback connections never use an HTTP proxy',
    ],
    [[LAMBDA], { HTTPS_PROXY: P, NO_PROXY: '.on.aws' }, 'none for this host (NO_PROXY)'],
    [[LAMBDA], { https_proxy: P }, 'http://proxy.corp:3128, from https_proxy'],
    [[LAMBDA, '--proxy', P], {}, 'http://proxy.corp:3128, from --proxy'],
  ])('proxyFinding for arguments %j and variables %j reports: %s', async (argv, env, detail) => {
    expect(proxyFinding(await settingsFor(argv, { env })).finding).toEqual({
      check: 'HTTP proxy',
      verdict: 'ok',
      detail,
    });
  });

  it('proxyFinding fails for an invalid proxy URL, and the remedy names the settings', async () => {
    const { finding, choice } = proxyFinding(
      await settingsFor([LAMBDA], { env: { HTTPS_PROXY: 'socks5://me:geheim@proxy.corp' } }),
    );
    expect(finding).toEqual({
      check: 'HTTP proxy',
      verdict: 'failed',
      detail:
        'the HTTP proxy setting for https:// is a socks5:// address, and only http:// and https:// are supported',
      remedy: 'Check --proxy, or HTTPS_PROXY and NO_PROXY.',
    });
    expect(choice).toBeUndefined();
  });
});

describe('checkDns', () => {
  const none = { kind: 'none' } as const;
  const proxyAt = (url: string) => ({ kind: 'proxy', url: new URL(url), from: '--proxy' }) as const;

  it('checkDns accepts IP addresses and resolves host names', async () => {
    const limitMs = 5_000;
    expect((await checkDns({ endpoint: new URL('https://[::1]/'), choice: none, limitMs })).detail).toBe(
      '::1 is an IP address',
    );
    expect(
      (await checkDns({ endpoint: new URL('https://localhost/'), choice: none, limitMs })).detail,
    ).toMatch(/^localhost is (127\.0\.0\.1|::1)/);
  });

  it('checkDns fails if the host name does not resolve', async () => {
    const endpoint = new URL(`https://${NO_SUCH_HOST}/mcp`);
    expect(await checkDns({ endpoint, choice: none, limitMs: 15_000 })).toEqual({
      check: 'DNS',
      verdict: 'failed',
      detail: expect.stringMatching(/^n+\.invalid does not resolve: .*(ENOTFOUND|EAI_AGAIN)/),
      remedy: 'Check the endpoint URL, and the name servers and VPN of this network.',
    });
  });

  it('checkDns resolves only the name of the HTTP proxy if there is one', async () => {
    const endpoint = new URL(`https://${NO_SUCH_HOST}/mcp`);
    const limitMs = 15_000;
    expect((await checkDns({ endpoint, choice: proxyAt('http://127.0.0.1:1'), limitMs })).detail).toBe(
      '127.0.0.1 is an IP address; the HTTP proxy resolves the endpoint',
    );
    expect(await checkDns({ endpoint, choice: proxyAt(`http://${NO_SUCH_HOST}`), limitMs })).toMatchObject({
      verdict: 'failed',
      detail: expect.stringContaining(`${NO_SUCH_HOST} does not resolve`),
      remedy: 'Check --proxy, or HTTPS_PROXY and NO_PROXY.',
    });
  });
});

describe('checkConnection', () => {
  async function connect(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const settings = await settingsFor([...argv, ...SCOPE], { env });
    const { choice } = proxyFinding(settings);
    if (!choice) throw new Error('no choice');
    const { finding, socket } = await checkConnection({ settings, choice, ca: undefined, limitMs: 5_000 });
    socket?.destroy();
    return { finding, open: socket !== undefined };
  }

  it('checkConnection opens a connection as requests do, and sends nothing', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    expect(await connect([server.url])).toEqual({
      finding: {
        check: 'connection',
        verdict: 'ok',
        detail: expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1 port ${server.port} in \\d+ ms$`)),
      },
      open: true,
    });
    const proxy = await ConnectProxy.start({ hosts: { 'mcp.test': `127.0.0.1:${server.port}` } });
    expect(await connect(['https://mcp.test/mcp'], { HTTPS_PROXY: proxy.url })).toMatchObject({
      finding: { detail: expect.stringMatching(/^mcp\.test port 443 in \d+ ms, through the HTTP proxy$/) },
    });
    expect(server.requests).toEqual([]);
  });

  it('checkConnection fails if nothing listens on the port', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end());
    await server.close();
    expect(await connect([server.url])).toEqual({
      finding: {
        check: 'connection',
        verdict: 'failed',
        detail: expect.stringContaining('ECONNREFUSED'),
        remedy: 'Nothing listens there: check the host and port of the endpoint URL.',
      },
      open: false,
    });
  });

  it.each([
    ['refuses', { refuseWith: 403 }, /refused a tunnel to mcp\.test:443 with status 403$/],
    [
      'wants a password',
      { credentials: { user: 'u', password: 'p' } },
      /status 407: it wants a user name and password in its URL$/,
    ],
  ])('checkConnection fails if the HTTP proxy %s', async (_what, options, detail) => {
    const proxy = await ConnectProxy.start(options);
    const { finding } = await connect(['https://mcp.test/mcp', '--proxy', proxy.url]);
    expect(finding).toMatchObject({
      verdict: 'failed',
      detail: expect.stringMatching(detail),
      remedy: 'Check --proxy, or HTTPS_PROXY and NO_PROXY.',
    });
  });
});
