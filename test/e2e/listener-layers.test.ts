import { describe, expect, it } from 'vitest';
import { eventsOf, open } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const rpc = (method: string, params: object = {}, id: unknown = 0) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const call = (name: string, id: unknown = 0) => rpc('tools/call', { name, arguments: { text: 'x' } }, id);
const namesIn = ({ result }: Record<string, unknown> = {}): unknown[] =>
  (result as { tools: { name: unknown }[] }).tools.map(({ name }) => name);

describe('--read-only at the listener', () => {
  it.each(['json', 'sse'] as const)(
    '--read-only at the listener shows and runs only read-only tools (%s)',
    async (answerWith) => {
      const { ask, server } = await startListening({ args: ['--read-only'], session: { answerWith } });
      const headers = await openSession(ask);
      const listed = await ask({ headers, body: rpc('tools/list') });
      expect(namesIn(answerWith === 'sse' ? eventsOf(listed.text)[0] : listed.json)).toEqual(['echo']);
      expect((await ask({ headers, body: call('echo', '') })).status).toBe(200);
      const refused = await ask({ headers, body: call('sleep', -1) });
      expect([refused.status, refused.json]).toMatchObject([200, { id: -1, error: { code: -31_017 } }]);
      expect(server.of('tools/call').map(({ rpc: { id } }) => id)).toEqual(['']);
    },
  );

  it('--read-only at the listener reads the list itself, in the session of the call, if a client calls first', async () => {
    const { ask, server } = await startListening({ args: ['--read-only'] });
    const headers = await openSession(ask);
    const refused = await ask({ headers: { ...headers, 'mcp-name': 'sleep' }, body: call('sleep') });
    expect(refused.json).toMatchObject({ id: 0, error: { code: -31_017 } });
    const [own] = server.of('tools/list');
    expect(own?.headers['mcp-session-id']).toBe(headers['mcp-session-id']);
    expect(own?.headers).not.toHaveProperty('mcp-name');
    expect(refused.text).not.toContain('mcp-sigv4-proxy:tools');
  });

  it('--read-only at the listener returns 404 to the client whose session is lost, and to no other client', async () => {
    const { ask } = await startListening({ args: ['--read-only'] });
    const headers = await openSession(ask);
    const stale = { ...headers, 'mcp-session-id': 'gone' };
    const lost = await ask({ headers: stale, body: call('echo', 0) });
    const ran = await ask({ headers, body: call('echo', '') });
    // Clients open a new session on this status, and on no other.
    expect([lost.status, lost.json]).toMatchObject([
      404,
      { id: 0, error: { data: { reason: 'session-lost' } } },
    ]);
    expect([ran.status, ran.json]).toMatchObject([200, { id: '', result: {} }]);
  });

  it('--read-only at the listener reads the list in the revision of a call without a session', async () => {
    const tools = [{ name: 'look', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } }];
    const { ask, server } = await startListening({
      args: ['--read-only'],
      behaviour: (request, response) => {
        const result = request.rpc.method === 'tools/list' ? { tools } : { content: [] };
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result });
      },
    });
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    const headers = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'look',
      'mcp-param-x': 'y',
    };
    const answer = await ask({
      headers,
      body: rpc('tools/call', { name: 'look', arguments: { x: 'y' }, _meta }),
    });
    expect(answer.json).toMatchObject({ id: 0, result: { content: [] } });
    const [own] = server.of('tools/list');
    expect(own?.headers).toMatchObject({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' });
    for (const name of ['mcp-name', 'mcp-param-x']) expect(own?.headers).not.toHaveProperty(name);
    expect(own?.rpc.params).toMatchObject({ _meta });
  });

  it('--read-only at the listener applies to each call of a batch', async () => {
    const { ask, server } = await startListening({ args: ['--read-only'] });
    const headers = { ...(await openSession(ask)), 'mcp-protocol-version': '2025-03-26' };
    const { text } = await ask({
      headers,
      body: [call('sleep', 0), call('echo', 1), rpc('tools/list', {}, 2)],
    });
    const [refused, ran, listed] = JSON.parse(text) as Record<string, unknown>[];
    expect([refused, ran]).toMatchObject([{ error: { code: -31_017 } }, { result: {} }]);
    expect(namesIn(listed)).toEqual(['echo']);
    expect(server.of('tools/call').map(({ rpc: { id } }) => id)).toEqual([1]);
  });

  it('--read-only at the listener keeps a tool list while others come and go, and rereads it after list_changed', async () => {
    const { ask, url, server, mcp } = await startListening({ args: ['--read-only'] });
    const headers = await openSession(ask);
    await ask({ headers, body: rpc('tools/list') });
    for (let other = 0; other < 5; other++) await openSession(ask);
    await ask({ headers, body: call('echo') });
    expect(server.of('tools/list').length).toBe(1);
    const { response } = await open(url, {
      method: 'GET',
      headers: { ...headers, accept: 'text/event-stream' },
    });
    mcp.broadcast({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await new Promise((resolve) => response.once('data', resolve));
    await ask({ headers, body: call('echo') });
    expect(server.of('tools/list').length).toBe(2);
  });
});

