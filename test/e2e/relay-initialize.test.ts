import { describe, expect, it } from 'vitest';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { startInitialized, startRelayed } from '../support/relayed.ts';

const json = (text: string, status = 200, headers: Record<string, string> = {}): Record<string, Handler> => ({
  initialize: (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  },
});

describe('the result of initialize', () => {
  it('the result of initialize passes verbatim, including unknown members', async () => {
    const text =
      '{"jsonrpc":"2.0","id":0,"result":{"instructions":"Sei nett","capabilities":{"x":{"n":1.0}},"_meta":{"big":9007199254740993},"serverInfo":{},"protocolVersion":"2025-06-18"}}';
    const { bin } = await startRelayed({ on: json(text) });
    await bin.request('initialize', {}, 0);
    expect(bin.lines).toEqual([text]);
  });

  it('an error of initialize opens no session, and the client can initialize with another revision', async () => {
    const error = {
      code: -32022,
      message: 'Unsupported protocol version',
      data: { supported: ['2026-07-28'], requested: '2025-11-25' },
    };
    let refusals = 0;
    const { server, mcp, bin } = await startRelayed({
      on: {
        initialize: (_request, response, { fallback }) =>
          refusals++ === 0
            ? sendJson(response, 400, JSON.stringify({ jsonrpc: '2.0', id: null, error }))
            : fallback(),
      },
    });
    expect(await bin.request('initialize', {}, '')).toEqual({ jsonrpc: '2.0', id: '', error });
    await bin.initialize({}, 0);
    expect(await bin.request('tools/list', {}, -1)).toMatchObject({ result: {} });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(mcp.deleted).toHaveLength(1);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('the result of initialize can come in an event stream with other messages, with the session id in its headers', async () => {
    const { server, bin } = await startRelayed({
      on: {
        initialize: (request, response, { server: mcp }) => {
          mcp.sessions.set('of-the-stream', {
            id: 'of-the-stream',
            initializeParams: {},
            initialized: false,
            streams: new Set(),
          });
          response.setHeader('MCP-Session-Id', 'of-the-stream');
          const events = new EventWriter(response);
          events.prime('event-1');
          events.send({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
          const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: {} };
          events.send({ jsonrpc: '2.0', id: request.rpc.id, result });
          events.end();
        },
      },
    });
    await bin.initialize({}, 0);
    await bin.request('ping', {}, 'after');
    expect(bin.messages.map(({ id, method }) => id ?? method)).toEqual(['notifications/message', 0, 'after']);
    expect(server.of('ping')[0]?.headers).toMatchObject({
      'mcp-session-id': 'of-the-stream',
      'mcp-protocol-version': '2025-06-18',
    });
  });

  it.each([
    [
      'a session id that is no visible ASCII',
      { 'mcp-session-id': 'two words' },
      '"2025-11-25"',
      undefined,
      '2025-11-25',
    ],
    ['a revision that is no text', { 'mcp-session-id': 'good' }, '7', 'good', undefined],
    ['a revision that no header can hold', { 'mcp-session-id': 'good' }, '"a\\r\\nb: c"', 'good', undefined],
    ['an empty session id', { 'mcp-session-id': '' }, '"2025-11-25"', undefined, '2025-11-25'],
  ])(
    'an initialize result with %s works, and the unusable value is not sent back',
    async (_what, headers, version, id, revision) => {
      const text = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":${version},"capabilities":{},"serverInfo":{}}}`;
      const { server, bin } = await startRelayed({
        on: {
          ...json(text, 200, headers),
          ping: (_request, _response, { result }) => result({}),
        },
      });
      await bin.request('initialize', {}, 0);
      await bin.request('ping', {}, 'after');
      const sent = server.of('ping')[0]?.headers;
      expect(sent?.['mcp-session-id']).toBe(id);
      expect(sent?.['mcp-protocol-version']).toBe(revision);
    },
  );

  it('every failure of initialize returns one error, and the client can send initialize again', async () => {
    const ways: Handler[] = [
      (_request, response) => void response.destroy(),
      (_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(),
      (_request, response) => void response.writeHead(503).end('Service Unavailable'),
      (_request, _response, { fallback }) => fallback(),
    ];
    let way = 0;
    const { bin } = await startRelayed({
      args: ['--retries', '0'],
      on: { initialize: (request, response, context) => ways[way++]?.(request, response, context) },
    });
    const reasons: unknown[] = [];
    for (const id of ['a', 'b', 'c', 'd']) {
      const { error } = await bin.request('initialize', {}, id);
      reasons.push((error as { data?: { reason?: string } } | undefined)?.data?.reason);
    }
    expect(reasons).toEqual(['connection-lost', 'unusable-answer', 'http-status', undefined]);
    expect(bin.messages).toHaveLength(4);
  });
});

describe('a request without initialize', () => {
  it("a request without initialize is sent without session headers, and the server's error returns under its id", async () => {
    const { server, bin } = await startRelayed();
    expect(await bin.request('tools/list', {}, 0)).toEqual({
      jsonrpc: '2.0',
      id: 0,
      error: { code: -32000, message: 'Bad Request: Mcp-Session-Id header is required' },
    });
    expect(server.requests[0]?.headers['mcp-session-id']).toBeUndefined();
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('DELETE')).toEqual([]);
  });
});

describe('the media type of a response', () => {
  it.each(['application/json; charset=utf-8', 'Application/JSON', 'application/json ;x=y'])(
    'a response of type "%s" is read as JSON',
    async (type) => {
      const { bin } = await startInitialized({
        on: {
          'tools/call': (_request, response) => {
            response.writeHead(200, { 'content-type': type }).end('{"jsonrpc":"2.0","id":0,"result":{}}');
          },
        },
      });
      expect(await bin.request('tools/call', {}, 0)).toEqual({ jsonrpc: '2.0', id: 0, result: {} });
    },
  );

  it.each(['text/event-stream; charset=utf-8', 'TEXT/Event-Stream'])(
    'a response of type "%s" is read as an event stream',
    async (type) => {
      const { bin } = await startInitialized({
        on: {
          'tools/call': (_request, response) => {
            response.writeHead(200, { 'content-type': type });
            response.end('data: {"jsonrpc":"2.0","id":0,"result":{}}\n\n');
          },
        },
      });
      expect(await bin.request('tools/call', {}, 0)).toEqual({ jsonrpc: '2.0', id: 0, result: {} });
    },
  );
});

describe('a notification from the client', () => {
  it.each([200, 202, 204, 307, 400, 404, 500])(
    'a notification that the server answers with HTTP %i produces no message to the client',
    async (status) => {
      const { bin } = await startInitialized({
        on: {
          'notifications/vendor': (_request, response) => {
            response.writeHead(status, { 'content-type': 'application/json' });
            response.end(
              status === 204 ? '' : '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}',
            );
          },
        },
      });
      bin.notify('notifications/vendor');
      expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      expect(bin.messages.map(({ id }) => id)).toEqual(['handshake', 'after']);
      expect(bin.stderr).toBe('');
    },
  );

  it('notifications are sent in the order in which the client wrote them', async () => {
    const { server, bin } = await startInitialized();
    for (let n = 0; n < 20; n++) bin.notify('notifications/vendor', { n });
    await server.until(
      (requests) => requests.filter(({ rpc }) => rpc.method === 'notifications/vendor').length === 20,
    );
    expect(server.of('notifications/vendor').map(({ rpc }) => rpc.params?.n)).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
  });
});
