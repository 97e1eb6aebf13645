import { describe, expect, it } from 'vitest';
import { eventsOf, open, send, textOf } from '../support/http-client.ts';
import { openSession, startListener, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';

const call = (name: string, args: object = {}, id: unknown = 0) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

describe('a client of the listener', () => {
  it('a listener client has a session with the server, and each of its requests is signed', async () => {
    const { ask, server, mcp } = await startListening();
    const headers = await openSession(ask);
    expect(mcp.sessions.size).toBe(1);
    const listed = await ask({ headers, body: { jsonrpc: '2.0', id: '', method: 'tools/list' } });
    expect(listed.status).toBe(200);
    expect(listed.json).toMatchObject({ id: '', result: { tools: expect.any(Array) } });
    const added = await ask({ headers, body: call('echo', { text: 'hi' }, -1) });
    expect([added.status, added.json.id]).toEqual([200, -1]);
    const ended = await ask({ method: 'DELETE', headers });
    expect(ended.status).toBe(200);
    expect(mcp.deleted).toEqual([headers['mcp-session-id']]);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });

  it("a listener client gets the server's bytes and end-to-end headers", async () => {
    const body =
      '{ "jsonrpc":"2.0",\n\t"id":0, "result":{"n":12345678901234567890,"f":1.0,"é":"\\u00e9"} }\n';
    const { ask } = await startListening({
      behaviour: (_request, response) => {
        response.writeHead(200, {
          'content-type': 'application/json; charset=utf-8',
          'x-request-id': 'a, b',
          'x-accel-buffering': 'no',
          'mcp-session-id': 'theirs',
          'set-cookie': 'AWSALB=x',
          'set-cookie2': 'AWSALB=x',
          'www-authenticate': 'Bearer',
          'x-amz-security-token': 'x',
          location: 'https://elsewhere.example/',
          refresh: '0; url=https://elsewhere.example/',
          tracestate: 'a=1',
          connection: 'close, x-one-hop',
          'x-one-hop': 'yes',
        });
        response.end(body);
      },
    });
    const { text, headers } = await ask({ body: call('any') });
    expect(text).toBe(body);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-request-id': 'a, b',
      tracestate: 'a=1',
      'x-accel-buffering': 'no',
      'mcp-session-id': 'theirs',
    });
    for (const name of [
      'set-cookie',
      'set-cookie2',
      'www-authenticate',
      'x-amz-security-token',
      'location',
      'refresh',
      'x-one-hop',
    ])
      expect(headers).not.toHaveProperty(name);
  });

  it("a listener client's headers are forwarded, except hop-by-hop ones", async () => {
    const { ask, server } = await startListening({ args: ['--forward-header', 'X-Tenant'] });
    const headers = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': '=?base64?ZWNobw==?=',
      'mcp-param-region': '=?base64?ZQ==?=',
      'last-event-id': '7',
      traceparent: '00-1-2-03',
      tracestate: 'a=1',
      baggage: 'b=2',
      'x-tenant': 'c',
      'x-amzn-bedrock-agentcore-runtime-user-id': 'somebody else',
      'x-original-url': '/admin',
      'x-http-method-override': 'DELETE',
      mcp_session_id: 'of somebody else',
      'user-agent': 'a-client/1',
      authorization: 'Bearer of the client',
      cookie: 'a=b',
      'x-amz-security-token': 'of the client',
      'accept-encoding': 'gzip',
      'x-forwarded-for': '10.0.0.1',
    };
    await ask({ headers, body: call('echo', { region: 'e' }) });
    const [request] = server.requests;
    expect(request?.verification?.ok).toBe(true);
    expect(request?.headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': '=?base64?ZWNobw==?=',
      'mcp-param-region': '=?base64?ZQ==?=',
      'last-event-id': '7',
      traceparent: '00-1-2-03',
      tracestate: 'a=1',
      baggage: 'b=2',
      'x-tenant': 'c',
    });
    expect(request?.headers['user-agent']).toMatch(/^mcp-sigv4-proxy\/\S+ a-client\/1$/);
    expect(request?.headers.authorization).toMatch(/^AWS4/);
    for (const name of [
      'cookie',
      'accept-encoding',
      'x-forwarded-for',
      'x-amzn-bedrock-agentcore-runtime-user-id',
      'x-original-url',
      'x-http-method-override',
      'mcp_session_id',
    ]) {
      expect(request?.headers).not.toHaveProperty(name);
    }
  });

  it('a listener client gets events as they arrive', async () => {
    const gate = makeGate();
    const { url } = await startListening({
      behaviour: async (_request, response) => {
        const events = new EventWriter(response);
        events.prime('e1', 500);
        await gate.opened;
        events.send({ jsonrpc: '2.0', id: 0, result: {} }, 'e2');
        events.end();
      },
    });
    const { response } = await open(url, { body: call('slow') });
    expect(response.headers['content-type']).toBe('text/event-stream');
    let text = '';
    response.on('data', (chunk) => {
      text += chunk;
    });
    await expect.poll(() => text).toBe(': keepalive\n\nid: e1\nretry: 500\ndata:\n\n');
    text = '';
    gate.open();
    await expect.poll(() => response.complete).toBe(true);
    expect(text).toBe('id: e2\nevent: message\ndata: {"jsonrpc":"2.0","id":0,"result":{}}\n\n');
  });

  it('a listener client can use an id that is in flight in another request of its own or of others', async () => {
    const gate = makeGate();
    const { ask, server } = await startListening({
      behaviour: async (request, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: request.rpc.params });
      },
    });
    const answers = ['a', 'b', 'c'].map((name) => ask({ body: call(name, {}, 0) }));
    await server.until((requests) => requests.length === 3);
    gate.open();
    const names = (await Promise.all(answers)).map(({ json }) => (json.result as { name: string }).name);
    expect(names).toEqual(['a', 'b', 'c']);
  });

  it("the operating region is added to the metadata of a listener client's requests, as on stdio", async () => {
    const { ask, server } = await startListening({ args: ['--metadata', 'AWS_REGION=eu-west-1'] });
    await ask({ body: '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"n","big":1e400}}' });
    expect(server.requests[0]?.text).toContain('"big":1e400');
    expect(server.requests[0]?.json).toMatchObject({ params: { _meta: { AWS_REGION: 'eu-west-1' } } });
  });

  it('a listener client can open the standalone stream and resume others', async () => {
    const { ask, url, server, mcp } = await startListening();
    const headers = await openSession(ask);
    const accept = { accept: 'text/event-stream' };
    const { response } = await open(url, {
      method: 'GET',
      headers: { ...headers, ...accept, 'last-event-id': '3' },
    });
    expect(response.statusCode).toBe(200);
    mcp.broadcast({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }, '4');
    let stream = '';
    response.on('data', (chunk) => {
      stream += chunk;
    });
    await expect.poll(() => stream).toContain('id: 4\n');
    expect(server.of('GET')[0]?.headers['last-event-id']).toBe('3');
    // One stream for each session: this is the server's response, not the proxy's.
    const second = await send(url, { method: 'GET', headers: { ...headers, ...accept } });
    expect(second.status).toBe(409);
  });

  it.each([
    [
      'text/event-stream',
      ': hi\n\nid: 1\ndata:\n\ndata: {"jsonrpc":"2.0","id":"","result":{"tools":[ ]}}\n\n',
    ],
    ['application/json', '{ "jsonrpc": "2.0", "id": "",\n "result": {"tools": [ ]} }'],
  ])('a listener client gets a list as its server sends it, byte for byte: %s', async (type, sent) => {
    const { ask } = await startListening({
      behaviour: (_request, response) => void response.writeHead(200, { 'content-type': type }).end(sent),
      args: ['--sse-keepalive', '0'],
    });
    const listed = await ask({ body: { jsonrpc: '2.0', id: '', method: 'tools/list' } });
    expect([listed.headers['content-type'], listed.text]).toEqual([type, sent]);
  });

  it('a listener client resumes a list whose server closed the stream with a retry time', async () => {
    const { ask, url } = await startListening({
      behaviour: (request, response) => {
        const events = new EventWriter(response);
        if (request.method === 'GET') events.send({ jsonrpc: '2.0', id: 0, result: { tools: [] } }, '2');
        else events.raw('id: 1\nretry: 10\ndata:\n\n');
        events.end();
      },
    });
    const listed = await ask({ body: { jsonrpc: '2.0', id: 0, method: 'tools/list' } });
    expect([listed.status, listed.text]).toEqual([200, ': keepalive\n\nid: 1\nretry: 10\ndata:\n\n']);
    const headers = { accept: 'text/event-stream', 'last-event-id': '1' };
    const resumed = await send(url, { method: 'GET', headers });
    expect(eventsOf(resumed.text)).toEqual([{ jsonrpc: '2.0', id: 0, result: { tools: [] } }]);
  });

  it('a listener client can send a batch in a revision with batches', async () => {
    const { ask, server } = await startListening();
    const headers = { ...(await openSession(ask)), 'mcp-protocol-version': '2025-03-26' };
    const answer = await ask({
      headers,
      body: [
        { jsonrpc: '2.0', id: 0, method: 'ping' },
        { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
        call('nothing', {}, ''),
        { jsonrpc: '2.0', id: -1, method: 7 },
      ],
    });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject([
      { id: 0, result: {} },
      { id: '', error: { code: -32602 } },
      { id: -1, error: { code: -32600 } },
    ]);
    expect(server.requests.filter(({ json }) => Array.isArray(json))).toEqual([]);
    const received = await ask({
      headers,
      body: [{ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }],
    });
    expect([received.status, received.text]).toEqual([202, '']);
    const later = await ask({ headers: { 'mcp-protocol-version': '2025-06-18' }, body: [call('a')] });
    expect([later.status, later.json.error]).toMatchObject([400, { code: -32600 }]);
  });
});

