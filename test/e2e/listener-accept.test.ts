import { describe, expect, it } from 'vitest';
import { eventsOf, open, send } from '../support/http-client.ts';
import { openSession, startListener, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { startSdkServer } from '../support/sdk-servers.ts';
import { signingVerify } from '../support/signing.ts';
import { startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const BOTH = 'application/json, text/event-stream';
const JSON_ONLY = { accept: 'application/json' };
const EVENTS_ONLY = { accept: 'text/event-stream' };
const call = (name: string, id: unknown = 0, meta = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {}, _meta: meta },
});
const answer = { jsonrpc: '2.0', id: 0, result: { big: 1 } };

describe('Accept of requests that the listener sends upstream', () => {
  it.each([undefined, '*/*', 'application/json', 'text/event-stream', BOTH, 'text/event-stream, */*'])(
    'the server receives both media types in Accept if the listener client sends Accept %s',
    async (accept) => {
      const { url, server } = await startListening({
        behaviour: (request, response) => {
          const strict = request.headers.accept === BOTH;
          sendJson(response, strict ? 200 : 406, strict ? answer : { error: 'Not Acceptable' });
        },
      });
      const headers = { 'content-type': 'application/json', ...(accept ? { accept } : {}) };
      // `open` adds headers that MCP requires; this request must go without them.
      const answered = await fetch(url, { method: 'POST', headers, body: JSON.stringify(call('any')) });
      expect(answered.status).toBe(200);
      expect(server.requests[0]?.headers.accept).toBe(BOTH);
    },
  );

  it('the server receives Accept: text/event-stream alone for GET and for resumptions', async () => {
    const { url, server } = await startListening({
      behaviour: (_request, response) => new EventWriter(response).end(),
    });
    for (const accept of ['*/*', 'text/event-stream', BOTH]) {
      expect((await send(url, { method: 'GET', headers: { accept } })).status).toBe(200);
    }
    expect(server.of('GET').map(({ headers }) => headers.accept)).toEqual(Array(3).fill('text/event-stream'));
  });
});

