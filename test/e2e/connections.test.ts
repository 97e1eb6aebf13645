import { describe, expect, it } from 'vitest';
import type { Context } from '../support/mcp-behaviours.ts';
import { makeGate, type Relayed, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import type { RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';

/** What --max-connections counts: all but control messages, the standalone stream and its DELETE. */
const carriesRequest = ({ method, rpc }: RecordedRequest): boolean =>
  method === 'POST' && rpc.id !== undefined && rpc.method !== undefined && rpc.method !== 'ping';

const isCall = ({ rpc }: RecordedRequest): boolean => rpc.method === 'tools/call';

const start = (args: readonly string[], options: RelayedOptions = {}): Promise<Relayed> =>
  startInitialized({ keepAliveTimeoutMs: 0, args, ...options });

/** Request connections that are open at this moment, as the server sees it. */
const openRequestConnections = (server: ScriptedServer): number =>
  new Set(server.requests.filter(carriesRequest).flatMap(({ socket }) => (socket.destroyed ? [] : [socket])))
    .size;

const call = (id: unknown, name = 'echo', args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

/** A server whose tool calls wait for the gate, with the number of running calls. */
function gated() {
  const gate = makeGate();
  const running = { now: 0, most: 0 };
  const hold = async (_request: unknown, _response: unknown, context: Context): Promise<void> => {
    running.now++;
    running.most = Math.max(running.most, running.now);
    await gate.opened;
    running.now--;
    context.result({ content: [] });
  };
  return { gate, running, on: { 'tools/call': hold } };
}

describe('parallel calls', () => {
  it.each([
    [['--max-connections', '4', '--max-keepalive-connections', '2'], 16, 4, 2],
    [['--max-connections', '4'], 8, 4, 4],
    [['--max-connections', '2', '--max-keepalive-connections', '9'], 6, 2, 2],
    [['--max-connections', '3', '--max-keepalive-connections', '0'], 6, 3, 0],
    [['--max-keepalive-connections', '0'], 6, 5, 0],
    [[], 12, 5, 1],
  ])(
    'with options %j, %i parallel calls run on %i connections and leave %i open',
    async (args, calls, most, left) => {
      const { gate, running, on } = gated();
      const { bin, server } = await start(args, { on });
      for (let id = 0; id < calls; id++) bin.send(call(id));
      await server.until((requests) => requests.filter(isCall).length === most);
      // The server has read all requests before the ping, so none is still on its way.
      await bin.request('ping', undefined, 'after the calls');
      expect([running.now, openRequestConnections(server)]).toEqual([most, most]);
      gate.open();
      for (let id = 0; id < calls; id++)
        expect(await bin.answer(id)).toEqual({ jsonrpc: '2.0', id, result: { content: [] } });
      await server.until(() => openRequestConnections(server) === left);
      expect(running.most).toBe(most);
      expect(server.requests.filter(isCall)).toHaveLength(calls);
      // Further connections: the standalone stream, and one for control messages.
      await server.until(() => server.connections.open === left + 2);
      if (left > 0) expect(server.connectionsThat(carriesRequest)).toBeLessThanOrEqual(most);
    },
  );

  it('parallel calls leave connections that the next calls reuse', async () => {
    const { bin, server } = await start(['--max-connections', '4']);
    for (let round = 0; round < 3; round++) {
      const ids = [0, 1, 2, 3].map((at) => `${round}-${at}`);
      for (const id of ids) bin.send(call(id, 'sleep', { ms: 5 }));
      for (const id of ids) await bin.answer(id);
    }
    expect(server.connectionsThat(carriesRequest)).toBeLessThanOrEqual(4);
  });

  it('queued calls are sent in the order of their arrival', async () => {
    const { gate, on } = gated();
    const { bin, server } = await start(['--max-connections', '1'], { on });
    const ids = [0, '', -1, '0', 7, 'x'];
    for (const id of ids) bin.send(call(id));
    await server.until((requests) => requests.some(isCall));
    gate.open();
    for (const id of ids) await bin.answer(id);
    expect(server.requests.filter(isCall).map(({ rpc }) => rpc.id)).toEqual(ids);
    expect(server.connectionsThat(carriesRequest)).toBe(1);
  });
});

describe('an idle connection', () => {
  it('an idle connection is closed after --keepalive-timeout', async () => {
    const { bin, server } = await start(['--max-connections', '2', '--keepalive-timeout', '0.2']);
    await bin.request('tools/call', { name: 'echo' }, 0);
    await server.until(() => openRequestConnections(server) === 0);
    expect(await bin.request('tools/call', { name: 'echo' }, 1)).toMatchObject({ id: 1, result: {} });
    expect(server.connectionsThat(isCall)).toBe(2);
  });
});

describe('with --max-connections 1', () => {
  it('with --max-connections 1 a call that elicits finishes while four more wait', async () => {
    const { bin, server } = await start(['--max-connections', '1']);
    bin.send(call(0, 'elicit', { message: 'Who?' }));
    const question = await bin.next(({ method }) => method === 'elicitation/create');
    for (const id of ['', -1, 1, 2]) bin.send(call(id));
    await bin.request('ping', undefined, 'after the calls');
    expect(server.requests.filter(isCall).map(({ rpc }) => rpc.id)).toEqual([0]);
    const result = { action: 'accept', content: { name: 'me' } };
    bin.send({ jsonrpc: '2.0', id: question.id, result });
    expect(await bin.answer(0)).toMatchObject({ result: { content: [{ text: JSON.stringify(result) }] } });
    for (const id of ['', -1, 1, 2]) expect(await bin.answer(id)).toMatchObject({ id, result: {} });
    expect(server.requests.filter(isCall).map(({ rpc }) => rpc.id)).toEqual([0, '', -1, 1, 2]);
  });

  it('with --max-connections 1 pings, notifications and cancellations do not wait for the running call', async () => {
    const { on } = gated();
    const { bin, server } = await start(['--max-connections', '1'], { on });
    bin.send(call(0));
    bin.send(call(1));
    await server.until((requests) => requests.some(isCall));
    expect(await bin.request('ping', undefined, -1)).toEqual({ jsonrpc: '2.0', id: -1, result: {} });
    bin.notify('notifications/roots/list_changed');
    await server.until(() => server.of('notifications/roots/list_changed').length === 1);
    bin.notify('notifications/cancelled', { requestId: 0, reason: 'enough' });
    await server.until(() => server.of('notifications/cancelled').length === 1);
    // Its place goes to the next call, though the server never answered the first.
    await server.until((requests) => requests.filter(isCall).length === 2);
    expect(server.requests.filter(isCall).map(({ rpc }) => rpc.id)).toEqual([0, 1]);
    expect(bin.messages.filter(({ id }) => id === 0)).toEqual([]);
  });

  it('with --max-connections 1 a call that is cancelled while it waits is dropped at once and never sent', async () => {
    const { gate, on } = gated();
    const { bin, server } = await start(['--max-connections', '1'], { on });
    for (const id of [0, 1, 2]) bin.send(call(id));
    await server.until((requests) => requests.some(isCall));
    bin.notify('notifications/cancelled', { requestId: 1 });
    await bin.request('ping', undefined, 'after the cancellation');
    gate.open();
    expect(await bin.answer(0)).toMatchObject({ result: {} });
    expect(await bin.answer(2)).toMatchObject({ result: {} });
    expect(server.requests.filter(isCall).map(({ rpc }) => rpc.id)).toEqual([0, 2]);
    expect(server.of('notifications/cancelled')).toEqual([]);
    expect(bin.messages.filter(({ id }) => id === 1)).toEqual([]);
  });

  it('with --max-connections 1 a call that times out while it waits returns an error at once and is never sent', async () => {
    const gate = makeGate();
    const read = async (_request: unknown, _response: unknown, context: Context): Promise<void> => {
      await gate.opened;
      context.result({ contents: [] });
    };
    const { bin, server } = await start(['--max-connections', '1', '--tool-timeout', '0.2'], {
      on: { 'resources/read': read },
    });
    bin.send({ jsonrpc: '2.0', id: 0, method: 'resources/read', params: { uri: 'a:b' } });
    await server.until(() => server.of('resources/read').length === 1);
    bin.send(call(''));
    const { error } = await bin.answer('');
    expect(error).toMatchObject({
      code: -31008,
      data: { source: 'mcp-sigv4-proxy', reason: 'timeout', mayHaveRun: false },
    });
    expect((error as { message: string }).message).toBe(
      'No answer to tools/call within 0.2 s (--tool-timeout). It did not run: every connection was busy (--max-connections 1). If the tool needs longer, raise --tool-timeout; 0 = no limit.',
    );
    gate.open();
    expect(await bin.answer(0)).toEqual({ jsonrpc: '2.0', id: 0, result: { contents: [] } });
    expect(server.requests.filter(isCall)).toEqual([]);
    expect(server.of('notifications/cancelled')).toEqual([]);
  });
});

it.each([
  ['5', 5, false],
  ['2', 2, true],
])(
  '--max-connections %s with five parallel calls logs a wait once, at info',
  async (max, together, waits) => {
    const gate = makeGate();
    const { bin, server } = await start(['--max-connections', max, '--log-level', 'info'], {
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    const answers = [0, '', -1, 'a', 'b'].map((id) =>
      bin.request('tools/call', { name: 'echo', arguments: {} }, id),
    );
    await server.until(() => server.of('tools/call').length === together);
    gate.open();
    for (const answer of await Promise.all(answers)) expect(answer).toHaveProperty('result');
    bin.closeStdin();
    await bin.exited;
    const lines = bin.stderr.split('\n').filter((line) => line.includes('connection.awaited'));
    expect(lines).toHaveLength(waits ? 1 : 0);
    if (waits) expect(lines[0]).toContain('every connection was busy (--max-connections 2): raise it');
  },
);
