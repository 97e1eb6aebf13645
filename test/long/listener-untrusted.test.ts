import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import * as http from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { open, send } from '../support/http-client.ts';
import { startListening } from '../support/listening.ts';
import { makeTempHome } from '../support/temp-home.ts';

const TOKEN = 'a-token-of-enough-characters';
const OTHER = 'another-token-of-enough-characters';
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };

/** A connection whose responses are kept as text. */
async function rawSocket(url: string): Promise<{ socket: Socket; closed: Promise<string> }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  afterThisTest(() => void socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece;
  });
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(text));
  });
  await once(socket, 'connect');
  return { socket, closed };
}

const health = async (url: string) =>
  Promise.all(
    ['/healthz', '/readyz'].map(
      async (path) => (await send(new URL(path, url).href, { method: 'GET' })).status,
    ),
  );

/** The server's response that there is no session: the request has reached the server. */
const REACHED = 400;

describe('connections that never become clients', () => {
  it('idle unauthenticated connections give way to token holders and health checks, the oldest first', async () => {
    const { ask, url } = await startListening({
      args: ['--max-clients', '20'],
      env: { MCP_PROXY_LISTEN_TOKEN: TOKEN },
    });
    const silent = [];
    for (let count = 0; count < 200; count++) silent.push(await rawSocket(url));
    expect(await health(url)).toEqual([200, 200]);
    expect((await ask({ headers: bearer(TOKEN), body: ping })).status).toBe(REACHED);
    expect(await silent[0]?.closed).toBe('');
    expect(silent.at(-1)?.socket.destroyed).toBe(false);
  });

  it('refused connections with an unfinished body give way to others and are closed', async () => {
    const { ask, url } = await startListening({
      args: ['--max-clients', '4'],
      env: { MCP_PROXY_LISTEN_TOKEN: TOKEN },
    });
    const refused = [];
    for (let count = 0; count < 84; count++) {
      const one = await rawSocket(url);
      one.socket.write(
        'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{',
      );
      refused.push(one);
    }
    expect(await health(url)).toEqual([200, 200]);
    expect((await ask({ headers: bearer(TOKEN), body: ping })).status).toBe(REACHED);
    const last = await refused.at(-1)?.closed;
    expect(last).toMatch(/^HTTP\/1\.1 401 .*\r\nconnection: close\r\n/is);
    expect(last).toContain('--listen-token');
  });

  it('CORS preflight requests do not count as clients', async () => {
    const { ask, url } = await startListening({
      args: ['--max-clients', '1'],
      env: { MCP_PROXY_LISTEN_TOKEN: TOKEN },
    });
    const page = await rawSocket(url);
    page.socket.write('OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:1\r\n\r\n');
    const [answer] = (await once(page.socket, 'data')) as [string];
    expect(answer).toMatch(/^HTTP\/1\.1 204 /);
    expect((await ask({ headers: bearer(TOKEN), body: ping })).status).toBe(REACHED);
  });

  it('a connection has a few seconds to send the head of a request', async () => {
    const { url } = await startListening();
    const started = performance.now();
    const [silent, half] = await Promise.all([rawSocket(url), rawSocket(url)]);
    half.socket.write('POST /mcp HTTP/1.1\r\nHost: local');
    const answers = await Promise.all([silent.closed, half.closed]);
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    // Half of the time that it took before; no machine fires a timer early.
    expect(performance.now() - started).toBeLessThan(17_000);
  });
});

describe('a request that the listener refuses', () => {
  it.each([
    ['a foreign Host', 'POST /mcp HTTP/1.1\r\nHost: evil.example\r\n', 403],
    ['no Host', 'POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n', 403],
    ['no version', 'POST /mcp\r\nHost: localhost\r\nContent-Length: 0\r\n', 505],
    [
      'a transfer coding that HTTP/1.0 has not',
      'POST /mcp HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n',
      400,
    ],
    ['another path', 'GET / HTTP/1.1\r\nHost: localhost\r\n', 404],
    ['another type', 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n', 415],
  ])('a request refused because of %s is the last one on its connection', async (_what, head, status) => {
    const { url, server } = await startListening();
    const { socket, closed } = await rawSocket(url);
    const body = JSON.stringify(ping);
    const next = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.write(`${head}\r\n${next}${next}${next}`);
    const answers = await closed;
    expect(answers.match(/^HTTP\/1\.1 \d+/gm)).toEqual([`HTTP/1.1 ${status}`]);
    expect(server.requests).toEqual([]);
  });

  it('a refused request is answered before its long body arrives, and the client can read the response', async () => {
    const { url } = await startListening({ env: { MCP_PROXY_LISTEN_TOKEN: TOKEN } });
    const refused = await send(url, { body: Buffer.alloc(8 * 1024 * 1024, 0x20) });
    expect(refused.status).toBe(401);
  });

  it('a refused request emits an event with the address and without secrets', async () => {
    const { ask, bin } = await startListening({ env: { MCP_PROXY_LISTEN_TOKEN: TOKEN } });
    await ask({ headers: bearer(OTHER), body: ping });
    await ask({ headers: { ...bearer(TOKEN), host: 'evil.example' }, body: ping });
    await ask({ headers: { ...bearer(TOKEN), origin: 'https://evil.example' }, body: ping });
    await bin.stderrMatching(/--allowed-origin/);
    const events = bin.stderr
      .split('\n')
      .filter((line) => line.includes('"client.refused"'))
      .map((line) => JSON.parse(line));
    expect(events).toMatchObject([
      { status: 401, address: '127.0.0.1', level: 40 },
      { status: 403, address: '127.0.0.1', token: 'listen-token' },
      { status: 403, address: '127.0.0.1', token: 'listen-token' },
    ]);
    expect(bin.stderr).not.toContain(TOKEN);
    expect(bin.stderr).not.toContain(OTHER);
  });
});

describe('--max-clients-per-address', () => {
  it('--max-clients-per-address limits the clients of one address, and an idle one gives way', async () => {
    const { url, ask, server } = await startListening({
      args: ['--max-clients-per-address', '1'],
      session: {},
    });
    const agent = new http.Agent({ keepAlive: true });
    afterThisTest(() => agent.destroy());
    expect((await send(url, { body: ping }, agent)).status).toBe(REACHED);
    // The connection of the first client is kept alive and idle.
    expect((await ask({ body: ping })).status).toBe(REACHED);
    expect(server.requests.length).toBe(2);
  });

  it('--max-clients-per-address returns 503 if all clients are busy, and health checks are still answered', async () => {
    const { url, ask, server } = await startListening({
      args: ['--max-clients-per-address', '1'],
      behaviour: () => undefined,
    });
    void ask({ body: ping }).catch(() => undefined);
    await server.until((requests) => requests.length === 1);
    const refused = await ask({ body: ping });
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.text).toContain('--max-clients-per-address');
    expect(await health(url)).toEqual([200, 200]);
  });
});

