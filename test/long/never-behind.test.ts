import { describe, expect, it } from 'vitest';
import { startInitialized } from '../support/relayed.ts';

describe('a response of the client to the server', () => {
  it.each([
    ['notifications', 'notifications/vendor'],
    ['pings', 'ping'],
  ])('a response of the client reaches the server while the server delays %s', async (_what, method) => {
    const { server, bin } = await startInitialized({ on: { [method]: () => undefined } });
    for (const id of [1, 2, 3, 4]) {
      bin.send({ jsonrpc: '2.0', ...(method === 'ping' ? { id } : {}), method });
    }
    await server.until((requests) => requests.filter(({ rpc }) => rpc.method === method).length >= 2);
    const call = bin.request('tools/call', { name: 'elicit', arguments: {} }, 'call');
    await bin.next((message) => message.method === 'elicitation/create');
    bin.send({ jsonrpc: '2.0', id: 0, result: { action: 'accept' } });
    expect(await call).toMatchObject({ result: { content: [{ text: '{"action":"accept"}' }] } });
    bin.kill('SIGTERM');
    bin.kill('SIGINT');
    await bin.exit();
  });
});

describe('many parallel calls', () => {
  it('250 parallel calls are all answered, and stderr stays empty', async () => {
    const { bin } = await startInitialized({ args: ['--max-connections', '8'] });
    const ids = Array.from({ length: 250 }, (_, n) => n);
    const answers = await Promise.all(
      ids.map((id) => bin.request('tools/call', { name: 'echo', arguments: { id } }, id)),
    );
    answers.forEach((answer, id) => {
      expect(answer).toMatchObject({ id, result: { content: [{ text: `{"id":${id}}` }] } });
    });
    expect(bin.stderr).toBe('');
  });

  it('many parallel calls can all send server requests, and all be cancelled at once', async () => {
    const { server, bin } = await startInitialized({ args: ['--max-connections', '50'] });
    const ids = Array.from({ length: 50 }, (_, n) => `call-${n}`);
    for (const id of ids) {
      bin.send({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 'elicit', arguments: { message: id } },
      });
    }
    const asked = [];
    for (const _ of ids) asked.push(await bin.next(({ method }) => method === 'elicitation/create'));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(50);
    for (const question of asked.slice(0, 25)) {
      const { message } = question.params as { message: string };
      bin.send({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { message } } });
      expect(await bin.answer(message)).toMatchObject({
        result: { content: [{ text: `{"action":"accept","content":{"message":"${message}"}}` }] },
      });
    }
    for (const { params } of asked.slice(25)) {
      bin.notify('notifications/cancelled', { requestId: (params as { message: string }).message });
    }
    await server.until(
      (requests) => requests.filter(({ rpc }) => rpc.method === 'notifications/cancelled').length === 25,
    );
    expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
    expect(
      bin.messages.filter(({ method, id }) => method === undefined && String(id).startsWith('call-')),
    ).toHaveLength(25);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });
});