describe('a listener client that accepts JSON only', () => {
  it.each([0, '', -1])(
    'a JSON-only listener client gets the single message of an event stream as JSON: id %j',
    async (id) => {
      const text = `{ "jsonrpc":"2.0","id":${JSON.stringify(id)}, "result":{"n":12345678901234567890,"f":1.0} }`;
      const { ask } = await startListening({
        behaviour: (_request, response) => {
          response.setHeader('mcp-session-id', 'of the server');
          const events = new EventWriter(response);
          events.prime('1');
          events.send(text, '2');
          events.end();
        },
      });
      const got = await ask({ headers: JSON_ONLY, body: call('any', id) });
      expect([got.status, got.text]).toEqual([200, text]);
      expect(got.headers).toMatchObject({
        'content-type': 'application/json',
        'mcp-session-id': 'of the server',
      });
    },
  );

  it('a JSON-only listener client opens a session with a strict server and works in it', async () => {
    for (const generation of ['v1', 'v2'] as const) {
      const target = await startSdkServer(generation);
      const proxy = await VerifyingProxy.start(target.url, signingVerify);
      const { ask } = await startListener(proxy.url);
      const asJson: typeof ask = (question) =>
        ask({ ...question, headers: { ...question.headers, ...JSON_ONLY } });
      const headers = await openSession(asJson);
      const listed = await asJson({ headers, body: { jsonrpc: '2.0', id: '', method: 'tools/list' } });
      expect(listed.json).toMatchObject({ id: '', result: { tools: expect.any(Array) } });
      const body = { ...call('add', -1), params: { name: 'add', arguments: { a: 1, b: 2 } } };
      expect((await asJson({ headers, body })).json).toMatchObject({
        id: -1,
        result: { content: [{ text: '3' }] },
      });
      expect(proxy.refused).toEqual([]);
    }
  });

  it('a JSON-only listener client works with a strict server of revision 2026-07-28', async () => {
    const target = await startSuiteServer('stateless');
    const proxy = await VerifyingProxy.start(target.url, signingVerify);
    const { ask } = await startListener(proxy.url);
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '0' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const headers = {
      ...JSON_ONLY,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'test_simple_text',
    };
    const got = await ask({ headers, body: call('test_simple_text', 0, meta) });
    expect(got.headers['content-type']).toMatch(/^application\/json/);
    expect(got.json).toMatchObject({ id: 0, result: { content: [{ type: 'text' }] } });
  });

  it('a JSON-only listener client gets the response without the notifications before it', async () => {
    const { ask } = await startListening({
      behaviour: (_request, response) => {
        const events = new EventWriter(response);
        events.send({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: 'x' },
        });
        events.send({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: 0, progress: 1 },
        });
        events.send(answer);
        events.end();
      },
    });
    const got = await ask({ headers: JSON_ONLY, body: call('any', 0, { progressToken: 0 }) });
    expect([got.headers['content-type'], got.json]).toEqual(['application/json', answer]);
  });

  it('a server request to a JSON-only client is refused at once, and the server can still answer the call', async () => {
    const asked = [
      { jsonrpc: '2.0', id: 0, method: 'elicitation/create', params: { message: 'Who?' } },
      { jsonrpc: '2.0', id: '', method: 'ping' },
    ];
    let release: (message: object) => void = () => undefined;
    const { ask, server } = await startListening({
      behaviour: async (request, response) => {
        if (request.rpc.method === undefined) {
          response.writeHead(202).end();
          release(request.rpc);
          return;
        }
        const events = new EventWriter(response);
        const heard: object[] = [];
        for (const question of asked) {
          const told = new Promise<object>((resolve) => {
            release = resolve;
          });
          events.send(question);
          heard.push(await told);
        }
        events.send({ jsonrpc: '2.0', id: request.rpc.id, result: { heard } });
        events.end();
      },
    });
    const headers = { ...JSON_ONLY, 'mcp-session-id': 's' };
    const got = await ask({ headers, body: call('asks', -1) });
    expect(got.json).toMatchObject({
      id: -1,
      result: {
        heard: [
          { id: 0, error: { code: -32600, message: expect.stringContaining('elicitation/create') } },
          { id: '', result: {} },
        ],
      },
    });
    expect(server.requests.every(({ headers: sent }) => sent['mcp-session-id'] === 's')).toBe(true);
  });

  it('a JSON-only listener client gets the response of a stream that its server ended and resumes on a GET', async () => {
    const { ask, server } = await startListening({
      behaviour: (request, response) => {
        const events = new EventWriter(response);
        if (request.method === 'GET') events.send(answer, '2');
        else events.prime('1', 10);
        events.end();
      },
    });
    const got = await ask({ headers: { ...JSON_ONLY, 'mcp-session-id': 's' }, body: call('any') });
    expect([got.status, got.json]).toEqual([200, answer]);
    expect(server.of('GET')[0]?.headers).toMatchObject({
      accept: 'text/event-stream',
      'last-event-id': '1',
      'mcp-session-id': 's',
    });
    expect(server.of('tools/call').length).toBe(1);
  });

  it('a JSON-only listener client gets a batch as JSON, whatever the server sends', async () => {
    const { ask } = await startListening({ session: { answerWith: 'sse' } });
    const headers = { ...(await openSession(ask)), 'mcp-protocol-version': '2025-03-26', ...JSON_ONLY };
    const body = [
      { jsonrpc: '2.0', id: 0, method: 'ping' },
      { jsonrpc: '2.0', id: '', method: 'ping' },
    ];
    const got = await ask({ headers, body });
    expect(JSON.parse(got.text)).toEqual([
      { jsonrpc: '2.0', id: 0, result: {} },
      { jsonrpc: '2.0', id: '', result: {} },
    ]);
  });

  it('a subscription of a JSON-only listener client is refused with 406 and the missing type, and not sent', async () => {
    const { ask, server } = await startListening();
    const params = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }, notifications: {} };
    const got = await ask({
      headers: JSON_ONLY,
      body: { jsonrpc: '2.0', id: 0, method: 'subscriptions/listen', params },
    });
    expect(got.status).toBe(406);
    expect(got.json).toMatchObject({
      id: 0,
      error: { code: -32600, message: expect.stringMatching(/text\/event-stream/) },
    });
    expect(server.requests).toEqual([]);
  });
});

