import { createServer } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { ConnectProxy, type ConnectProxyOptions } from '../support/connect-proxy.ts';
import { Connections, listenOnLoopback, NO_SUCH_HOST, shut } from '../support/connections.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify, TEST_KEY } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { makeTlsAuthority, type TlsAuthority } from '../support/tls-authority.ts';

let authority: TlsAuthority;
beforeAll(async () => {
  authority = await makeTlsAuthority(['mcp.test', 'sts.test']);
});

const tlsServer = (verify = signingVerify) =>
  ScriptedServer.start(new SessionServer().behaviour, { tls: authority, verify });
const proxyTo = (options: ConnectProxyOptions = {}) =>
  ConnectProxy.start({ hosts: { 'mcp.test': '127.0.0.1', 'sts.test': '127.0.0.1' }, ...options });
const named = (server: ScriptedServer): string => server.url.replace('127.0.0.1', 'mcp.test');

interface Run {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

const startAt = (url: string, { args = [], env = {}, files = {} }: Run = {}): BinDriver =>
  // This tests how the network fails, not how often.
  BinDriver.start({
    args: [url, ...signingArgs, '--retries', '0', ...args],
    env: { ...signingEnv, ...env },
    files,
  });

/** A session and one call through the bin: the minimum that a network has to carry. */
async function works(bin: BinDriver): Promise<void> {
  expect(await bin.initialize({}, 0)).toMatchObject({ id: 0, result: { serverInfo: { name: 'scripted' } } });
  const params = { name: 'echo', arguments: { text: 'hi' } };
  expect(await bin.request('tools/call', params, '')).toMatchObject({
    id: '',
    result: { content: [{ text: '{"text":"hi"}' }] },
  });
}

/** The message of the error for `initialize` when no connection can be opened. */
async function cannotConnect(bin: BinDriver): Promise<string> {
  const { error } = await bin.request('initialize', { protocolVersion: '2025-11-25', capabilities: {} }, -1);
  expect(error).toMatchObject({
    code: -31001,
    data: { source: 'mcp-sigv4-proxy', reason: 'connect-failed', mayHaveRun: false },
  });
  return (error as { message: string }).message;
}

/** Accepts connections and sends nothing. */
async function silentPort(): Promise<number> {
  const server = createServer();
  const connections = new Connections(server);
  const port = await listenOnLoopback(server);
  afterThisTest(() => shut(server, connections));
  return port;
}

describe('a server with a certificate of a private authority', () => {
  it.each<[how: string, run: (ca: string) => Run]>([
    ['--ca-bundle', (ca) => ({ args: ['--ca-bundle', ca] })],
    ['MCP_PROXY_CA_BUNDLE', (ca) => ({ env: { MCP_PROXY_CA_BUNDLE: ca } })],
    ['AWS_CA_BUNDLE', (ca) => ({ env: { AWS_CA_BUNDLE: ca } })],
    ['SSL_CERT_FILE', (ca) => ({ env: { SSL_CERT_FILE: ca } })],
    ['NODE_EXTRA_CA_CERTS', (ca) => ({ env: { NODE_EXTRA_CA_CERTS: ca } })],
    ["the profile's ca_bundle", (ca) => ({ files: { '.aws/config': `[default]\nca_bundle = ${ca}\n` } })],
  ])('a private certificate authority is trusted through %s', async (_how, run) => {
    const server = await tlsServer();
    await works(startAt(server.url, run(authority.caFile())));
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });

  it('a private certificate authority is trusted through a variable in --env-file, which Node reads too late', async () => {
    const server = await tlsServer();
    const { write } = await makeTempHome();
    const file = await write('proxy.env', `NODE_EXTRA_CA_CERTS=${authority.caFile()}\n`);
    await works(startAt(server.url, { args: ['--env-file', file] }));
  });

  it('a private certificate authority is rejected by default, and the error names the remedy', async () => {
    const server = await tlsServer();
    expect(await cannotConnect(startAt(server.url))).toMatch(
      /^Cannot connect to 127\.0\.0\.1:\d+: .*\. The server's certificate is not trusted: behind a TLS-inspecting network, name its CA file with --ca-bundle or AWS_CA_BUNDLE\.$/,
    );
    expect(server.requests).toEqual([]);
  });
});

describe('an HTTP proxy', () => {
  const ca = () => ({ AWS_CA_BUNDLE: authority.caFile() });

  it.each<[how: string, run: (url: string) => Run]>([
    ['--proxy', (url) => ({ args: ['--proxy', url] })],
    ['HTTPS_PROXY', (url) => ({ env: { HTTPS_PROXY: url } })],
    ['https_proxy', (url) => ({ env: { https_proxy: url } })],
    ['HTTP_PROXY', (url) => ({ env: { HTTP_PROXY: url } })],
  ])('an HTTP proxy set by %s carries connections to a host that only it can resolve', async (_how, run) => {
    const [server, proxy] = [await tlsServer(), await proxyTo()];
    const { args = [], env = {} } = run(proxy.url);
    await works(startAt(named(server), { args, env: { ...ca(), ...env } }));
    expect(new Set(proxy.tunnels.map(({ authority: to, status }) => `${to} ${status}`))).toEqual(
      new Set([`mcp.test:${server.port} 200`]),
    );
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });

  it('an HTTP proxy receives the user name and password of its URL', async () => {
    const credentials = { user: 'me@corp', password: 'p%:/' };
    const [server, proxy] = [await tlsServer(), await proxyTo({ credentials })];
    const url = proxy.url.replace('//', '//me%40corp:p%25%3A%2F@');
    await works(startAt(named(server), { env: { ...ca(), HTTPS_PROXY: url } }));
  });

  it('an HTTP proxy carries the credential requests too, with the same certificates', async () => {
    const assumed = {
      accessKeyId: 'ASIAASSUMED',
      secretAccessKey: 'assumed-secret',
      sessionToken: 'ASSUMED',
    };
    const server = await tlsServer({ ...signingVerify, keys: { ASIAASSUMED: assumed } });
    const sts = await ScriptedServer.start(
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/xml' });
        response.end(
          '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>' +
            `<AccessKeyId>${assumed.accessKeyId}</AccessKeyId><SecretAccessKey>${assumed.secretAccessKey}</SecretAccessKey>` +
            `<SessionToken>${assumed.sessionToken}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>` +
            '</Credentials></AssumeRoleResult></AssumeRoleResponse>',
        );
      },
      { tls: authority },
    );
    const proxy = await proxyTo();
    const bin = BinDriver.start({
      args: [named(server), ...signingArgs, '--profile', 'role', '--proxy', proxy.url],
      env: {
        AWS_CA_BUNDLE: authority.caFile(),
        AWS_ENDPOINT_URL_STS: `https://sts.test:${sts.port}`,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      files: {
        '.aws/config':
          '[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nregion = eu-west-1\n',
        '.aws/credentials': `[base]\naws_access_key_id = ${TEST_KEY.accessKeyId}\naws_secret_access_key = ${TEST_KEY.secretAccessKey}\n`,
      },
    });
    await works(bin);
    expect(proxy.opened.map(({ authority: to }) => to)).toContain(`sts.test:${sts.port}`);
    expect(sts.requests).toHaveLength(1);
  });

  it('an HTTP proxy is not used for the hosts of NO_PROXY', async () => {
    const proxy = await proxyTo({ hosts: { [NO_SUCH_HOST]: '127.0.0.1' } });
    const env = { HTTPS_PROXY: proxy.url, NO_PROXY: 'other.test, .invalid' };
    expect(await cannotConnect(startAt(`https://${NO_SUCH_HOST}/mcp`, { env }))).toMatch(
      /^Cannot connect to n+\.invalid: getaddrinfo \w+ n+\.invalid\. The name does not resolve/,
    );
    expect(proxy.tunnels).toEqual([]);
  });

  it('an HTTP proxy is never used for loopback', async () => {
    const [server, proxy] = [await tlsServer(), await proxyTo()];
    await works(
      startAt(server.url, { env: { ...ca(), HTTPS_PROXY: proxy.url }, args: ['--proxy', proxy.url] }),
    );
    expect([proxy.tunnels, proxy.plainRequests]).toEqual([[], []]);
  });

  it.each<[what: string, options: ConnectProxyOptions, message: RegExp]>([
    [
      'refuses',
      { refuseWith: 403 },
      /^Cannot connect to mcp\.test: HTTP proxy http:\/\/127\.0\.0\.1:\d+ refused a tunnel to mcp\.test:443 with status 403\. Check --proxy, or HTTPS_PROXY and NO_PROXY\.$/,
    ],
    [
      'wants credentials',
      { credentials: { user: 'u', password: 'p' } },
      /refused a tunnel to mcp\.test:443 with status 407: it wants a user name and password in its URL\. Check --proxy/,
    ],
  ])('an HTTP proxy that %s is named in the error', async (_what, options, message) => {
    const proxy = await proxyTo(options);
    expect(await cannotConnect(startAt('https://mcp.test/mcp', { env: { HTTPS_PROXY: proxy.url } }))).toMatch(
      message,
    );
  });

  it.each([
    [
      'http://127.0.0.1:1',
      /HTTP proxy http:\/\/127\.0\.0\.1:1 could not be reached: connect ECONNREFUSED.*\. Check --proxy/,
    ],
    [
      'socks5://u:secret@127.0.0.1:1080',
      /: the HTTP proxy setting for https:\/\/ is a socks5:\/\/ address, and only http:\/\/ and https:\/\/ are supported\. Check --proxy/,
    ],
    ['http://u:secret@:x', /: the HTTP proxy setting for https:\/\/ is no URL\. Check --proxy/],
  ])('an invalid HTTP proxy setting is named in the error without its password: %s', async (url, message) => {
    const bin = startAt('https://mcp.test/mcp', { env: { HTTPS_PROXY: url } });
    const said = await cannotConnect(bin);
    expect(said).toMatch(message);
    expect(said + bin.stderr).not.toContain('secret');
  });
});

describe('a server that cannot be reached', () => {
  it('a connection refused because nothing listens returns an error that states so', async () => {
    expect(await cannotConnect(startAt('http://127.0.0.1:1/mcp'))).toBe(
      'Cannot connect to 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1. Nothing listens there: check the host and port of the endpoint URL.',
    );
  });

  it('a connection refused on IPv6 loopback returns the same error', async () => {
    expect(await cannotConnect(startAt('http://[::1]:1/mcp'))).toMatch(
      /^Cannot connect to \[::1\]:1: connect E/,
    );
  });

  it('a host name that does not resolve returns an error that states so', async () => {
    expect(await cannotConnect(startAt(`https://${NO_SUCH_HOST}/mcp`))).toMatch(
      /^Cannot connect to n+\.invalid: getaddrinfo \w+ n+\.invalid\. The name does not resolve: check the endpoint URL, DNS and the network\.$/,
    );
  });

  it('a connection attempt returns an error within --connect-timeout, directly and behind an HTTP proxy', async () => {
    const port = await silentPort();
    const timeout = ['--connect-timeout', '0.2'];
    const proxy = await proxyTo();
    const [direct, proxied] = await Promise.all([
      cannotConnect(startAt(`https://127.0.0.1:${port}/mcp`, { args: timeout })),
      cannotConnect(startAt(`https://mcp.test:${port}/mcp`, { args: [...timeout, '--proxy', proxy.url] })),
    ]);
    expect(direct).toMatch(/timeout.* Check the network, --proxy, and --connect-timeout\.$/i);
    expect(proxied).toMatch(
      /HTTP proxy \S+ opened no connection to mcp\.test:\d+: timeout after 0\.2 s\. Check --proxy, or HTTPS_PROXY and NO_PROXY\.$/,
    );
  });

  it('a server that was unreachable is tried again with the next message', async () => {
    const gone = await ScriptedServer.start(new SessionServer().behaviour);
    await gone.close();
    const bin = startAt(gone.url);
    await cannotConnect(bin);
    await ScriptedServer.start(new SessionServer().behaviour, { port: gone.port, verify: signingVerify });
    await works(bin);
  });
});

it("the HTTP proxy's password reaches neither the client nor the log, also if the proxy repeats it", async () => {
  const password = 'pa55-word/of the proxy';
  const encoded = encodeURIComponent(password);
  const basic = Buffer.from(`user:${password}`).toString('base64');
  const proxy = await proxyTo({ credentials: { user: 'user', password: 'another' } });
  const url = proxy.url.replace('://', `://user:${encoded}@`);
  const bin = startAt('https://mcp.test/mcp', {
    args: ['--log-level', 'trace'],
    env: { HTTPS_PROXY: url },
  });
  const error = await cannotConnect(bin);
  expect(proxy.tunnels[0]?.proxyAuthorization).toBe(`Basic ${basic}`);
  for (const secret of [password, encoded, basic]) {
    expect(error).not.toContain(secret);
    expect(bin.stderr).not.toContain(secret);
  }
});
