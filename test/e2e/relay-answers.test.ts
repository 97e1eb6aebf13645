import { describe, expect, it } from 'vitest';
import { EventWriter, type Rpc } from '../support/mcp-answers.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';

const note = (text: string): Rpc => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: text },
});
const result = (id: unknown, value: unknown = {}): Rpc => ({ jsonrpc: '2.0', id, result: value });

/** Answers tools/call with what the script writes. */
const scripted = (
  script: (events: EventWriter, id: unknown) => void | Promise<void>,
): Record<string, Handler> => ({
  'tools/call': (request, response) => script(new EventWriter(response), request.rpc.id),
});

const call = { name: 'x', _meta: { progressToken: 0 } };

describe('the response to a request', () => {
  it.each(['json', 'sse'] as const)(
    'a response passes as %s, for every request of a session',
    async (answerWith) => {
      const { bin } = await startInitialized({ answerWith });
      expect(await bin.request('ping')).toMatchObject({ result: {} });
      expect(await bin.request('tools/call', { name: 'echo', arguments: { text: '0' } })).toMatchObject({
        result: { content: [{ type: 'text', text: '{"text":"0"}' }] },
      });
      expect(await bin.request('nothing/like-it')).toMatchObject({
        error: { code: -32601, message: 'Method not found: nothing/like-it' },
      });
    },
  );

  it('a response is emitted after the notifications that preceded it, in whatever order the bytes arrive', async () => {
    const { bin } = await startInitialized({
      on: scripted((events, id) => {
        const whole = [note('one'), note('two'), result(id), note('three')]
          .map((message) => `data: ${JSON.stringify(message)}\n\n`)
          .join('');
        const bytes = Buffer.from(`: keep-alive\n\n${whole}`);
        for (let at = 0; at < bytes.length; at += 7) events.raw(bytes.subarray(at, at + 7));
        events.end();
      }),
    });
    await bin.request('tools/call', call, 'call');
    await bin.next(({ params }) => (params as { data?: string } | undefined)?.data === 'three');
    expect(bin.messages.slice(1)).toEqual([note('one'), note('two'), result('call'), note('three')]);
  });

  it('a response does not hold back the notifications before it', async () => {
    const gate = makeGate();
    const { bin } = await startInitialized({
      on: scripted(async (events, id) => {
        events.send(note('early'));
        await gate.opened;
        events.send(result(id));
        events.end();
      }),
    });
    const answer = bin.request('tools/call', call, 0);
    await bin.next(({ method }) => method === 'notifications/message');
    gate.open();
    expect(await answer).toEqual(result(0));
  });

  it('progress is emitted with the progress token of the client, also 0 and ""', async () => {
    const { bin } = await startInitialized();
    for (const token of [0, '', 'abc']) {
      const before = bin.messages.length;
      await bin.request('tools/call', {
        name: 'progress',
        arguments: { steps: 2 },
        _meta: { progressToken: token },
      });
      const seen = bin.messages.slice(before, before + 2);
      expect(seen).toEqual(
        [1, 2].map((progress) => ({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: token, progress, total: 2 },
        })),
      );
    }
  });

  it('a response on the stream of another request is matched to its own request', async () => {
    const arrived = makeGate();
    let held: EventWriter | undefined;
    const { bin } = await startInitialized({
      on: scripted(async (events, id) => {
        if (id === 'first') {
          held = events;
          arrived.open();
          return;
        }
        await arrived.opened;
        events.send(result('first', { from: 'the other' }));
        events.send(result(id, { from: 'its own' }));
        events.end();
      }),
    });
    const first = bin.request('tools/call', call, 'first');
    const second = bin.request('tools/call', call, 'second');
    expect(await first).toEqual(result('first', { from: 'the other' }));
    held?.end();
    expect(await second).toEqual(result('second', { from: 'its own' }));
    await bin.request('ping');
    expect(bin.messages.filter(({ id }) => id === 'first')).toHaveLength(1);
  });

  it('a response on the standalone stream is matched to its request', async () => {
    const { bin } = await startInitialized({
      on: {
        'tools/call': (request, response, { server }) => {
          const events = new EventWriter(response);
          server.broadcast(result(request.rpc.id, { from: 'GET' }));
          events.raw(': nothing here\n\n');
        },
      },
    });
    expect(await bin.request('tools/call', call, -1)).toEqual(result(-1, { from: 'GET' }));
  });

  it('a response that the server sends several times is emitted once', async () => {
    const { bin } = await startInitialized({
      on: scripted((events, id) => {
        events.send(result(id, 1));
        events.send(result(id, 2));
        events.end();
      }),
    });
    await bin.request('tools/call', call, '');
    await bin.request('ping', {}, 'after');
    expect(bin.messages.filter(({ id }) => id === '')).toEqual([result('', 1)]);
  });

  it('a JSON body that is labelled text/event-stream is read as JSON', async () => {
    const { bin } = await startInitialized({
      on: scripted((events, id) => {
        events.raw(`\n ${JSON.stringify(result(id, 'raw'), undefined, 2)}`);
        events.end();
      }),
    });
    expect(await bin.request('tools/call', call, 0)).toEqual(result(0, 'raw'));
  });

  it('an event stream with empty events, other event types and any kind of line end is read', async () => {
    const { bin } = await startInitialized({
      on: scripted((events, id) => {
        events.raw('\uFEFF: hello\r\n\r\n');
        events.prime('event-0', 10);
        events.raw('data: not json\n\n');
        events.raw('data: {"neither":"nor"}\n\n');
        events.raw('event: ping\ndata: {"jsonrpc":"2.0","method":"notifications/never"}\n\n');
        events.raw(`data:${JSON.stringify(note('cr'))}\r\r`);
        events.raw(`event: message\r\ndata: ${JSON.stringify(result(id))}\r\n\r\n`);
        events.raw('data: {"jsonrpc":"2.0","method":"notifications/cut-off"}\n');
        events.end();
      }),
    });
    expect(await bin.request('tools/call', call, 0)).toEqual(result(0));
    await bin.request('ping', {}, 'after');
    expect(bin.messages.slice(1, 3)).toEqual([note('cr'), result(0)]);
    expect(bin.messages).toHaveLength(4);
  });

  it('a response is emitted even if the server never ends its stream', async () => {
    const { bin } = await startInitialized({
      args: ['--max-connections', '1'],
      on: scripted((events, id) => events.send(result(id))),
    });
    for (const id of [0, '']) expect(await bin.request('tools/call', call, id)).toEqual(result(id));
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('a response is emitted without waiting for calls that were sent earlier', async () => {
    const gate = makeGate();
    const { bin } = await startInitialized({
      on: scripted(async (events, id) => {
        if (id === 'slow') await gate.opened;
        events.send(result(id));
        events.end();
      }),
    });
    const slow = bin.request('tools/call', call, 'slow');
    await bin.request('tools/call', call, 'quick');
    gate.open();
    await slow;
    expect(bin.messages.slice(1).map(({ id }) => id)).toEqual(['quick', 'slow']);
  });
});

describe('the standalone stream of a session', () => {
  it('the standalone stream emits what the server sends between calls', async () => {
    const { mcp, bin } = await startInitialized();
    const changed = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };
    mcp.broadcast(changed);
    mcp.broadcast(note('hello'));
    await bin.next(({ method }) => method === 'notifications/message');
    expect(bin.messages.slice(1)).toEqual([changed, note('hello')]);
  });

  it('the end of the standalone stream does not end the session', async () => {
    const { server, mcp, bin } = await startInitialized();
    for (const session of mcp.sessions.values()) for (const stream of session.streams) stream.end();
    expect(await bin.request('tools/list')).toMatchObject({ result: {} });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });
});
