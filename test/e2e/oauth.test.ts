import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { OAuthServer } from '../support/oauth-server.ts';

/** Opens the page of a login as a browser does. */
const BROWSER = fileURLToPath(new URL('../support/follow-login.cjs', import.meta.url));

describe('--auth oauth', () => {
  let state: string;
  beforeAll(() => {
    state = mkdtempSync(join(tmpdir(), 'mcp-oauth-'));
  });
  afterAll(() => rmSync(state, { recursive: true }));

  /** All processes of one user share the store. */
  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    BinDriver.start({
      args: [...args, '--auth', 'oauth', '--retries', '0'],
      env: { XDG_STATE_HOME: state, BROWSER, ...env },
      anyStdout: args[0] === 'login' || args[0] === 'logout',
    });
  const login = async (server: OAuthServer, ...args: string[]): Promise<string> => {
    const bin = start(['login', server.url, ...args]);
    expect(await bin.exit(), bin.stderr).toEqual({ code: 0, signal: null });
    return bin.lines.join('\n');
  };
  const echo = { name: 'echo', arguments: {} };

  it('a call without a login fails with the command to run, and works after it without a restart', async () => {
    const server = await OAuthServer.start();
    const client = start([server.url]);
    const refused = await client.initialize({}, 0);
    expect(refused.error).toMatchObject({
      code: -31027,
      data: { reason: 'login-required', mayHaveRun: false, source: 'mcp-sigv4-proxy' },
    });
    const command = `npx mcp-sigv4-proxy login ${server.url} --auth oauth`;
    expect(refused.error).toMatchObject({ message: expect.stringContaining(command), data: { command } });

    const text = await login(server);
    expect(text).toContain(`Logged in to ${new URL(server.url).host} by ${server.origin}`);
    const folder = join(state, 'mcp-sigv4-proxy/oauth');
    const [file = ''] = readdirSync(folder);
    expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    expect(text).toContain(file);

    expect((await client.initialize({}, -1)).result).toBeDefined();
    expect((await client.request('tools/call', echo, '')).result).toBeDefined();
    const { access_token: token } = JSON.parse(readFileSync(join(folder, file), 'utf8')).tokens;
    expect(server.mcpRequests.at(-1)).toEqual({ method: 'tools/call', authorization: `Bearer ${token}` });
    const [exchange] = server.tokenRequests;
    expect(exchange?.get('resource')).toBe(server.url);
    expect(client.stderr).not.toContain(token);
  });

  it('a refused token is renewed once for all calls, and sent again', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = start([server.url], {});
    await client.initialize();
    server.expireTokens();
    const answers = await Promise.all([1, 2, 3, 4].map(() => client.request('tools/call', echo)));
    expect(answers.filter(({ result }) => result !== undefined)).toHaveLength(4);
    expect(server.grants).toEqual(['authorization_code', 'refresh_token']);
  });

  it('two processes renew one login, and no refresh token is used twice', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const clients = [start([server.url]), start([server.url])];
    await Promise.all(clients.map((client) => client.initialize()));
    server.expireTokens();
    const answers = await Promise.all(clients.map((client) => client.request('tools/call', echo)));
    expect(answers.map(({ result }) => result !== undefined)).toEqual([true, true]);
    expect(server.grants).toEqual(['authorization_code', 'refresh_token']);
    expect(server.reused).toEqual([]);
  });

  it('a refresh token that was revoked ends the login, and the call reports it', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = start([server.url]);
    await client.initialize();
    server.expireTokens();
    server.refresh.clear();
    expect((await client.request('tools/call', echo, -7)).error).toMatchObject({
      message: expect.stringMatching(/has ended: .*refused: invalid_grant.*npx mcp-sigv4-proxy login/),
      data: { reason: 'login-required', mayHaveRun: false },
    });
    await login(server);
    expect((await client.request('tools/call', echo, '')).result).toBeDefined();
  });

  it('a token endpoint that returns a web page ends no login, and the next call tries again', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = start([server.url]);
    await client.initialize();
    server.expireTokens();
    server.behaviour.token = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Proxy</title>');
    };
    expect((await client.request('tools/call', echo)).error).toMatchObject({
      message: expect.stringMatching(/could not be renewed: .*\/token answered with a web page/),
      data: { reason: 'no-credentials', mayHaveRun: false },
    });
    server.behaviour.token = undefined;
    expect((await client.request('tools/call', echo)).result).toBeDefined();
  });

  it('an access token of 100 kB is stored and sent', async () => {
    const server = await OAuthServer.start();
    server.behaviour.padding = 'x'.repeat(100_000);
    await login(server);
    const client = start([server.url]);
    const { error } = await client.initialize();
    // The server of this test takes 16 KiB of headers, as most servers do.
    expect(error).toMatchObject({ message: expect.stringContaining('HTTP 431') });
  });
});
