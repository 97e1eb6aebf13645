import * as http from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { open, send } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const TOKEN = 'a-token-of-enough-characters';
const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };
const claiming = (message: { params: object }) => ({
  ...message,
  params: {
    ...message.params,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
});
const call = (id: unknown = 0) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any' } });

/** Sends bytes on a connection of its own; returns all that comes back until either side closes it. */
function raw(url: string, bytes: string | Buffer, { end = false } = {}): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  afterThisTest(() => void socket.destroy());
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    socket.on('error', reject).on('close', () => resolve(text));
    if (end) socket.end(bytes);
    else socket.write(bytes);
  });
}

const errorIn = (text: string): { code: number; message: string } =>
  (JSON.parse(text.slice(text.indexOf('{'))) as { error: { code: number; message: string } }).error;

describe('requests that the listener rejects', () => {
  it.each([
    ['a foreign Host', { host: 'evil.example' }, '--allowed-host'],
    ['a foreign Host that looks like a local one', { host: 'localhost.evil.example' }, '--allowed-host'],
    ['a foreign page', { origin: 'https://evil.example' }, '--allowed-origin'],
    ['a page of nowhere', { origin: 'null' }, '--allowed-origin'],
  ])(
    'a request with %s gets a 403 error without id and is not sent to the server',
    async (_what, headers, option) => {
      const { url, server } = await startListening();
      for (const method of ['POST', 'GET', 'DELETE', 'OPTIONS']) {
        const refused = await send(url, { method, headers, ...(method === 'POST' ? { body: ping } : {}) });
        expect(refused.status).toBe(403);
        expect(refused.json).toMatchObject({ jsonrpc: '2.0', error: { code: -31022 } });
        expect(refused.json).not.toHaveProperty('id');
        expect(refused.text).toContain(option);
        expect(refused.headers).not.toHaveProperty('access-control-allow-origin');
      }
      expect(server.requests).toEqual([]);
    },
  );

  it('a request with no token or a wrong one gets 401 with the required scheme', async () => {
    const { ask, url, server, bin } = await startListening({ env: { MCP_PROXY_LISTEN_TOKEN: TOKEN } });
    for (const headers of [{}, { authorization: `Bearer ${TOKEN}x` }, { authorization: `Basic ${TOKEN}` }]) {
      const refused = await ask({ headers, body: ping });
      expect([refused.status, refused.headers['www-authenticate']]).toEqual([401, 'Bearer']);
      expect(refused.json).toMatchObject({ error: { code: -31022 } });
    }
    expect(server.requests).toEqual([]);
    const allowed = await ask({ headers: { authorization: `Bearer ${TOKEN}` }, body: ping });
    // The server's own response that there is no session.
    expect(allowed.status).toBe(400);
    expect(server.requests[0]?.headers.authorization).toMatch(/^AWS4/);
    expect((await send(new URL('/healthz', url).href, { method: 'GET' })).status).toBe(200);
    expect(bin.stderr).not.toContain(TOKEN);
  });

  it('--allowed-host and --allowed-origin admit the hosts and origins that they name', async () => {
    const names = ['--allowed-host', 'mcp.example.com', '--allowed-origin', 'https://app.example.com'];
    const { ask, url } = await startListening({ args: names });
    const page = { host: 'mcp.example.com', origin: 'https://app.example.com' };
    const asked = await send(url, {
      method: 'OPTIONS',
      headers: { ...page, 'access-control-request-headers': 'mcp-session-id' },
    });
    expect([asked.status, asked.headers['access-control-allow-headers']]).toEqual([204, 'mcp-session-id']);
    const answered = await ask({ headers: page, body: ping });
    expect(answered.status).toBe(400);
    expect(answered.headers['access-control-allow-origin']).toBe('https://app.example.com');
  });
});

