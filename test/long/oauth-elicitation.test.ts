import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN_PATH, BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenerUrl } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { OAuthServer } from '../support/oauth-server.ts';

const BROWSER = fileURLToPath(new URL('../support/follow-login.cjs', import.meta.url));
const REVISION = '2026-07-28';

/** A server of both eras: requests that state 2026-07-28 need no session. */
async function startServer(): Promise<OAuthServer> {
  const sessions = new SessionServer();
  const behaviour: SessionServer['behaviour'] = (request, response) => {
    if (request.headers['mcp-protocol-version'] !== REVISION) return sessions.behaviour(request, response);
    const results: Record<string, object> = {
      'server/discover': { supportedVersions: [REVISION], capabilities: { tools: {} }, serverInfo: INFO },
      'tools/call': { content: [{ type: 'text', text: JSON.stringify(request.rpc.params?.arguments) }] },
    };
    const result = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
    return sendJson(response, 200, {
      jsonrpc: '2.0',
      id: request.rpc.id,
      result: { ...result, ...results[request.rpc.method ?? ''] },
    });
  };
  return OAuthServer.start({ behaviour } as SessionServer);
}

const INFO = { name: 'server', version: '1' };

describe('a login that is needed while the proxy serves, with clients of the SDK', () => {
  let state: string;
  beforeAll(() => {
    state = mkdtempSync(join(tmpdir(), 'mcp-elicitation-'));
  });
  afterAll(() => rmSync(state, { recursive: true }));

  const options = ['--auth', 'oauth', '--retries', '0'];
  /** A server whose login has just ended, and a client that was connected before. */
  async function connected(transportTo: (url: string) => Promise<Transport>, pin?: string) {
    const server = await startServer();
    const login = BinDriver.start({
      args: ['login', server.url, ...options],
      env: { XDG_STATE_HOME: state, BROWSER },
      anyStdout: true,
    });
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
    const client = new Client(
      { name: 'client', version: '1' },
      {
        capabilities: { elicitation: { url: {} } },
        versionNegotiation: { mode: pin === undefined ? 'legacy' : { pin } },
      },
    );
    const pages: string[] = [];
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      const { url = '' } = params as { url?: string };
      pages.push(url);
      expect(await (await fetch(url)).text()).toContain('Logged in');
      return { action: 'accept' };
    });
    await client.connect(await transportTo(server.url));
    afterThisTest(() => client.close());
    server.expireTokens();
    server.refresh.clear();
    return { server, client, pages };
  }

  const overStdio = async (url: string): Promise<Transport> =>
    new StdioClientTransport({
      command: process.execPath,
      args: [BIN_PATH, url, ...options],
      env: { PATH: process.env.PATH ?? '', XDG_STATE_HOME: state },
    });
  const overHttp = async (endpoint: string): Promise<Transport & { readonly url: URL }> => {
    const bin = BinDriver.start({
      args: [endpoint, ...options, '--listen', '127.0.0.1:0', '--log-level', 'info'],
      env: { XDG_STATE_HOME: state },
    });
    const url = new URL(await listenerUrl(bin));
    return Object.assign(new StreamableHTTPClientTransport(url), { url });
  };
  const echo = { name: 'echo', arguments: { n: -1 } };

  it.each([
    ['stdio', overStdio],
    ['the listener', overHttp],
  ])(
    'a client of 2026-07-28 on %s opens the page, and its call succeeds after the login',
    async (_way, to) => {
      const { client, server, pages } = await connected(to, REVISION);
      expect(await client.callTool(echo)).toMatchObject({ content: [{ text: '{"n":-1}' }] });
      expect(pages).toEqual([expect.stringContaining(`${server.origin}/authorize?`)]);
      const [last] = server.http.requests.filter(({ rpc }) => rpc?.method === 'tools/call').slice(-1);
      expect(last?.rpc.params).not.toHaveProperty('requestState');
      expect(last?.rpc.params).not.toHaveProperty('inputResponses');
    },
  );

  /** Calls a tool, and opens the page in the refusal as the user of a client of 2025-11-25 does. */
  async function openPage(client: Client, server: OAuthServer): Promise<void> {
    const refused: { code?: number; data?: { elicitations: { url: string }[] } } = await client
      .callTool(echo)
      .then(() => ({}))
      .catch((error) => error);
    expect(refused.code).toBe(-32042);
    const url = refused.data?.elicitations[0]?.url ?? '';
    expect(url).toContain(`${server.origin}/authorize?`);
    expect(await (await fetch(url)).text()).toContain('Logged in');
  }

  it('a client of 2025-11-25 on stdio receives the page, and its next call succeeds after the login', async () => {
    const { client, server } = await connected(overStdio);
    await openPage(client, server);
    expect(await client.callTool(echo)).toMatchObject({ content: [{ text: '{"n":-1}' }] });
  });

  it('a client of 2025-11-25 on the listener receives the page, and a new session succeeds after the login', async () => {
    let url = new URL('http://127.0.0.1');
    const { client, server } = await connected(async (endpoint) => {
      const transport = await overHttp(endpoint);
      ({ url } = transport);
      return transport;
    });
    await openPage(client, server);
    // The login may be another user's, whom the session does not belong to.
    await expect(client.callTool(echo)).rejects.toMatchObject({ status: 404 });
    const next = new Client(INFO, { versionNegotiation: { mode: 'legacy' } });
    await next.connect(new StreamableHTTPClientTransport(url));
    expect(await next.callTool(echo)).toMatchObject({ content: [{ text: '{"n":-1}' }] });
    await next.close();
  });
});