it('many refused requests write few log lines, which count the omitted ones', async () => {
  const { ask, bin } = await startListening({ env: { MCP_PROXY_LISTEN_TOKEN: TOKEN } });
  const statuses = await Promise.all(
    Array.from({ length: 60 }, async () => (await ask({ body: ping })).status),
  );
  expect(new Set(statuses)).toEqual(new Set([401]));
  bin.kill('SIGTERM');
  await bin.exit();
  const lines = bin.stderr.split('\n').filter((line) => line.includes('"client.refused"'));
  expect(lines).toHaveLength(21);
  expect(JSON.parse(lines.at(-1) ?? '{}')).toMatchObject({ address: '127.0.0.1', omitted: 40 });
});

describe('--listen-token-file', () => {
  it('--listen-token-file is read again when it changes, and an unusable file changes nothing', async () => {
    const { home } = await makeTempHome();
    const file = join(home, 'tokens');
    await writeFile(file, `# who may call\nci = ${TOKEN}\n`);
    const { ask, url, bin } = await startListening({
      args: ['--listen-token-file', file],
      behaviour: (request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        if (request.method === 'POST') response.end('data: {"jsonrpc":"2.0","id":0,"result":{}}\n\n');
      },
    });
    const statuses = async () =>
      Promise.all(
        [TOKEN, OTHER].map(async (token) => (await ask({ headers: bearer(token), body: ping })).status),
      );
    expect(await statuses()).toEqual([200, 401]);
    const stream = await open(url, {
      method: 'GET',
      headers: { ...bearer(TOKEN), accept: 'text/event-stream' },
    });
    const cut = new Promise((resolve) => stream.response.on('close', resolve));
    stream.response.on('error', () => undefined).resume();

    await writeFile(file, `ci=${TOKEN}\nalice@example.com=${OTHER}\n`);
    await bin.stderrMatching(/"names":\["ci","alice@example.com"\]/);
    expect(await statuses()).toEqual([200, 200]);

    await writeFile(file, `ci=${TOKEN}\nbob=short\n`);
    await bin.stderrMatching(/"listener.tokens-unusable"/);
    expect(bin.stderr).toMatch(/line 2: the secret needs at least 16 characters/);
    expect(await statuses()).toEqual([200, 200]);

    await writeFile(file, `alice@example.com=${OTHER}\n`);
    await bin.stderrMatching(/"names":\["alice@example.com"\]/);
    expect(await statuses()).toEqual([401, 200]);
    // The stream ends when the token that opened it does.
    await cut;
    for (const secret of [TOKEN, OTHER]) expect(bin.stderr).not.toContain(secret);
  });

  it("--listen-token-file gives the caller's name in events", async () => {
    const { home } = await makeTempHome();
    const file = join(home, 'tokens');
    await writeFile(file, `ci=${TOKEN}\n`);
    const { ask, bin } = await startListening({
      args: ['--listen-token-file', file, '--deny-tool', 'delete_*'],
    });
    const params = { name: 'delete_all' };
    const refused = await ask({
      headers: bearer(TOKEN),
      body: { jsonrpc: '2.0', id: 0, method: 'tools/call', params },
    });
    expect(refused.json.error).toMatchObject({ data: { reason: 'tool-refused' } });
    await bin.stderrMatching(/"tool.call-refused"/);
    const line = bin.stderr.split('\n').find((text) => text.includes('"tool.call-refused"')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ tool: 'delete_all', address: '127.0.0.1', token: 'ci' });
  });
});