describe('an invalid request to the listener', () => {
  it.each([
    ['no JSON', '{', -32700],
    ['nothing', '', -32700],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), -32700],
    ['no message', '{"hello":1}', -32600],
    ['an empty batch', '[]', -32600],
    ['a batch of millions', `[${'0,'.repeat(4_000_000)}0]`, -32600],
    ['an id of no kind', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
    ['a key that decides, twice', '{"jsonrpc":"2.0","id":0,"method":"ping","method":"tools/call"}', -32600],
    [
      'a request with another spelling of a key that decides',
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"read_file","Name":"delete_file"}}',
      -32600,
    ],
    ['a notification with another spelling of id', '{"jsonrpc":"2.0","ID":0,"method":"tools/call"}', -32600],
    [
      'a response with another spelling of method',
      '{"jsonrpc":"2.0","id":0,"result":{},"Method":"x"}',
      -32600,
    ],
  ])('the body %s gets 400 and is not sent', async (_what, body, code) => {
    const { ask, server } = await startListening();
    const refused = await ask({ body });
    expect([refused.status, refused.json.error]).toMatchObject([400, { code }]);
    expect(server.requests).toEqual([]);
  });

  it.each([
    ['another path', 'POST', '/', {}, 404],
    ['a client that looks for a login', 'GET', '/.well-known/oauth-authorization-server', {}, 404],
    ['another method', 'PUT', '/mcp', {}, 405],
    ['a GET that takes no events', 'GET', '/mcp', { accept: 'application/json' }, 406],
    ['a POST that takes no answer', 'POST', '/mcp', { accept: 'image/png' }, 406],
    ['a body of another type', 'POST', '/mcp', { 'content-type': 'text/plain' }, 415],
    ['a compressed body', 'POST', '/mcp', { 'content-encoding': 'gzip' }, 415],
  ])(
    'an invalid HTTP request to the listener gets its 4xx status: %s',
    async (_what, method, path, headers, status) => {
      const { url, server } = await startListening();
      const body = method === 'POST' ? { body: ping } : {};
      const refused = await send(new URL(path, url).href, { method, headers, ...body });
      expect([refused.status, refused.json.error]).toMatchObject([status, { code: -32600 }]);
      if (status === 405) expect(refused.headers.allow).toBe('GET, POST, DELETE');
      expect(server.requests).toEqual([]);
    },
  );

  it('bytes that are not HTTP get 400, and other clients are unaffected', async () => {
    const { url, ask } = await startListening();
    expect(await raw(url, 'HELO there\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(url, Buffer.from([0x16, 0x03, 0x01, 0x00, 0xa5]), { end: true })).toMatch(/400|^$/);
    expect(await raw(url, 'POST /mcp HTTP/1.1\r\nHost: localhost\r\n', { end: true })).toBeDefined();
    expect((await ask({ body: ping })).status).toBe(400);
  });
});

describe('the size limits of the listener', () => {
  it('a body over the limit gets 413, with and without a Content-Length', async () => {
    const { ask, url, server } = await startListening({ args: ['--max-body', '2048'] });
    const long = JSON.stringify({ ...call(), filler: 'x'.repeat(4_096) });
    const received = await ask({ body: long });
    expect([received.status, received.json.error]).toMatchObject([
      413,
      { code: -31023, data: { limit: 2_048 } },
    ]);
    const chunked = await ask({ headers: { 'transfer-encoding': 'chunked' }, body: long });
    expect(chunked.status).toBe(413);
    const fits = await ask({ body: { ...call(), filler: 'x'.repeat(1_024) } });
    expect(fits.status).toBe(400);
    expect(server.requests.length).toBe(1);
    // With Expect: 100-continue, the client gets the error before it has sent the body.
    const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n`;
    const text = await raw(url, head);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(errorIn(text).code).toBe(-31023);
  });

  it('Expect: 100-continue gets 100 if the body is within the limit', async () => {
    const { url } = await startListening();
    const body = JSON.stringify(ping);
    const request = http.request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', expect: '100-continue', 'content-length': body.length },
      agent: false,
    });
    afterThisTest(() => void request.destroy());
    const answered = new Promise<number | undefined>((resolve, reject) => {
      request.on('continue', () => request.end(body));
      request.on('response', (response) => resolve(response.statusCode)).on('error', reject);
    });
    request.flushHeaders();
    expect(await answered).toBe(400);
  });

  it('a request head over the limit gets 431', async () => {
    const { url } = await startListening({ args: ['--max-headers', '4096'] });
    const text = await raw(
      url,
      `GET /mcp HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(8_192)}\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
    expect(errorIn(text).message).toContain('--max-headers');
  });

  it('clients over the limit get 503, and health checks are still answered', async () => {
    const gate = makeGate();
    const { ask, url, server } = await startListening({
      args: ['--max-clients', '2'],
      behaviour: async (_request, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: 0, result: {} });
      },
    });
    const served = [ask({ body: call() }), ask({ body: call() })];
    await server.until((requests) => requests.length === 2);
    const third = await ask({ body: call() });
    expect([third.status, third.headers['retry-after']]).toEqual([503, '1']);
    expect(third.json.error).toMatchObject({
      code: -31024,
      data: { reason: 'listener-full', retryAfterMs: 1_000 },
    });
    expect((await send(new URL('/readyz', url).href, { method: 'GET' })).status).toBe(200);
    gate.open();
    for (const { status } of await Promise.all(served)) expect(status).toBe(200);
    expect((await ask({ body: call() })).status).toBe(200);
  });

  it('pipelined requests on one connection count one by one', async () => {
    const { url, server } = await startListening({
      args: ['--max-clients', '3'],
      behaviour: () => undefined,
    });
    const body = JSON.stringify(call());
    const one = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    void raw(url, one.repeat(10));
    await server.until((requests) => requests.length === 1);
    // A second connection finds all places taken; pipelined requests are relayed in turn.
    expect((await send(url, { body: call() })).status).toBe(503);
    expect(server.requests.length).toBe(1);
  });
});

