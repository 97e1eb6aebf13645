import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { EventWriter } from '../support/mcp-answers.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { makeGate, type Relayed, startInitialized } from '../support/relayed.ts';

const cancelOf = (requestId: unknown) => ({
  jsonrpc: '2.0',
  method: 'notifications/cancelled',
  params: { requestId, reason: 'changed my mind' },
});

/** Never answers tools/call; reports when the client side has closed each exchange. */
function makeHolder(): { held: Record<string, Handler>; open: ServerResponse[]; closed: Promise<void> } {
  const open: ServerResponse[] = [];
  const gate = makeGate();
  const held: Record<string, Handler> = {
    'tools/call': (_request, response) => {
      open.push(response);
      response.on('close', gate.open);
    },
  };
  return { held, open, closed: gate.opened };
}

const underWay = ({ server }: Relayed): Promise<void> =>
  server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));

describe('cancellation of a call', () => {
  it.each([0, '', -1, '1'])(
    'the cancellation of the call with id %j is posted as the client wrote it, and then the exchange is closed',
    async (id) => {
      const { held, closed } = makeHolder();
      const relayed = await startInitialized({ on: held });
      const { server, bin } = relayed;
      bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x' } });
      await underWay(relayed);
      const line = JSON.stringify(cancelOf(id));
      bin.send(line);
      await bin.guard(closed, 'the exchange to end');
      expect(server.of('notifications/cancelled').map(({ text }) => text)).toEqual([line]);
      expect(server.of('notifications/cancelled')[0]?.headers['mcp-session-id']).toBeDefined();
      await bin.request('ping', {}, 'after');
      expect(bin.messages.map((message) => message.id)).toEqual(['handshake', 'after']);
      expect(bin.stderr).toBe('');
    },
  );

  it('a cancelled call emits nothing more for its id, even if the server goes on sending', async () => {
    const cancelled = makeGate();
    const progress = (step: number) => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'token', progress: step },
    });
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': async (request, response) => {
          const events = new EventWriter(response);
          events.send(progress(1));
          await cancelled.opened;
          events.send(progress(2));
          events.send({ jsonrpc: '2.0', id: request.rpc.id, result: {} });
          events.end();
        },
        'notifications/cancelled': (_request, response) => {
          cancelled.open();
          setImmediate(() => response.writeHead(202).end());
        },
      },
    });
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await bin.next(({ method }) => method === 'notifications/progress');
    bin.send(cancelOf(0));
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/cancelled'));
    await bin.request('ping', {}, 'after');
    await bin.request('ping', {}, 'after that');
    expect(bin.messages.slice(1).map(({ id, method }) => id ?? method)).toEqual([
      'notifications/progress',
      'after',
      'after that',
    ]);
  });

  it('a cancelled call closes its exchange even if the server never accepts the cancellation', async () => {
    const { held, closed } = makeHolder();
    const relayed = await startInitialized({
      on: { ...held, 'notifications/cancelled': () => undefined },
    });
    const { bin } = relayed;
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await underWay(relayed);
    bin.send(cancelOf(0));
    await bin.guard(closed, 'the exchange to end');
  });

  it('a cancelled call frees its place at once: the next call takes the only connection', async () => {
    const { held } = makeHolder();
    const relayed = await startInitialized({
      args: ['--max-connections', '1'],
      on: {
        'tools/call': (request, response, context) =>
          request.rpc.id === 0 ? held['tools/call']?.(request, response, context) : context.fallback(),
        'notifications/cancelled': () => undefined,
      },
    });
    const { server, bin } = relayed;
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await underWay(relayed);
    const next = bin.request('tools/call', { name: 'echo', arguments: {} }, '');
    bin.send(cancelOf(0));
    expect(await next).toMatchObject({ id: '', result: {} });
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it('a call that is cancelled while it waits for a connection is never sent, and neither is its cancellation', async () => {
    const { held, open } = makeHolder();
    const relayed = await startInitialized({ args: ['--max-connections', '1'], on: held });
    const { server, bin } = relayed;
    bin.send({ jsonrpc: '2.0', id: 'first', method: 'tools/call', params: { name: 'x' } });
    await underWay(relayed);
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    bin.send(cancelOf(0));
    await bin.request('ping', {}, 'after');
    open[0]?.writeHead(200, { 'content-type': 'application/json' });
    open[0]?.end('{"jsonrpc":"2.0","id":"first","result":{}}');
    await bin.answer('first');
    await bin.request('ping', {}, 'at last');
    expect(server.of('tools/call')).toHaveLength(1);
    expect(server.of('notifications/cancelled')).toEqual([]);
    expect(bin.messages.some(({ id }) => id === 0)).toBe(false);
  });

  it('the id of a cancelled call can be used again', async () => {
    const { held } = makeHolder();
    const relayed = await startInitialized({
      on: {
        'tools/call': (request, response, context) =>
          context.params.name === 'x' ? held['tools/call']?.(request, response, context) : context.fallback(),
      },
    });
    const { bin } = relayed;
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } });
    await underWay(relayed);
    bin.send(cancelOf(0));
    const again = await bin.request('tools/call', { name: 'echo', arguments: { again: true } }, 0);
    expect(again).toMatchObject({ result: { content: [{ text: '{"again":true}' }] } });
  });

  it('a cancellation of an unknown id, or of an id of another type, changes nothing', async () => {
    const gate = makeGate();
    const relayed = await startInitialized({
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    const { server, bin } = relayed;
    const call = bin.request('tools/call', { name: 'echo', arguments: {} }, 1);
    await underWay(relayed);
    for (const id of ['1', 0, '', -1, null, { a: 1 }, undefined]) bin.send(cancelOf(id));
    bin.send({ jsonrpc: '2.0', method: 'notifications/cancelled' });
    await bin.request('ping', {}, 'after');
    gate.open();
    expect(await call).toMatchObject({ id: 1, result: {} });
    expect(server.of('notifications/cancelled')).toEqual([]);
  });

  it('a cancellation of initialize is not sent to the server', async () => {
    const gate = makeGate();
    const relayed = await startInitialized({
      on: {
        initialize: async (request, _response, { fallback }) => {
          if (request.rpc.id === 'again') await gate.opened;
          await fallback();
        },
      },
    });
    const { server, bin } = relayed;
    const again = bin.initialize({}, 'again');
    await server.until((requests) => requests.filter(({ rpc }) => rpc.method === 'initialize').length === 2);
    bin.send(cancelOf('again'));
    bin.send('not JSON');
    await bin.next(({ error }) => error !== undefined);
    gate.open();
    expect(await again).toMatchObject({ id: 'again', result: {} });
    expect(server.of('notifications/cancelled')).toEqual([]);
  });
});
