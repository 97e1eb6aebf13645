import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import type { Rpc } from '../support/mcp-answers.ts';
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
      anyStdout: /^[a-z]+$/.test(args[0] ?? ''),
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
    expect((await client.initialize()).result).toBeDefined();
    expect(server.mcpRequests.at(-1)?.authorization?.length).toBeGreaterThan(100_000);
  });

  it('a call that needs another scope names it, and works after the next login', async () => {
    const server = await OAuthServer.start();
    server.behaviour.scope = 'mcp';
    server.behaviour.toolScopes = { big: 'admin' };
    await login(server);
    const client = start([server.url]);
    await client.initialize();
    const admin = { name: 'big', arguments: { bytes: 1 } };
    expect((await client.request('tools/call', admin, -1)).error).toMatchObject({
      message: expect.stringContaining('lacks the scope that this call needs (admin)'),
      data: { reason: 'login-required', scope: 'admin', mayHaveRun: false },
    });
    expect((await client.request('tools/call', echo, '')).result).toBeDefined();
    expect(await login(server)).toContain('scope mcp offline_access admin');
    expect(await client.request('tools/call', admin, -2)).toMatchObject({ result: {} });
  });

  it('logout revokes the tokens and ends the login for a running proxy', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = start([server.url]);
    await client.initialize();
    const logout = start(['logout', server.url]);
    expect(await logout.exit()).toEqual({ code: 0, signal: null });
    expect(logout.lines).toEqual([`Logged out of ${new URL(server.url).host}; the tokens are revoked.`]);
    expect(server.refresh.size).toBe(0);
    server.expireTokens();
    expect((await client.request('tools/call', echo)).error).toMatchObject({
      message: expect.stringContaining('has ended. Run this command'),
      data: { reason: 'login-required' },
    });
    const again = start(['logout', server.url]);
    await again.exit();
    expect(again.lines).toEqual([`There is no login for ${new URL(server.url).host}.`]);
  });

  it('doctor explains the state of the login', async () => {
    const server = await OAuthServer.start();
    const before = start(['doctor', server.url]);
    expect((await before.exit()).code).toBe(1);
    expect(before.lines.join('\n')).toMatch(
      /credentials .*none for --auth oauth[\s\S]*npx mcp-sigv4-proxy login/,
    );
    await login(server);
    const after = start(['doctor', server.url]);
    expect((await after.exit()).code, after.lines.join('\n')).toBe(0);
    expect(after.lines.join('\n')).toMatch(
      /OAuth access token from the login at http.*stored in .*, scope mcp offline_access, renewed automatically, expires/,
    );
  });

  it('client credentials need no login, and are renewed by the client itself', async () => {
    const server = await OAuthServer.start();
    server.behaviour.clients = { robot: 's3cret-of-the-robot' };
    server.behaviour.toolScopes = { big: 'admin' };
    const client = start(
      [
        ...[server.url, '--oauth-flow', 'client-credentials', '--oauth-client-id', 'robot'],
        ...['--oauth-client-secret-env', 'ROBOT_SECRET', '--oauth-issuer', server.origin],
      ],
      { ROBOT_SECRET: 's3cret-of-the-robot' },
    );
    expect((await client.initialize()).result).toBeDefined();
    expect(await client.request('tools/call', { name: 'big', arguments: { bytes: 1 } })).toMatchObject({
      result: {},
    });
    expect(server.tokenRequests.map((body) => body.get('scope'))).toEqual(['mcp', 'mcp admin']);
    server.expireTokens();
    expect(await client.request('tools/call', echo)).toMatchObject({ result: {} });
    expect(server.grants).toEqual(Array.from({ length: 3 }, () => 'client_credentials'));
    server.expireTokens();
    server.behaviour.clients = {};
    const refused = start([
      ...[server.url, '--oauth-flow', 'client-credentials', '--oauth-client-id', 'robot'],
      ...['--oauth-client-secret-env', 'PATH', '--oauth-issuer', server.origin],
    ]);
    expect((await refused.initialize()).error).toMatchObject({
      message: expect.stringMatching(/with the client credentials: refused: invalid_client/),
      data: { reason: 'no-credentials' },
    });
  });

  it('a client authenticates with a private key', async () => {
    const server = await OAuthServer.start();
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      // The form of openssl ecparam, which is not PKCS #8.
      privateKeyEncoding: { type: 'sec1', format: 'pem' },
    });
    server.behaviour.clients = { robot: publicKey };
    const file = join(state, 'robot.pem');
    writeFileSync(file, privateKey);
    const client = start([
      ...[server.url, '--oauth-flow', 'client-credentials', '--oauth-client-id', 'robot'],
      ...['--oauth-private-key', file],
    ]);
    expect((await client.initialize()).result).toBeDefined();
    const [request] = server.tokenRequests;
    const [header = '', claims = ''] = request?.get('client_assertion')?.split('.') ?? [];
    const decoded = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    expect(decoded(header)).toMatchObject({ alg: 'ES256' });
    expect(decoded(claims)).toMatchObject({ iss: 'robot', sub: 'robot', aud: server.origin });
  });

  it('the device flow shows a code and waits for the user', async () => {
    const server = await OAuthServer.start();
    server.behaviour.devicePolls = 1;
    const bin = start(['login', server.url, '--oauth-flow', 'device'], { BROWSER: '/bin/true' });
    expect((await bin.exit()).code, bin.stderr).toBe(0);
    expect(bin.stderr).toContain(`Open ${server.origin}/verify on any device, and enter the code ABCD-EFGH`);
    const client = start([server.url]);
    expect((await client.initialize()).result).toBeDefined();
  });

  it.each([
    ['a token endpoint by http elsewhere', { token_endpoint: 'http://login.example.com/token' }, /uses http/],
    ['an authorization page that is a file', { authorization_endpoint: 'file:///etc/passwd' }, /scheme file/],
    ['another issuer', { issuer: 'https://login.example.com' }, /ssuer/],
  ])('metadata with %s is refused by login', async (_what, metadata, reason) => {
    const server = await OAuthServer.start();
    server.behaviour.metadata = metadata;
    const bin = start(['login', server.url]);
    expect((await bin.exit()).code).toBe(1);
    expect(bin.stderr).toMatch(/^(?:Log in.*\n)?mcp-sigv4-proxy: The login at .* failed: /);
    expect(bin.stderr).toMatch(reason);
    expect(server.tokenRequests).toEqual([]);
  });

  it('--auth auto finds the login of the endpoint', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = BinDriver.start({ args: [server.url, '--auth', 'auto'], env: { XDG_STATE_HOME: state } });
    expect(await client.initialize({ capabilities: { elicitation: { url: {} } } })).toMatchObject({
      result: {},
    });
    expect(server.mcpRequests[0]?.authorization).toBeUndefined();
    server.expireTokens();
    server.refresh.clear();
    expect((await client.request('tools/call', echo)).error).toMatchObject({ code: -32042 });
  });

  it('a client that opens URLs receives the page of the login, and its call works after it', async () => {
    const server = await OAuthServer.start();
    await login(server);
    const client = start([server.url]);
    await client.initialize({ capabilities: { elicitation: { url: {} } } });
    server.expireTokens();
    server.refresh.clear();
    const refused = await client.request('tools/call', echo, '');
    expect(refused.error).toMatchObject({
      code: -32042,
      data: {
        reason: 'url-elicitation',
        mayHaveRun: false,
        command: expect.stringContaining('npx mcp-sigv4-proxy login'),
        elicitations: [{ mode: 'url', url: expect.stringContaining(`${server.origin}/authorize?`) }],
      },
    });
    const again = await client.request('tools/call', echo, -1);
    expect(elicitationsOf(again), 'one login is open at a time').toEqual(elicitationsOf(refused));
    server.behaviour.token = (_request, response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    };
    expect(await (await fetch(elicitationsOf(again)[0]?.url ?? '')).text()).toContain('Login failed');
    await client.stderrMatching(/"login\.failed".*invalid_grant|invalid_grant.*"login\.failed"/);
    server.behaviour.token = undefined;
    const [{ url = '' } = {}] = elicitationsOf(await client.request('tools/call', echo, -2));
    expect(await (await fetch(url)).text()).toContain('Logged in');
    expect((await client.request('tools/call', echo, -3)).result).toBeDefined();
  });
});

/** The pages that an error names. */
const elicitationsOf = ({ error }: Rpc): readonly { readonly url?: string }[] =>
  (error as { readonly data: { readonly elicitations: [] } }).data.elicitations;
