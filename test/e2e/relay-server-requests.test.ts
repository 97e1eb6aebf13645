import { describe, expect, it } from 'vitest';
import { EventWriter, type Rpc } from '../support/mcp-answers.ts';
import { startInitialized } from '../support/relayed.ts';

const isElicitation = ({ method }: Rpc): boolean => method === 'elicitation/create';

describe('a request of the server', () => {
  it('a server request during a call reaches the client, and its response is posted to the same session', async () => {
    const { server, mcp, bin } = await startInitialized();
    const call = bin.request('tools/call', { name: 'elicit', arguments: { message: 'Who?' } }, 'call');
    const asked = await bin.next(isElicitation);
    // Servers count from 0, as clients do: the ids of the two directions are independent.
    expect(asked).toMatchObject({ id: 0, params: { message: 'Who?' } });
    const answer = '{"result":{"action":"accept","content":{"n":1.0}},"jsonrpc":"2.0","id":0}';
    bin.send(answer);
    expect(await call).toMatchObject({
      id: 'call',
      result: { content: [{ text: '{"action":"accept","content":{"n":1}}' }] },
    });
    const posted = server.requests.find(({ rpc }) => 'result' in rpc);
    expect(posted?.text).toBe(answer);
    expect(posted?.headers).toMatchObject({
      'mcp-session-id': [...mcp.sessions.keys()][0],
      'mcp-protocol-version': '2025-11-25',
      'content-type': 'application/json',
    });
  });

  it.each([0, '', -1])(
    'a server request with id %j on the standalone stream keeps its id in both directions',
    async (id) => {
      const { server, mcp, bin } = await startInitialized();
      mcp.broadcast({ jsonrpc: '2.0', id, method: 'roots/list' });
      await bin.next(({ method }) => method === 'roots/list');
      bin.send({ jsonrpc: '2.0', id, result: { roots: [] } });
      await server.until((requests) => requests.some(({ rpc }) => 'result' in rpc));
      expect(server.requests.at(-1)?.rpc.id).toBe(id);
    },
  );

  it('a server request of an unknown method reaches the client, and an error response is posted unchanged', async () => {
    const { server, mcp, bin } = await startInitialized();
    mcp.broadcast({ jsonrpc: '2.0', id: 'x', method: 'vendor/ask', params: { a: 1 } });
    expect(await bin.next(({ method }) => method === 'vendor/ask')).toEqual({
      jsonrpc: '2.0',
      id: 'x',
      method: 'vendor/ask',
      params: { a: 1 },
    });
    const answer = '{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"no such method"}}';
    bin.send(answer);
    await server.until((requests) => requests.some(({ rpc }) => 'error' in rpc));
    expect(server.requests.at(-1)?.text).toBe(answer);
  });

  it('a server request is answered while its call holds the only connection and more calls wait', async () => {
    const { bin, server } = await startInitialized({ args: ['--max-connections', '1'] });
    const call = bin.request('tools/call', { name: 'elicit', arguments: {} }, 'elicits');
    await bin.next(isElicitation);
    const waiting = [0, '', -1].map((id) =>
      bin.request('tools/call', { name: 'echo', arguments: { id } }, id),
    );
    bin.send({ jsonrpc: '2.0', id: 0, result: { action: 'decline' } });
    expect(await call).toMatchObject({ result: { content: [{ text: '{"action":"decline"}' }] } });
    expect((await Promise.all(waiting)).map(({ id }) => id)).toEqual([0, '', -1]);
    expect(server.connectionsThat(({ rpc }) => rpc.method === 'tools/call')).toBe(1);
  });

  it('a server request that the server cancels is cancelled at the client, and a late response is dropped', async () => {
    const { server, mcp, bin } = await startInitialized();
    mcp.broadcast({ jsonrpc: '2.0', id: 7, method: 'sampling/createMessage', params: {} });
    const withdrawal = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } };
    mcp.broadcast(withdrawal);
    expect(await bin.next(({ method }) => method === 'notifications/cancelled')).toEqual(withdrawal);
    bin.send({ jsonrpc: '2.0', id: 7, result: {} });
    await bin.request('ping');
    expect(server.requests.filter(({ rpc }) => 'result' in rpc)).toEqual([]);
  });

  it('progress of the client for a server request is sent to the server', async () => {
    const { server, mcp, bin } = await startInitialized();
    mcp.broadcast({
      jsonrpc: '2.0',
      id: 0,
      method: 'sampling/createMessage',
      params: { _meta: { progressToken: 0 } },
    });
    await bin.next(({ method }) => method === 'sampling/createMessage');
    bin.notify('notifications/progress', { progressToken: 0, progress: 1 });
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/progress'));
    expect(server.of('notifications/progress')[0]?.rpc.params).toEqual({ progressToken: 0, progress: 1 });
  });

  it('a server request longer than --max-line is refused to the server and not emitted to the client', async () => {
    const { server, mcp, bin } = await startInitialized({ args: ['--max-line', '65536'] });
    mcp.broadcast({ jsonrpc: '2.0', id: 0, method: 'vendor/ask', params: { text: 'x'.repeat(70_000) } });
    await server.until((requests) => requests.some(({ rpc }) => 'error' in rpc));
    expect(server.requests.at(-1)?.rpc).toMatchObject({
      id: 0,
      error: { code: -31010, data: { reason: 'line-too-long', limit: 65_536 } },
    });
    await bin.request('ping');
    expect(bin.messages.some(({ method }) => method === 'vendor/ask')).toBe(false);
  });

  it('a server request of a replaced session is answered in that session, under an id that cannot collide', async () => {
    const { server, mcp, bin } = await startInitialized();
    const [first] = mcp.sessions.keys();
    mcp.broadcast({ jsonrpc: '2.0', id: 0, method: 'roots/list' });
    const old = await bin.next(({ method }) => method === 'roots/list');
    // The old session is deleted after the new one has opened; until then it can still send.
    await bin.initialize({}, 'again');
    await server.until((requests) => requests.filter(({ method }) => method === 'GET').length === 2);
    mcp.broadcast({ jsonrpc: '2.0', id: 0, method: 'roots/list' });
    const fresh = await bin.next(({ method }) => method === 'roots/list');
    expect(old.id).toBe(0);
    expect(fresh.id).not.toBe(0);
    bin.send({ jsonrpc: '2.0', id: fresh.id, result: { roots: [] } });
    await server.until((requests) => requests.some(({ rpc }) => 'result' in rpc));
    const posted = server.requests.find(({ rpc }) => 'result' in rpc);
    expect(posted?.rpc.id).toBe(0);
    expect(posted?.headers['mcp-session-id']).not.toBe(first);
    expect(mcp.sessions.has(String(posted?.headers['mcp-session-id']))).toBe(true);
  });
});

describe('a response of the client', () => {
  it('a response of the client that matches no server request is dropped without effect', async () => {
    const { server, bin } = await startInitialized();
    for (const id of [0, '', -1]) bin.send({ jsonrpc: '2.0', id, result: {} });
    bin.send('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}');
    await bin.request('ping', {}, 'after');
    expect(server.requests.map(({ rpc }) => rpc.method)).toEqual([
      'initialize',
      'notifications/initialized',
      undefined,
      'ping',
    ]);
    expect(bin.messages.map(({ id }) => id)).toEqual(['handshake', 'after']);
  });

  it('a response to a server request of a call that has ended is still posted to its session', async () => {
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': (request, response) => {
          const events = new EventWriter(response);
          events.send({ jsonrpc: '2.0', id: 'late', method: 'roots/list' });
          events.send({ jsonrpc: '2.0', id: request.rpc.id, result: {} });
          events.end();
        },
      },
    });
    await bin.request('tools/call', { name: 'x' });
    bin.send({ jsonrpc: '2.0', id: 'late', result: { roots: [] } });
    await server.until((requests) => requests.some(({ rpc }) => rpc.id === 'late'));
  });
});
