import { describe, expect, it } from 'vitest';
import { claiming } from '../support/claims.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { type RelayedOptions, startInitialized, startRelayed } from '../support/relayed.ts';
import type { Behaviour, ScriptedServer } from '../support/scripted-server.ts';

const TOOLS = [
  { name: 'reads', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } },
  { name: 'repeats', inputSchema: { type: 'object' }, annotations: { idempotentHint: true } },
  { name: 'writes', inputSchema: { type: 'object' }, annotations: { destructiveHint: true } },
];

/** Connections that lose every byte, as after a change of the network; nobody closes them. */
function silencer() {
  let silent = 0;
  const losing =
    (next: Behaviour): Behaviour =>
    (request, response) =>
      request.connection > silent ? next(request, response) : undefined;
  return {
    losing,
    /** Makes all connections silent that were opened until now. */
    silence: (server: ScriptedServer): void => {
      silent = server.connections.opened;
    },
  };
}

const on = {
  'tools/call': (_request: unknown, _response: unknown, context: { result(result: unknown): void }) =>
    context.result({ content: [] }),
};

const options = (more: RelayedOptions = {}): RelayedOptions => ({
  movableClock: true,
  keepAliveTimeoutMs: 0,
  tools: TOOLS,
  on,
  ...more,
});

/** The numbers of the connections that requests of this method came by, in order. */
const connectionsOf = (server: ScriptedServer, method: string): number[] =>
  server.of(method).map(({ connection }) => connection);

describe('on a kept connection that has died silently', () => {
  it('initialize is never sent on a kept connection after a rest of 2 s, and opens one session on a new one', async () => {
    const { losing, silence } = silencer();
    const { bin, server } = await startInitialized(options({ before: losing }));
    await bin.request('tools/list', {}, 0);
    silence(server);
    await bin.advance(2_100);
    expect(await bin.initialize({}, 'again')).toHaveProperty('result');
    const [first, second] = connectionsOf(server, 'initialize');
    expect(second).toBeGreaterThan(first ?? 0);
    expect(server.of('initialize')).toHaveLength(2);
  });

  it.each(['writes', 'unlisted'])(
    'a call that must not run twice is never sent on a kept connection after a rest of 10 s: %s',
    async (name) => {
      const { losing, silence } = silencer();
      const { bin, server } = await startInitialized(options({ before: losing }));
      await bin.request('tools/list', {}, 0);
      silence(server);
      await bin.advance(10_100);
      expect(await bin.request('tools/call', { name }, -1)).toMatchObject({ result: { content: [] } });
      expect(server.of('tools/call')).toHaveLength(1);
    },
  );

  it('a stateless call that must not run twice is never sent on a kept connection after a rest of 10 s', async () => {
    const { losing, silence } = silencer();
    const { bin, server } = await startRelayed(
      options({
        before: () =>
          losing(({ rpc }, response) =>
            sendJson(response, 200, {
              jsonrpc: '2.0',
              id: rpc.id,
              result: rpc.method === 'tools/list' ? { tools: TOOLS } : { content: [] },
            }),
          ),
      }),
    );
    bin.send(claiming('tools/list', {}, 0));
    await bin.answer(0);
    silence(server);
    await bin.advance(10_100);
    bin.send(claiming('tools/call', { name: 'writes', arguments: {} }, ''));
    expect(await bin.answer('')).toMatchObject({ result: { content: [] } });
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('the listener sends on a long idle connection neither initialize nor a call that must not run twice', async () => {
    const { losing, silence } = silencer();
    const { bin, server, ask } = await startListening({
      movableClock: true,
      keepAliveTimeoutMs: 0,
      behaviour: losing(new SessionServer({ tools: TOOLS, on }).behaviour),
    });
    const headers = await openSession(ask);
    await ask({ headers, body: { jsonrpc: '2.0', id: 1, method: 'tools/list' } });
    silence(server);
    await bin.advance(2_100);
    const next = await openSession(ask, 'second');
    expect(next['mcp-session-id']).toBeDefined();
    silence(server);
    await bin.advance(10_100);
    const call = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'writes', arguments: {} } };
    expect((await ask({ headers: next, body: call })).json).toMatchObject({ id: 0, result: {} });
    expect(server.of('tools/call')).toHaveLength(1);
    expect(server.of('initialize')).toHaveLength(2);
  });

  it.each(['reads', 'repeats'])(
    'a call that may run twice is sent on a new connection after 15 s of silence: %s',
    async (name) => {
      const { losing, silence } = silencer();
      const { bin, server } = await startInitialized(options({ before: losing }));
      await bin.request('tools/list', {}, 0);
      silence(server);
      const answer = bin.request('tools/call', { name }, '');
      await server.until(() => server.of('tools/call').length === 1);
      await bin.advance(14_000);
      expect(server.of('tools/call')).toHaveLength(1);
      await bin.advance(1_100);
      expect(await answer).toMatchObject({ result: { content: [] } });
      const [dead = 0, alive = 0] = connectionsOf(server, 'tools/call');
      expect(alive).toBeGreaterThan(dead);
      expect(await bin.request('tools/call', { name }, 1)).toHaveProperty('result');
      expect(connectionsOf(server, 'tools/call')).toEqual([dead, alive, alive]);
    },
  );

  it('a call that must not run twice, sent on a kept connection before the rest was long, is sent once', async () => {
    const { losing, silence } = silencer();
    const { bin, server } = await startInitialized(
      options({ before: losing, args: ['--tool-timeout', '60'] }),
    );
    await bin.request('tools/list', {}, 0);
    silence(server);
    const answer = bin.request('tools/call', { name: 'writes' }, 'x');
    await server.until(() => server.of('tools/call').length === 1);
    await bin.advance(60_100);
    expect(await answer).toMatchObject({ error: { data: { reason: 'timeout', mayHaveRun: true } } });
    expect(server.of('tools/call')).toHaveLength(1);
  });
});

describe('a kept connection that is well', () => {
  it('a kept connection in use serves calls that must not run twice, with pauses of less than 10 s', async () => {
    const { bin, server } = await startInitialized(options());
    for (let id = 0; id < 3; id++) {
      expect(await bin.request('tools/call', { name: 'writes' }, id)).toHaveProperty('result');
      await bin.advance(9_000);
    }
    expect(new Set(connectionsOf(server, 'tools/call')).size).toBe(1);
  });
});
