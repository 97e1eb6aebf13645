import { describe, expect, it } from 'vitest';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';
import { makeGate, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import type { Behaviour } from '../support/scripted-server.ts';

const requestOf = (id: unknown): Rpc => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x' } });
const resultOf = (id: unknown): Rpc => ({ jsonrpc: '2.0', id, result: { of: id } });

/** Answers arrays in the given form, as servers of revision 2025-03-26 do. */
const batching =
  (how: 'json' | 'sse' | 'events' | 'accept'): ((next: Behaviour) => Behaviour) =>
  (next) =>
  (request, response) => {
    if (!Array.isArray(request.json)) return next(request, response);
    const answers = request.json
      .filter((item: Rpc) => item.id !== undefined)
      .map(({ id }: Rpc) => resultOf(id));
    if (how === 'accept') {
      response.writeHead(202).end();
      return;
    }
    if (how === 'json') return sendJson(response, 200, answers);
    const events = new EventWriter(response);
    if (how === 'sse') events.raw(`data: ${JSON.stringify(answers)}\n\n`);
    else for (const answer of answers.reverse()) events.send(answer);
    events.end();
  };

const sorted = (messages: unknown): string[] =>
  (messages as readonly Rpc[]).map((message) => JSON.stringify(message)).sort();

const old = (how: Parameters<typeof batching>[0]): RelayedOptions => ({
  protocolVersion: '2025-03-26',
  before: batching(how),
});

describe('a batch of revision 2025-03-26', () => {
  it.each(['json', 'sse', 'events'] as const)(
    'a batch is sent as one array, and each of its responses (%s) becomes a line',
    async (how) => {
      const { server, bin } = await startInitialized(old(how));
      const note = { jsonrpc: '2.0', method: 'notifications/vendor' };
      const line = `[${[requestOf(0), note, requestOf(''), requestOf(-1)].map((part) => JSON.stringify(part)).join(', ')}]`;
      bin.send(line);
      await Promise.all([0, '', -1].map((id) => bin.answer(id)));
      // JSON-RPC does not define an order within a batch.
      expect(sorted(server.requests.at(-1)?.json)).toEqual(sorted(JSON.parse(line)));
      expect(server.requests).toHaveLength(4);
      const lines = bin.lines.slice(1).sort();
      expect(lines).toEqual([0, '', -1].map((id) => JSON.stringify(resultOf(id))).sort());
    },
  );

  it('a batch keeps the text of each of its messages', async () => {
    const { server, bin } = await startInitialized(old('json'));
    const part = '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"b":1.0,"a":9007199254740993}}';
    bin.send(`[ ${part} ]`);
    await bin.answer(0);
    expect(server.requests.at(-1)?.text).toBe(`[${part}]`);
  });

  it('a batch of notifications is accepted and gets no response', async () => {
    const { server, bin } = await startInitialized(old('accept'));
    bin.send([1, 2].map((n) => ({ jsonrpc: '2.0', method: 'notifications/vendor', params: { n } })));
    await server.until((requests) => requests.some(({ json }) => Array.isArray(json)));
    await bin.request('ping');
    expect(bin.messages).toHaveLength(2);
  });

  it('an invalid message in a batch is refused, and the others are answered', async () => {
    const { bin } = await startInitialized(old('json'));
    bin.send(JSON.stringify([1, requestOf(0), { jsonrpc: '2.0', id: '', method: 5 }]));
    await bin.answer(0);
    expect(await bin.answer('')).toMatchObject({
      error: { code: -32600, message: 'Invalid request: method must be a string.' },
    });
    const nameless = bin.messages.find((message) => !('id' in message));
    expect(nameless).toMatchObject({
      error: { code: -32600, message: 'Invalid request: a JSON-RPC message is an object.' },
    });
    expect(bin.messages).toHaveLength(4);
  });

  it('a request of a batch that the server leaves out of its array gets an error', async () => {
    const { bin } = await startInitialized({
      protocolVersion: '2025-03-26',
      before: (next) => (request, response) =>
        Array.isArray(request.json) ? sendJson(response, 200, [resultOf(0)]) : next(request, response),
    });
    bin.send([requestOf(0), requestOf('')]);
    expect(await bin.answer(0)).toEqual(resultOf(0));
    expect(await bin.answer('')).toMatchObject({
      error: { code: -31004, data: { reason: 'unusable-answer', mayHaveRun: true } },
    });
  });

  it('each request of a batch that the server refuses gets the error', async () => {
    const { bin } = await startInitialized({
      protocolVersion: '2025-03-26',
      before: (next) => (request, response) =>
        Array.isArray(request.json)
          ? sendJson(response, 400, '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"No"}}')
          : next(request, response),
    });
    bin.send([requestOf(0), requestOf('')]);
    const error = { code: -32600, message: 'No' };
    expect(await bin.answer(0)).toEqual({ jsonrpc: '2.0', id: 0, error });
    expect(await bin.answer('')).toEqual({ jsonrpc: '2.0', id: '', error });
  });
});

describe('cancellation of one request of a batch', () => {
  it('a cancelled request of a batch leaves the responses of the others', async () => {
    const cancelled = makeGate();
    const { server, bin } = await startInitialized({
      protocolVersion: '2025-03-26',
      before: (next) => async (request, response) => {
        if (request.rpc.method === 'notifications/cancelled') cancelled.open();
        if (!Array.isArray(request.json)) return next(request, response);
        const events = new EventWriter(response);
        await cancelled.opened;
        // Later than the response to the cancellation, after which an abandoned exchange is closed.
        await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'prompts/list'));
        events.send({ jsonrpc: '2.0', method: 'notifications/progress' });
        for (const id of [0, '']) events.send(resultOf(id));
        events.end();
      },
    });
    bin.send([requestOf(0), requestOf('')]);
    await server.until((requests) => requests.some(({ json }) => Array.isArray(json)));
    bin.notify('notifications/cancelled', { requestId: 0 });
    await cancelled.opened;
    bin.notify('notifications/vendor');
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/vendor'));
    await bin.request('prompts/list', {}, 'after');
    expect(await bin.answer('')).toEqual(resultOf(''));
    expect(bin.messages.some(({ method }) => method === 'notifications/progress')).toBe(true);
    expect(bin.messages.some(({ id }) => id === 0)).toBe(false);
  });

  it('the exchange of a batch is closed when the last of its requests is cancelled', async () => {
    const closed = makeGate();
    const { server, bin } = await startInitialized({
      protocolVersion: '2025-03-26',
      before: (next) => (request, response) => {
        if (!Array.isArray(request.json)) return next(request, response);
        response.on('close', closed.open);
      },
    });
    bin.send([requestOf(0), requestOf('')]);
    await server.until((requests) => requests.some(({ json }) => Array.isArray(json)));
    for (const requestId of [0, '']) bin.notify('notifications/cancelled', { requestId });
    await bin.guard(closed.opened, 'the exchange to end');
    await bin.request('ping', {}, 'after');
    expect(bin.messages.map(({ id }) => id)).toEqual(['handshake', 'after']);
    expect(server.of('notifications/cancelled')).toHaveLength(2);
  });
});

