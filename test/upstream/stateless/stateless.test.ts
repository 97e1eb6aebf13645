import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import type { Origin } from '../../../src/core/pipeline/call.ts';
import { claiming, derivedHeaders, ENVELOPE, REVISION } from '../../support/claims.ts';
import { makeCall, messageOf } from '../../support/make-call.ts';
import { EventWriter, sendJson } from '../../support/mcp-answers.ts';
import { makeGate } from '../../support/relayed.ts';
import { TEST_KEY } from '../../support/signing.ts';
import { comesTrue, settled } from '../http/connection-rig.ts';
import { ScriptedKeys } from '../transport/transport-rig.ts';
import { answerEmpty, startStateless, textOf } from './stateless-rig.ts';

const REGION_TOOL = {
  name: 'query',
  inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
};
const MISMATCH = { code: -32020, message: 'Mcp-Param-Region is missing', data: { x: 1.0 } };
describe('a stateless message', () => {
  it.each([0, '', -1, '1'])(
    'a stateless message is posted unchanged, with headers only from itself: %j',
    async (id) => {
      const { server, ask } = await startStateless(answerEmpty);
      const { reply, call } = ask('resources/read', { uri: 'file:///größe', n: 1 }, id);
      expect(textOf(await reply)).toBe(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`);
      const [posted] = server.requests;
      expect(server.requests).toHaveLength(1);
      expect(posted?.text).toBe(call.message.text);
      expect(posted?.headers).toMatchObject({
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
      });
      expect(derivedHeaders(posted?.headers ?? {})).toEqual({
        'mcp-protocol-version': REVISION,
        'mcp-method': 'resources/read',
        'mcp-name': '=?base64?ZmlsZTovLy9ncsO2w59l?=',
      });
    },
  );

  it('a stateless message stores and sends no session id, and is never resumed', async () => {
    const { server, ask } = await startStateless((request, response) => {
      response.setHeader('mcp-session-id', 'unasked');
      if (request.rpc.method === 'tools/list') return answerEmpty(request, response);
      const events = new EventWriter(response);
      events.prime('event-1', 0);
      events.end();
    });
    await ask('tools/list').reply;
    const { reply } = ask('tools/call', { name: 'tool' });
    await expect(reply).rejects.toMatchObject({ reason: 'connection-lost', sent: 'maybe' });
    await ask('tools/list').reply;
    expect(server.requests.map(({ method, headers }) => [method, headers['mcp-session-id']])).toEqual([
      ['POST', undefined],
      ['POST', undefined],
      ['POST', undefined],
    ]);
  });

  it('a stateless message emits the notifications and other messages of its stream in order', async () => {
    const { ask, emitted, dropped } = await startStateless(({ rpc }, response) => {
      const events = new EventWriter(response);
      events.send('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}');
      events.send('{"jsonrpc":"2.0","method":"vendor/unknown"}');
      events.send('{"jsonrpc":"2.0","id":0,"method":"vendor/asks"}');
      events.send('{"jsonrpc":"2.0","id":"of another","result":{}}');
      events.send({ jsonrpc: '2.0', id: rpc.id, result: {} });
      events.end();
    });
    await ask('tools/call', { name: 'tool' }, '').reply;
    expect(emitted.map(({ text }) => text)).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}',
      '{"jsonrpc":"2.0","method":"vendor/unknown"}',
      '{"jsonrpc":"2.0","id":0,"method":"vendor/asks"}',
    ]);
    expect(dropped()).toMatchObject([{ reason: 'an answer to no request that is waiting' }]);
  });

  it.each([
    ['a stream that ends', (events: EventWriter) => events.end()],
    ['a stream that breaks', (events: EventWriter) => events.destroy()],
  ])('a stateless message is never re-sent after %s without the answer', async (_what, end) => {
    const { server, ask, clock } = await startStateless((_request, response) => {
      const events = new EventWriter(response);
      events.send('{"jsonrpc":"2.0","method":"notifications/message"}', 'event-1');
      end(events);
    });
    const { reply } = ask('tools/list');
    await expect(reply).rejects.toMatchObject({ reason: 'connection-lost', sent: 'maybe' });
    await clock.advance(60_000);
    expect(server.requests).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it.each([
    [400, -32020, '{"required":["Mcp-Name"]}'],
    [400, -32021, '{"requiredCapabilities":{"sampling":{}}}'],
    [400, -32022, '{"supported":["2026-07-28", "v2"],"requested":"x","n":12345678901234567890}'],
    [400, -32602, '{"envelope":{"missing":["a"]}}'],
    [404, -32601, '{}'],
    [500, -32603, '{}'],
    [200, -32603, '{}'],
  ])(
    'a stateless message gets the JSON-RPC error of any status, byte for byte: %s with %s',
    async (status, code, data) => {
      const error = `{"code":${code},"message":"Größe 1.0","data":${data}}`;
      const { ask } = await startStateless(({ rpc }, response) => {
        sendJson(response, status, `{"error":${error},"id":${JSON.stringify(rpc.id)},"jsonrpc":"2.0"}`);
      });
      const reply = await ask('prompts/list', {}, '').reply;
      expect(textOf(reply)).toBe(`{"error":${error},"id":"","jsonrpc":"2.0"}`);
      expect(reply).toMatchObject({ http: { status } });
    },
  );

  it('a stateless message gets its own id if an error has none', async () => {
    const { ask } = await startStateless((_request, response) => {
      sendJson(
        response,
        400,
        '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}',
      );
    });
    expect(textOf(await ask('server/discover', {}, 'server-discover-probe-1').reply)).toBe(
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":"server-discover-probe-1"}',
    );
  });

  it('a stateless message that gets an empty 404 has not lost a session, because it has none', async () => {
    const { ask } = await startStateless((_request, response) => void response.writeHead(404).end());
    await expect(ask('tools/list').reply).rejects.toMatchObject({
      reason: 'http-status',
      message: expect.stringContaining('Check the path of the endpoint URL'),
    });
  });

  it.each(['a\r\nx-evil: 1', 'größe', ''])(
    'a stateless message with the method %j is refused, because no header can hold it',
    async (method) => {
      const { server, ask, send } = await startStateless(answerEmpty);
      await expect(ask(method).reply).rejects.toMatchObject({ code: -32600, sent: 'no' });
      await expect(send(claiming(method)).reply).rejects.toMatchObject({ code: -32600 });
      expect(server.requests).toEqual([]);
    },
  );

  it('a stateless notification is posted with its own revision and method', async () => {
    const { server, send } = await startStateless((_request, response) => void response.writeHead(202).end());
    const { reply, call } = send(claiming('notifications/anything'));
    expect(await reply).toMatchObject({ kind: 'accepted' });
    expect(server.requests.map(({ text }) => text)).toEqual([call.message.text]);
    expect(derivedHeaders(server.requests[0]?.headers ?? {})).toEqual({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'notifications/anything',
    });
  });

  it('a server request on a stateless stream is passed on, and its answer goes back under that revision', async () => {
    const { server, upstream } = await startStateless(({ rpc }, response) => {
      if (rpc.method === undefined) return void response.writeHead(202).end();
      new EventWriter(response).send({ jsonrpc: '2.0', id: 0, method: 'elicitation/create' });
    });
    let gone = (): void => undefined;
    const asked = new Promise<Origin>((resolve) => {
      const emit = async (_message: Message, origin: Origin): Promise<void> => resolve(origin);
      const { call, cancel } = makeCall(messageOf(claiming('tools/call', { name: 'tool' }, 0)), { emit });
      upstream.handle(call).catch(() => undefined);
      gone = cancel;
    });
    const origin = await asked;
    const answer = messageOf({ id: 0, result: { action: 'decline' } });
    await upstream.handle({ ...makeCall(answer).call, origin });
    const posted = server.requests.at(-1);
    expect(posted?.text).toBe(answer.text);
    expect(derivedHeaders(posted?.headers ?? {})).toEqual({ 'mcp-protocol-version': REVISION });
    gone();
    await origin.gone;
  });

  it('a stateless message leaves no session, no exchange and no timer behind', async () => {
    const { server, ask, clock, upstream } = await startStateless(answerEmpty);
    await Promise.all([0, 1, 2].map((id) => ask('tools/list', {}, id).reply));
    await upstream.close();
    expect(clock.timers).toBe(0);
    expect(server.of('DELETE')).toEqual([]);
  });
});

describe('an abandoned stateless request', () => {
  it('a stateless request abandoned while it runs has its stream closed, and nothing is posted', async () => {
    const { server, ask, lanes, emitted } = await startStateless((_request, response) => {
      new EventWriter(response).send('{"jsonrpc":"2.0","method":"notifications/progress"}');
    });
    const { reply, cancel } = ask('tools/call', { name: 'tool' }, '');
    await comesTrue(() => emitted.length === 1, 'progress');
    const reason = new Error('cancelled');
    cancel(reason);
    await expect(reply).rejects.toBe(reason);
    expect(lanes.request.active).toBe(0);
    await comesTrue(() => server.requests[0]?.socket.destroyed === true, 'closed');
    expect(server.requests).toHaveLength(1);
  });

  it('a stateless request that is abandoned emits nothing that was read already', async () => {
    const reads = makeGate();
    const { ask, emitted } = await startStateless(
      ({ rpc }, response) => {
        const events = new EventWriter(response);
        events.raw('data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'.repeat(10));
        events.send({ jsonrpc: '2.0', id: rpc.id, result: {} });
      },
      { taken: () => reads.opened },
    );
    const { reply, cancel } = ask('tools/call', { name: 'tool' });
    await comesTrue(() => emitted.length === 1, 'progress');
    cancel();
    reads.open();
    await expect(reply).rejects.toThrow('cancelled');
    await settled(reply);
    expect(emitted).toHaveLength(1);
  });

  it('a stateless request abandoned before it has a connection or a signature is never sent', async () => {
    const keys = new ScriptedKeys();
    const [asked, hand] = [makeGate(), makeGate()];
    let times = 0;
    keys.current = async () => {
      if (times++ === 0) return TEST_KEY;
      asked.open();
      await hand.opened;
      return TEST_KEY;
    };
    const { server, ask } = await startStateless(
      (request, response) => {
        if (request.rpc.method !== 'prompts/list') answerEmpty(request, response);
      },
      { max: 1, keys },
    );
    const holding = ask('prompts/list');
    await server.until((requests) => requests.length === 1);
    const queued = ask('tools/call', { name: 'tool' }, 1);
    queued.cancel(new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'was not sent' }));
    await expect(queued.reply).rejects.toMatchObject({ message: 'was not sent', sent: 'no' });
    holding.cancel();
    const signing = ask('tools/call', { name: 'tool' }, 2);
    await asked.opened;
    signing.cancel();
    await expect(signing.reply).rejects.toThrow('cancelled');
    hand.open();
    await ask('tools/list').reply;
    expect(server.requests.map(({ rpc }) => rpc.method)).toEqual(['prompts/list', 'tools/list']);
  });

  it('a stateless request that --read-timeout ends has its stream closed, which notifies the server', async () => {
    const { server, ask, clock } = await startStateless(
      (_request, response) => void new EventWriter(response),
      { readTimeoutMs: 5_000 },
    );
    const { reply } = ask('tools/call', { name: 'tool' });
    await comesTrue(() => clock.timers > 0, 'the watch');
    await clock.advance(5_000);
    await expect(reply).rejects.toMatchObject({ reason: 'timeout', details: { limit: 'read-timeout' } });
    await comesTrue(() => server.requests[0]?.socket.destroyed === true, 'closed');
    expect(server.requests).toHaveLength(1);
  });
});

describe('a stateless call with arguments in headers', () => {
  /** Knows the tool, and refuses calls whose header does not say what the body says. */
  const demanding = (tools: readonly unknown[] = [REGION_TOOL]) =>
    startStateless(({ rpc, headers }, response) => {
      const id = rpc.id;
      if (rpc.method === 'tools/list')
        return sendJson(response, 200, { jsonrpc: '2.0', id, result: { tools } });
      const { arguments: args } = rpc.params as { arguments: { region: string } };
      const met = headers['mcp-param-region'] === args.region;
      const outcome = met ? { result: { content: [] } } : { error: MISMATCH };
      sendJson(response, met ? 200 : 400, { jsonrpc: '2.0', id, ...outcome });
    });
  const params = { name: 'query', arguments: { region: 'eu west 1' } };
  const methods = ({ requests }: { requests: readonly { rpc: { method?: unknown } }[] }) =>
    requests.map(({ rpc }) => rpc.method);

  it('a stateless call has parameter headers once a list has named them', async () => {
    const { server, ask } = await demanding();
    await ask('tools/list').reply;
    expect(textOf(await ask('tools/call', params, -1).reply)).toContain('"result"');
    expect(derivedHeaders(server.of('tools/call')[0]?.headers ?? {})).toEqual({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'tools/call',
      'mcp-name': 'query',
      'mcp-param-region': 'eu west 1',
    });
    expect(methods(server)).toEqual(['tools/list', 'tools/call']);
  });

  it('a stateless call without known headers is sent once more after the list was read', async () => {
    const { server, ask, emitted } = await demanding();
    expect(textOf(await ask('tools/call', params, '').reply)).toContain('"id":"","result"');
    expect(methods(server)).toEqual(['tools/call', 'tools/list', 'tools/call']);
    const [list] = server.of('tools/list');
    expect(list?.rpc.params).toEqual({ _meta: ENVELOPE });
    expect(list?.headers).toMatchObject({ 'mcp-method': 'tools/list', 'mcp-protocol-version': REVISION });
    expect(String(list?.rpc.id)).toMatch(/^mcp-sigv4-proxy:/);
    expect(emitted).toEqual([]);
    // The next one knows.
    await ask('tools/call', params, 1).reply;
    expect(methods(server).slice(3)).toEqual(['tools/call']);
  });

  it('a stateless call with outdated headers is sent once more', async () => {
    const { server, ask, tools } = await demanding();
    const old = {
      ...REGION_TOOL,
      inputSchema: { properties: { region: { type: 'string', 'x-mcp-header': 'Old' } } },
    };
    tools.learn({ result: { tools: [old] } });
    expect(textOf(await ask('tools/call', params).reply)).toContain('"result"');
    expect(server.of('tools/call').map(({ headers }) => derivedHeaders(headers))).toMatchObject([
      { 'mcp-param-old': 'eu west 1' },
      { 'mcp-param-region': 'eu west 1' },
    ]);
  });

  it('a header mismatch is returned if the list asks for no other headers', async () => {
    const { server, ask } = await demanding([{ name: 'query', inputSchema: {} }]);
    expect(textOf(await ask('tools/call', params, 0).reply)).toBe(
      `{"jsonrpc":"2.0","id":0,"error":${JSON.stringify(MISMATCH)}}`,
    );
    expect(methods(server)).toEqual(['tools/call', 'tools/list']);
  });

  it('a header mismatch is returned if the second attempt gets one too', async () => {
    const { server, ask } = await startStateless(({ rpc }, response) => {
      const outcome =
        rpc.method === 'tools/list' ? { result: { tools: [REGION_TOOL] } } : { error: MISMATCH };
      sendJson(response, rpc.method === 'tools/list' ? 200 : 400, { jsonrpc: '2.0', id: rpc.id, ...outcome });
    });
    expect(textOf(await ask('tools/call', params).reply)).toContain('-32020');
    expect(methods(server)).toEqual(['tools/call', 'tools/list', 'tools/call']);
  });

  it.each([
    ['fails', 503],
    ['is refused', 404],
  ])('a header mismatch is returned if the list %s', async (_how, status) => {
    const { server, ask } = await startStateless(({ rpc }, response) => {
      if (rpc.method === 'tools/list') return void response.writeHead(status).end();
      sendJson(response, 400, { jsonrpc: '2.0', id: rpc.id, error: MISMATCH });
    });
    expect(textOf(await ask('tools/call', params).reply)).toContain('-32020');
    expect(methods(server)).toEqual(['tools/call', 'tools/list']);
  });

  it('a header mismatch of concurrent calls reads the list once', async () => {
    const { server, ask } = await demanding();
    const ids = Array.from({ length: 8 }, (_, at) => at);
    const replies = await Promise.all(ids.map((id) => ask('tools/call', params, id).reply));
    expect(replies.map(textOf).filter((text) => text.includes('"result"'))).toHaveLength(8);
    expect(server.of('tools/list').length).toBeLessThan(4);
    expect(server.of('tools/call').length).toBeLessThanOrEqual(16);
  });

  it('a header mismatch of a call that is cancelled while the list is read is not re-sent', async () => {
    const { server, ask } = await startStateless(({ rpc }, response) => {
      if (rpc.method === 'tools/call')
        sendJson(response, 400, { jsonrpc: '2.0', id: rpc.id, error: MISMATCH });
    });
    const { reply, cancel } = ask('tools/call', params);
    await server.until(() => server.of('tools/list').length === 1);
    cancel();
    await expect(reply).rejects.toThrow('cancelled');
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('a header mismatch of another method is not re-sent', async () => {
    const { server, ask } = await startStateless(({ rpc }, response) => {
      sendJson(response, 400, { jsonrpc: '2.0', id: rpc.id, error: MISMATCH });
    });
    expect(textOf(await ask('prompts/get', { name: 'p' }).reply)).toContain('-32020');
    expect(server.requests).toHaveLength(1);
  });
});

describe('both eras on one pipe', () => {
  it('the eras are independent on one pipe', async () => {
    const { server, ask, send } = await startStateless((request, response) => {
      const { rpc } = request;
      if (rpc.method === 'initialize') {
        response.setHeader('mcp-session-id', 'the-session');
        return sendJson(response, 200, {
          jsonrpc: '2.0',
          id: rpc.id,
          result: { protocolVersion: '2025-11-25' },
        });
      }
      if (rpc.id === undefined) return void response.writeHead(request.method === 'GET' ? 405 : 202).end();
      answerEmpty(request, response);
    });
    await ask('server/discover', {}, 'probe').reply;
    await send({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } }).reply;
    await send({ method: 'notifications/initialized' }).reply;
    await Promise.all([
      ask('tools/call', { name: 'tool' }, 1).reply,
      send({ id: 2, method: 'tools/call', params: { name: 'tool' } }).reply,
      send(claiming('notifications/anything')).reply,
      send({ method: 'notifications/roots/list_changed' }).reply,
    ]);
    const facts = server.requests
      .filter(({ method }) => method === 'POST')
      .map(({ rpc, headers }) => [rpc.method, rpc.id, derivedHeaders(headers)] as const);
    const session = { 'mcp-session-id': 'the-session', 'mcp-protocol-version': '2025-11-25' };
    const claims = (method: string) => ({ 'mcp-protocol-version': REVISION, 'mcp-method': method });
    expect(facts).toContainEqual(['server/discover', 'probe', claims('server/discover')]);
    expect(facts).toContainEqual(['initialize', 0, {}]);
    expect(facts).toContainEqual(['notifications/initialized', undefined, session]);
    expect(facts).toContainEqual(['tools/call', 1, { ...claims('tools/call'), 'mcp-name': 'tool' }]);
    expect(facts).toContainEqual(['tools/call', 2, session]);
    expect(facts).toContainEqual(['notifications/anything', undefined, claims('notifications/anything')]);
    expect(facts).toContainEqual(['notifications/roots/list_changed', undefined, session]);
  });

  it('a 404 for a stateless message does not end the session on the same pipe', async () => {
    const { server, ask, send } = await startStateless((request, response) => {
      const { rpc, headers } = request;
      if (rpc.method === 'initialize') response.setHeader('mcp-session-id', 'the-session');
      if (headers['mcp-method']) return void response.writeHead(404).end();
      answerEmpty(request, response);
    });
    await send({ id: 0, method: 'initialize', params: {} }).reply;
    await expect(ask('tools/call', { name: 'tool' }, 1).reply).rejects.toMatchObject({
      reason: 'http-status',
    });
    await send({ id: 2, method: 'tools/call', params: { name: 'tool' } }).reply;
    expect(server.of('initialize')).toHaveLength(1);
    expect(server.of('tools/call').at(-1)?.headers['mcp-session-id']).toBe('the-session');
  });
});