describe('a session of a listener client', () => {
  it('an unknown or deleted session is refused by the server, not by the listener', async () => {
    const { ask, mcp } = await startListening();
    const headers = await openSession(ask);
    const foreign = await ask({ headers: { ...headers, 'mcp-session-id': 'of-another' }, body: ping });
    expect([foreign.status, foreign.json.error]).toMatchObject([404, { code: -32001 }]);
    expect((await ask({ headers, body: ping })).status).toBe(200);
    mcp.forgetSessions();
    expect((await ask({ headers, body: ping })).status).toBe(404);
    // As MCP requires, the client opens a new session.
    const again = await openSession(ask);
    expect((await ask({ headers: again, body: ping })).status).toBe(200);
  });

  it('GET and DELETE without a session id are refused by the server', async () => {
    const { url } = await startListening();
    for (const method of ['GET', 'DELETE']) {
      const answer = await send(url, { method, headers: { accept: 'text/event-stream' } });
      expect([method, answer.status, answer.json.error]).toMatchObject([method, 400, { code: -32000 }]);
    }
  });
});

// MCP 2026-07-28, Streamable HTTP, Server Validation.
it.each([
  ['Mcp-Method', { 'mcp-method': 'tools/list' }, call('')],
  ['Mcp-Name', { 'mcp-method': 'tools/call', 'mcp-name': 'other' }, call(-1)],
  ['Mcp-Name', { 'mcp-name': 'any, any' }, call(0)],
  ['Mcp-Name', { 'mcp-name': '=?base64?YW55?' }, call(0)],
  ['Mcp-Name', { 'mcp-name': 'any' }, ping],
  ['MCP-Protocol-Version', { 'mcp-protocol-version': '2025-11-25' }, claiming(call(0))],
  ['Mcp-Method', { 'mcp-method': 'ping' }, { jsonrpc: '2.0', id: 0, result: {} }],
  ['Mcp-Method', { 'mcp-method': 'ping' }, { jsonrpc: '2.0', method: 'notifications/initialized' }],
  ['Mcp-Method', { 'mcp-method': 'ping' }, [ping, call(1)]],
])(
  'a header %s that differs from the body gets 400 and -32020, and is not sent: %j',
  async (header, headers, body) => {
    const { ask, server } = await startListening();
    const answer = await ask({ headers, body });
    expect([answer.status, answer.json.error]).toMatchObject([
      400,
      { code: -32020, data: { reason: 'header-mismatch', header } },
    ]);
    const asked = 'method' in body && 'id' in body ? body.id : undefined;
    expect(answer.json.id).toBe(asked);
    expect(server.requests).toEqual([]);
  },
);