describe('a batch in a revision without batches', () => {
  it('a batch in another revision is sent one by one, because servers refuse arrays', async () => {
    const { server, bin } = await startInitialized();
    const calls = [0, '', -1].map((id) => ({ ...requestOf(id), method: 'ping', params: {} }));
    bin.send([...calls, { jsonrpc: '2.0', method: 'notifications/vendor' }]);
    await Promise.all([0, '', -1].map((id) => bin.answer(id)));
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/vendor'));
    expect(server.requests.filter(({ json }) => Array.isArray(json))).toEqual([]);
    expect(server.of('ping')).toHaveLength(3);
  });

  it('a batch can hold the whole handshake, whose order is kept', async () => {
    const { server, bin } = await startInitialized();
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    bin.send([
      { jsonrpc: '2.0', id: 'again', method: 'initialize', params },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', id: 0, method: 'tools/list' },
    ]);
    await bin.answer(0);
    const second = server.requests
      .map(({ rpc, method }) => rpc.method ?? method)
      .slice(3)
      .filter((what) => what !== 'DELETE');
    expect(second).toEqual(['initialize', 'notifications/initialized', 'GET', 'tools/list']);
  });

  it('a batch whose first request is cancelled before it is sent loses only that request', async () => {
    const { server, bin } = await startInitialized(old('json'));
    bin.write(
      `${JSON.stringify([requestOf(0), requestOf('')])}\n${JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: 0 },
      })}\n`,
    );
    expect(await bin.answer('')).toEqual(resultOf(''));
    const posted = server.requests.map(({ json }) => json).filter(Array.isArray);
    expect(posted).toEqual([[requestOf('')]]);
    expect(bin.messages.filter(({ id }) => id === 0)).toEqual([]);
  });

  it('an array that the server returns to one request becomes lines', async () => {
    const { bin } = await startInitialized({
      on: {
        'tools/call': (request, response) =>
          sendJson(response, 200, [
            { jsonrpc: '2.0', method: 'notifications/vendor' },
            resultOf(request.rpc.id),
          ]),
      },
    });
    bin.send(requestOf(0));
    await bin.answer(0);
    expect(bin.lines.slice(1)).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/vendor"}',
      JSON.stringify(resultOf(0)),
    ]);
  });
});