it.each(['json', 'sse'] as const)(
  'a call that broke off is retried if a relayed list (%s) has declared its tool read-only',
  async (answerWith) => {
    let broken = 0;
    const { ask, server } = await startListening({
      session: {
        answerWith,
        on: {
          'tools/call': ({ rpc: { id } }, response) => {
            if (broken++ % 2 === 0) response.destroy();
            else sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
          },
        },
      },
    });
    const headers = await openSession(ask);
    expect((await ask({ headers, body: call('echo') })).status).toBe(502);
    broken = 0;
    await ask({ headers, body: rpc('tools/list') });
    expect((await ask({ headers, body: call('echo') })).status).toBe(200);
    expect(server.of('tools/call').length).toBe(3);
  },
);

it('a list whose stream begins with another message is relayed as a stream when a layer reads it', async () => {
  const { ask } = await startListening({
    args: ['--read-only'],
    behaviour: (request, response) => {
      const events = new EventWriter(response);
      events.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } });
      events.send({ jsonrpc: '2.0', id: request.rpc.id, result: { tools: [] } });
      events.end();
    },
  });
  const { status, headers, text } = await ask({ body: rpc('tools/list') });
  expect([status, headers['content-type']]).toEqual([200, 'text/event-stream']);
  expect(eventsOf(text)).toMatchObject([
    { method: 'notifications/message' },
    { id: 0, result: { tools: [] } },
  ]);
});

it('a server that cannot open sessions gets no further attempts for a time, and clients get a Retry-After', async () => {
  const { ask, server } = await startListening({
    args: ['--breaker-threshold', '2', '--retries', '0'],
    behaviour: (_request, response) => sendJson(response, 500, 'out of order'),
  });
  const initialize = rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {} });
  const statuses = [];
  for (let count = 0; count < 4; count++) statuses.push((await ask({ body: initialize })).status);
  expect(statuses).toEqual([500, 500, 503, 503]);
  const received = await ask({ body: initialize });
  expect(Number(received.headers['retry-after'])).toBeGreaterThan(20);
  expect(received.json).toMatchObject({ id: 0, error: { data: { reason: 'circuit-open' } } });
  expect(server.of('initialize').length).toBe(2);
});

it('a queued call whose listener client disconnects is never sent', async () => {
  const gate = makeGate();
  const { ask, bin, server } = await startListening({
    args: ['--max-concurrent', '1', '--queue-size', '5', '--log-level', 'trace'],
    behaviour: async (request, response) => {
      if (request.rpc.id === 'first') await gate.opened;
      if (request.rpc.id === undefined) response.writeHead(202).end();
      else sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
    },
  });
  const headers = { 'mcp-session-id': 's' };
  const first = ask({ headers, body: call('any', 'first') });
  await server.until((requests) => requests.length === 1);
  const second = ask({ headers, body: call('any', 0) });
  const third = ask({ headers, body: call('any', 'third') });
  await bin.stderrMatching(/"method":"tools\/call","id":"0"/);
  const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 0 } };
  expect((await ask({ headers, body: cancelled })).status).toBe(202);
  const { status, text } = await second;
  expect([status, text]).toEqual([200, '']);
  gate.open();
  expect([(await first).status, (await third).status]).toEqual([200, 200]);
  expect(server.of('tools/call').map(({ rpc: { id } }) => id)).toEqual(['first', 'third']);
  expect(server.of('notifications/cancelled')).toEqual([]);
});