it('a header Mcp-Param without a counterpart in the body gets 400, also for an unknown tool or method', async () => {
  const { ask, server } = await startListening();
  const given = { ...call(0), params: { name: 'any', arguments: { deep: [{ region: 'eu-west-1' }], n: 0 } } };
  const read = { jsonrpc: '2.0', id: -1, method: 'resources/read', params: { uri: 'file:///a' } };
  for (const [body, value] of [
    [given, 'us-east-1'],
    [given, '=?base64?ZXUtd2VzdC0y?='],
    [given, '=?base64?not base64?='],
    [given, ''],
    [read, 'us-east-1'],
  ] as const) {
    const refused = await ask({ headers: { 'mcp-param-region': value }, body });
    expect([value, refused.status, refused.json.error]).toMatchObject([value, 400, { code: -32020 }]);
  }
  expect(server.requests).toEqual([]);
  for (const value of ['eu-west-1', '=?base64?ZXUtd2VzdC0x?=', '0']) {
    await ask({ headers: { 'mcp-param-region': value }, body: given });
    expect(server.requests.at(-1)?.headers['mcp-param-region']).toBe(value);
  }
});

it('a header Mcp-Param of a known tool that differs from the argument gets 400 and is not sent', async () => {
  const region = { type: 'string', 'x-mcp-header': 'Region' };
  const tool = { name: 'any', inputSchema: { type: 'object', properties: { region } } };
  const { ask, server } = await startListening({
    behaviour: (request, response) =>
      sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: { tools: [tool] } }),
  });
  await ask({ body: { jsonrpc: '2.0', id: 0, method: 'tools/list' } });
  const body = { ...call(0), params: { name: 'any', arguments: { region: 'eu-west-1' } } };
  const refused = await ask({ headers: { 'mcp-param-region': 'us-east-1' }, body });
  expect([refused.status, refused.json.error]).toMatchObject([400, { code: -32020 }]);
  expect((await ask({ headers: { 'mcp-param-region': 'eu-west-1' }, body })).status).toBe(200);
  expect(server.of('POST').map(({ rpc }) => rpc.method)).toEqual(['tools/list', 'tools/call']);
});

it.each([
  ['cross-site', 'GET', 403],
  ['same-site', 'POST', 403],
  ['cross-site, none', 'GET', 403],
  ['anything', 'DELETE', 403],
  ['none', 'POST', 400],
  ['same-origin', 'POST', 400],
])('Sec-Fetch-Site: %s without an Origin, with %s, gets %i', async (site, method, status) => {
  const { url, server } = await startListening();
  const body = method === 'POST' ? { body: ping } : {};
  const headers = { 'sec-fetch-site': site, accept: 'application/json, text/event-stream' };
  const answer = await send(url, { method, headers, ...body });
  expect(answer.status).toBe(status);
  expect(server.requests.length).toBe(status === 403 ? 0 : 1);
  if (status === 403) expect(answer.text).toMatch(/Sec-Fetch-Site.*--allowed-origin/);
});

it('a page of another site whose Origin is allowed may use the listener', async () => {
  const { ask } = await startListening({ args: ['--allowed-origin', 'https://app.example.com'] });
  for (const site of ['cross-site', 'same-site']) {
    const headers = { origin: 'https://app.example.com', 'sec-fetch-site': site };
    expect((await ask({ headers, body: ping })).status).toBe(400);
  }
});

it('a listener client that disconnects ends its call, whether the call is queued or in flight', async () => {
  const gone = makeGate();
  const { url, ask, server } = await startListening({
    args: ['--max-connections', '1'],
    behaviour: (request, response) => {
      if (request.rpc.id !== 'first') return sendJson(response, 200, { jsonrpc: '2.0', id: 0, result: {} });
      response.on('close', gone.open);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    },
  });
  const { request: first } = await open(url, { body: call('first') });
  const waiting = http.request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  waiting.on('error', () => undefined).end(JSON.stringify(call('never sent')));
  const third = ask({ body: call('third') });
  // Another connection has been served since: both of the others are in the queue.
  await ask({ body: { jsonrpc: '2.0', id: 'p', method: 'ping' } });
  waiting.destroy();
  await ask({ body: { jsonrpc: '2.0', id: 'p', method: 'ping' } });
  first.destroy();
  await gone.opened;
  expect((await third).status).toBe(200);
  expect(server.of('tools/call').map(({ rpc }) => rpc.id)).toEqual(['first', 'third']);
});