describe("failures of a listener client's request", () => {
  it.each([
    [404, '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}'],
    [404, '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":0}'],
    [400, ' {"error":{"code":-32020,"message":"HeaderMismatch"},"id":"x"}'],
    [
      400,
      '{"jsonrpc":"2.0","id":0,"error":{"code":-32022,"message":"v","data":{"supported":["2025-11-25"]}}}',
    ],
    [404, ''],
    [405, 'no'],
  ])('an error of the server is relayed to the listener client: %i %s', async (status, body) => {
    const { ask } = await startListening({
      behaviour: (_request, response) => sendJson(response, status, body),
      args: ['--retries', '0'],
    });
    const answer = await ask({ body: call('any') });
    expect([answer.status, answer.text]).toEqual([status, body]);
  });

  it('an overload error of the server is retried, then relayed to the listener client with its Retry-After', async () => {
    let left = 1;
    const { ask, server } = await startListening({
      behaviour: (request, response) => {
        if (left-- > 0) return void response.writeHead(429, { 'retry-after': '0' }).end('slow down');
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
      args: ['--retry-mode', 'standard', '--retries', '1', '--retry-base-delay', '0'],
    });
    expect((await ask({ body: call('any') })).status).toBe(200);
    expect(server.requests.length).toBe(2);
    left = 2;
    const busy = await ask({ body: call('any', {}, '') });
    expect([busy.status, busy.headers['retry-after']]).toEqual([429, '1']);
    expect(busy.json).toMatchObject({ id: '', error: { code: -31003, data: { httpStatus: 429 } } });
  });

  it('a credential failure of the proxy does not ask the listener client to log in', async () => {
    const env = { AWS_SECRET_ACCESS_KEY: 'not-the-right-one', AWS_SESSION_TOKEN: '' };
    const { ask } = await startListening({ env });
    const answer = await ask({ body: call('any', {}, -7) });
    expect(answer.status).toBe(502);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    expect(answer.json).toMatchObject({ id: -7, error: { data: { reason: 'auth-rejected' } } });
  });

  it('a failed connection to the server is a 502 with the reason, and a call that broke off ends with it', async () => {
    const { ask, url, server } = await startListening({
      behaviour: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n', () =>
          response.destroy(),
        );
      },
    });
    const { response } = await open(url, { body: call('breaks') });
    expect(response.statusCode).toBe(200);
    expect(eventsOf(await textOf(response))).toMatchObject([
      { method: 'notifications/message' },
      { error: { data: { reason: 'connection-lost', mayHaveRun: true } } },
    ]);
    await server.close();
    const refused = await ask({ body: call('any', {}, 0) });
    expect(refused.status).toBe(502);
    expect(refused.json).toMatchObject({
      id: 0,
      error: { data: { reason: 'connect-failed', mayHaveRun: false } },
    });
  });

  it('a call over its time limit is a 504, and the server receives the cancellation', async () => {
    const { ask, server } = await startListening({
      behaviour: (request, response) => {
        if (request.rpc.id === undefined) response.writeHead(202).end();
      },
      args: ['--tool-timeout', '1'],
    });
    const late = await ask({ headers: { 'mcp-session-id': 's' }, body: call('hangs', {}, 0) });
    expect(late.status).toBe(504);
    expect(late.json).toMatchObject({ id: 0, error: { code: -31008, data: { mayHaveRun: true } } });
    const [cancelled] = await server
      .until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/cancelled'))
      .then(() => server.of('notifications/cancelled'));
    expect(cancelled?.rpc.params).toMatchObject({ requestId: 0 });
    expect(cancelled?.headers['mcp-session-id']).toBe('s');
  });

  it('a call over the queue limit is the overload error of stdio with status 503', async () => {
    const gate = makeGate();
    const { ask, server } = await startListening({
      behaviour: async (request, response) => {
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
      args: ['--max-concurrent', '1'],
    });
    const first = ask({ body: call('slow', {}, 0) });
    await server.until((requests) => requests.length === 1);
    const second = await ask({ body: call('any', {}, 0) });
    expect([second.status, second.headers['retry-after']]).toEqual([503, '1']);
    expect(second.json).toMatchObject({ id: 0, error: { code: -32001, message: 'SERVER_OVERLOADED' } });
    expect(Object.keys((second.json.error as { data: object }).data).length).toBe(7);
    gate.open();
    expect((await first).status).toBe(200);
  });
});