describe('a listener client that accepts event streams only', () => {
  it.each([0, '', -1])(
    'a stream-only listener client gets a JSON response as an event: id %j',
    async (id) => {
      const { ask } = await startListening({
        behaviour: (_request, response) =>
          sendJson(response, 200, `{"jsonrpc":"2.0",\n"id":${JSON.stringify(id)},"result":{"f":1.0}}`),
      });
      const got = await ask({ headers: EVENTS_ONLY, body: call('any', id) });
      expect([got.status, got.headers['content-type']]).toEqual([200, 'text/event-stream']);
      expect(got.text).toBe(
        `event: message\ndata: {"jsonrpc":"2.0", "id":${JSON.stringify(id)},"result":{"f":1.0}}\n\n`,
      );
    },
  );

  it('a stream-only listener client gets an event stream unchanged, with its ids', async () => {
    const { url } = await startListening({
      behaviour: (_request, response) => {
        const events = new EventWriter(response);
        events.prime('1', 500);
        events.send(answer, '2');
        events.end();
      },
    });
    const got = await send(url, { headers: EVENTS_ONLY, body: call('any') });
    expect(got.text).toContain('id: 1\nretry: 500\ndata:\n\nid: 2\nevent: message\n');
  });

  it('a stream-only listener client gets a batch as events, and errors as every client does', async () => {
    const { ask } = await startListening();
    const headers = { ...(await openSession(ask)), 'mcp-protocol-version': '2025-03-26', ...EVENTS_ONLY };
    const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });
    const got = await ask({ headers, body: [ping(0), ping('')] });
    expect(eventsOf(got.text).map(({ id }) => id)).toEqual([0, '']);
    const wrong = await ask({ headers, body: '{' });
    expect([wrong.status, wrong.headers['content-type']]).toEqual([400, 'application/json']);
  });
});

it.each(['text/html', 'application/json;q=0', 'image/*, application/xml'])(
  'Accept %s of a listener client is refused with 406 and the missing types, and nothing is sent',
  async (accept) => {
    const { ask, server } = await startListening();
    const got = await ask({ headers: { accept }, body: call('any') });
    expect(got.status).toBe(406);
    const { message } = got.json.error as { message: string };
    expect(message).toContain('application/json');
    expect(message).toContain('text/event-stream');
    expect(server.requests).toEqual([]);
  },
);

describe('the path of the listener', () => {
  const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };

  it.each<[args: string[], served: string[], not: string[]]>([
    [[], ['/mcp', '/mcp/', '/mcp?x=1', '/mcp/?x=1'], ['/', '/mcp/x', '/mcp//', '/MCP']],
    [
      ['--listen-path', '/a/b'],
      ['/a/b', '/a/b/'],
      ['/mcp', '/a', '/a/b/c'],
    ],
    [['--listen-path', '/a/'], ['/a', '/a/'], ['/mcp']],
    [
      ['--listen-path', '/'],
      ['/', '/?x'],
      ['/mcp', '//'],
    ],
  ])('the listener with the options %j serves the paths %j and no other', async (args, served, not) => {
    const { url, server } = await startListening({
      behaviour: (request, response) =>
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} }),
      args,
    });
    for (const path of served) expect((await send(new URL(path, url).href, { body: ping })).status).toBe(200);
    expect(server.requests.length).toBe(served.length);
    for (const path of not) {
      const { status, json } = await send(new URL(url).origin + path, { body: ping });
      expect(status).toBe(404);
      expect(JSON.stringify(json)).toContain('--listen-path');
    }
    expect(server.requests.length).toBe(served.length);
    expect((await send(new URL('/healthz', url).href, { method: 'GET' })).status).toBe(200);
  });

  it('a listener path with a trailing slash serves GET streams and DELETE too', async () => {
    const { url, ask, mcp } = await startListening();
    const headers = await openSession(ask);
    const slashed = `${url}/`;
    const { response } = await open(slashed, { method: 'GET', headers: { ...headers, ...EVENTS_ONLY } });
    expect(response.statusCode).toBe(200);
    expect((await send(slashed, { method: 'DELETE', headers })).status).toBe(200);
    expect(mcp.sessions.size).toBe(0);
  });
});