it('stdio and the listener are served together, and the end of stdin ends both', async () => {
  const { bin, ask, mcp } = await startListening({ args: ['--stdio'] });
  const [headers] = await Promise.all([openSession(ask), bin.initialize({}, 0)]);
  expect(mcp.sessions.size).toBe(2);
  const [stdio, http] = await Promise.all([
    bin.request('ping', undefined, ''),
    ask({ headers, body: { jsonrpc: '2.0', id: '', method: 'ping' } }),
  ]);
  expect([stdio.result, http.json.result]).toEqual([{}, {}]);
  bin.closeStdin();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  // The proxy had to delete the session of stdio; the client of the listener has to delete the other.
  expect(mcp.sessions.size).toBe(1);
});

it('the end of stdin does not end a listener without stdio', async () => {
  const { bin, ask } = await startListening();
  bin.send({ jsonrpc: '2.0', id: 0, method: 'ping' });
  bin.closeStdin();
  const headers = await openSession(ask);
  expect((await ask({ headers, body: { jsonrpc: '2.0', id: 1, method: 'ping' } })).status).toBe(200);
  expect(bin.lines).toEqual([]);
});

it('a healthy run of the listener writes nothing', async () => {
  const server = await ScriptedServer.start((_request, response) => sendJson(response, 200, {}), {
    verify: signingVerify,
  });
  const { bin, ask } = await startListener(server.url);
  await ask({ body: call('any') });
  const noise = bin.stderr.split('\n').filter((line) => line !== '' && !line.includes('"level":30'));
  expect(noise).toEqual([]);
});
