import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Id } from '../../src/core/jsonrpc/message.ts';
import { claiming, ENVELOPE, startDual } from '../support/claims.ts';
import { openSession, startListening as startHttp } from '../support/listening.ts';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { makeGate, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { startClientV1, startClientV2 } from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';

const CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

const isChange = ({ method }: Rpc): boolean => method === CHANGED.method;

const names = (answer: Rpc): unknown[] => {
  const { tools } = answer.result as { tools: { name: unknown }[] };
  return tools.map(({ name }) => name);
};

/** A server whose tools the test sets; counts its tools/list requests. */
async function start(args: readonly string[] = [], options: RelayedOptions = {}) {
  const tools = { names: ['a'], error: undefined as string | undefined, ready: Promise.resolve() };
  const relayed = await startInitialized({
    args,
    ...options,
    on: {
      'tools/list': async (_request, _response, { result, error }) => {
        await tools.ready;
        if (tools.error === undefined) result({ tools: tools.names.map((name) => ({ name })) });
        else error(-32_050, tools.error);
      },
      ...options.on,
    },
  });
  const { bin, server } = relayed;
  const list = async (id?: unknown): Promise<unknown[]> =>
    names(await bin.request('tools/list', undefined, id));
  return { ...relayed, tools, list, lists: () => server.of('tools/list').length };
}

describe('tools/list in the cache', () => {
  it('tools/list is answered from the cache while the server announces changes, and reread after list_changed', async () => {
    const { bin, mcp, tools, list, lists } = await start();
    expect(await list(0)).toEqual(['a']);
    bin.send('{"jsonrpc":"2.0","method":"tools/list","id":"\\u0061"}');
    expect(names(await bin.answer('a'))).toEqual(['a']);
    expect(bin.lines.at(-1)).toContain('"id":"\\u0061"');
    expect(await list(-1)).toEqual(['a']);
    expect(lists()).toBe(1);
    tools.names = ['a', 'b'];
    mcp.broadcast(CHANGED);
    await bin.next(isChange);
    expect(await list('')).toEqual(['a', 'b']);
    expect(await list('1')).toEqual(['a', 'b']);
    expect(lists()).toBe(2);
    expect(bin.stderr).toBe('');
  });

  it.each<[string, RelayedOptions]>([
    ['has no stream to tell on', { getStream: false }],
    ['does not say that it tells', { capabilities: { tools: {} } }],
  ])('tools/list is sent each time to a server that %s', async (_what, options) => {
    const { tools, list, lists } = await start([], options);
    expect(await list()).toEqual(['a']);
    tools.names = ['b'];
    expect(await list()).toEqual(['b']);
    expect(lists()).toBe(2);
  });

  it('tools/list is reread after the end of the stream on which the server would have announced changes', async () => {
    const gate = makeGate();
    let opened = 0;
    const { server, tools, list } = await start([], {
      on: {
        GET: async (_request, response, context) => {
          if (opened++ > 0) return sendJson(response, 405, {});
          const stream = context.events();
          await gate.opened;
          stream.end();
        },
      },
    });
    expect(await list()).toEqual(['a']);
    tools.names = ['b'];
    expect(await list()).toEqual(['a']);
    gate.open();
    await server.until(() => server.of('GET').length === 2);
    expect(await list()).toEqual(['b']);
  });

  it('tools/list is cached for --tool-cache-ttl, and not at all with 0', async () => {
    const kept = await start(['--tool-cache-ttl', '60'], { getStream: false });
    await kept.list();
    kept.tools.names = ['b'];
    expect(await kept.list()).toEqual(['a']);
    const never = await start([], { env: { MCP_PROXY_TOOL_CACHE_TTL: '0' } });
    await never.list();
    never.tools.names = ['b'];
    expect(await never.list()).toEqual(['b']);
    expect([kept.lists(), never.lists()]).toEqual([1, 2]);
  });

  it('tools/list is sent once for parallel requests, even if the first of them is cancelled', async () => {
    const gate = makeGate();
    const { bin, server, lists } = await start([], {
      on: {
        'tools/list': async (_request, _response, { result }) => {
          await gate.opened;
          result({ tools: [{ name: 'late' }] });
        },
      },
    });
    bin.send({ jsonrpc: '2.0', id: 'leaves', method: 'tools/list' });
    await server.until(() => lists() === 1);
    for (const id of [0, '', -1]) bin.send({ jsonrpc: '2.0', id, method: 'tools/list' });
    await bin.request('ping', undefined, 'all have asked');
    bin.notify('notifications/cancelled', { requestId: 'leaves' });
    await bin.request('ping', undefined, 'ping');
    gate.open();
    for (const id of [0, '', -1]) expect(names(await bin.answer(id))).toEqual(['late']);
    expect(lists()).toBe(1);
    expect(server.of('notifications/cancelled')).toEqual([]);
    expect(bin.messages.filter(({ id }) => id === 'leaves')).toEqual([]);
  });

  it('tools/list is cancelled at the server if no other request waits for it', async () => {
    const { bin, server } = await start([], { on: { 'tools/list': () => undefined } });
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/list' });
    await server.until(() => server.of('tools/list').length === 1);
    bin.notify('notifications/cancelled', { requestId: 0 });
    await server.until(() => server.of('notifications/cancelled').length === 1);
    expect(server.of('notifications/cancelled')[0]?.rpc.params).toMatchObject({ requestId: 0 });
  });

  it('tools/list returns the last list with a warning in the log if the server fails; an error if there is none', async () => {
    const { bin, tools, list, lists } = await start(['--tool-cache-ttl', '0', '--log-level', 'warn']);
    tools.error = 'The catalogue is closed';
    const bothHaveAsked = makeGate();
    tools.ready = bothHaveAsked.opened;
    const failing = ['x', 'y'].map((id) => bin.request('tools/list', undefined, id));
    await bin.request('ping', undefined, 'both have asked');
    bothHaveAsked.open();
    const failed = await Promise.all(failing);
    expect(failed).toMatchObject([
      { id: 'x', error: { code: -32_050 } },
      { id: 'y', error: { code: -32_050 } },
    ]);
    expect(lists()).toBe(1);
    tools.error = undefined;
    expect(await bin.request('tools/list', { cursor: 'other' }, 'other')).toHaveProperty('result');
    expect(await list()).toEqual(['a']);
    tools.error = 'The catalogue is closed';
    expect(await list('last')).toEqual(['a']);
    await bin.stderrMatching(/tools\.refresh-failed.*\n/);
    expect(bin.stderr).toContain('"message":"The catalogue is closed"');
  });

  it('tools/list is reread in a replacement session, and the client is notified of a difference', async () => {
    const { bin, mcp, server, tools, list } = await start(['--log-level', 'info']);
    expect(await list()).toEqual(['a']);
    mcp.forgetSessions();
    tools.names = ['b'];
    await bin.request('ping');
    await server.until(() => server.of('initialize').length === 2);
    expect(await list()).toEqual(['b']);
    await bin.next(isChange);
    await bin.stderrMatching(/tools\.changed/);
  });

  it('a change that the server has not announced makes the proxy emit list_changed once', async () => {
    const { bin, tools, list } = await start(['--tool-cache-ttl', '0', '--log-level', 'info']);
    await list();
    await list();
    tools.names = ['a', 'b'];
    await list();
    await bin.next(isChange);
    await list();
    await bin.request('ping');
    expect(bin.messages.filter(isChange)).toHaveLength(1);
    await bin.stderrMatching(/tools\.changed.*\n/);
    const changes = bin.stderr.split('\n').filter((line) => line.includes('tools.changed'));
    expect(changes.map((line) => JSON.parse(line))).toMatchObject([{ announced: false }]);
  });

  it('a list with its keys in another order is not a change, also in a new session', async () => {
    let turn = 0;
    const tool = { name: 'a', inputSchema: { type: 'object', properties: { x: {} } } };
    const turned = { inputSchema: { properties: { x: {} }, type: 'object' }, name: 'a' };
    const server = { name: 's', version: '1' };
    const { bin, mcp } = await startInitialized({
      args: ['--tool-cache-ttl', '0', '--log-level', 'info'],
      on: {
        initialize: (request, response, context) => {
          response.setHeader('mcp-session-id', `s-${turn}`);
          context.server.sessions.set(`s-${turn}`, {
            id: `s-${turn}`,
            initializeParams: {},
            initialized: false,
            streams: new Set(),
          });
          const protocolVersion = '2025-11-25';
          const capabilities = { tools: { listChanged: true }, logging: {} };
          const result =
            turn++ === 0
              ? { protocolVersion, capabilities, serverInfo: server }
              : {
                  serverInfo: { version: '1', name: 's' },
                  capabilities: { logging: {}, tools: { listChanged: true } },
                  protocolVersion,
                };
          sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result });
        },
        'tools/list': (_request, _response, context) =>
          context.result({ tools: turn++ % 2 === 0 ? [tool] : [turned] }),
      },
    });
    for (const id of [0, 1, 2]) await bin.request('tools/list', {}, id);
    mcp.forgetSessions();
    await bin.request('tools/list', {}, 3);
    await bin.request('ping', {}, 4);
    expect(bin.messages.filter(isChange)).toEqual([]);
    expect(bin.stderr).not.toContain('tools.changed');
  });

  it('tools/list is never returned to another identity, not even if the server fails', async () => {
    const keysOf = (id: string) => `[default]\naws_access_key_id = ${id}\naws_secret_access_key = secret\n`;
    const { bin, server, tools, list, lists } = await start(
      ['--tool-cache-ttl', '60', '--log-level', 'silent'],
      {
        env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
        files: { '.aws/credentials': keysOf('AKIDONE') },
        verify: false,
      },
    );
    expect(await list()).toEqual(['a']);
    expect(await list()).toEqual(['a']);
    writeFileSync(join(bin.home, '.aws/credentials'), keysOf('AKIDTHEOTHER'));
    tools.error = 'Who are you?';
    expect(await bin.request('tools/list')).toMatchObject({ error: { message: 'Who are you?' } });
    expect(lists()).toBe(2);
    expect(server.of('tools/list').at(-1)?.headers.authorization).toContain('AKIDTHEOTHER');
    tools.error = undefined;
    expect(await list()).toEqual(['a']);
  });

  it('--read-only filters tools/list in the same way from the server and from the cache', async () => {
    const { bin, server } = await startInitialized({ args: ['--read-only', '--tool-cache-ttl', '60'] });
    const first = await bin.request('tools/list', undefined, 0);
    const second = await bin.request('tools/list', undefined, '');
    expect(names(first)).toEqual(['echo']);
    expect(second.result).toEqual(first.result);
    expect(server.of('tools/list')).toHaveLength(1);
    // An unknown tool makes the proxy read the list, which is then cached.
    await bin.request('tools/call', { name: 'nothing' }, 1);
    await bin.request('tools/list', undefined, -1);
    expect(server.of('tools/list')).toHaveLength(2);
  });
});

/** A server of the stateless era: the test sets its tools and what the listen stream sends. */
async function startListening(args: readonly string[] = []) {
  const tools = { names: ['a'], more: {} as Rpc };
  const streams: EventWriter[] = [];
  const relayed = await startDual(
    (request, response) => {
      const { id, method, params } = request.rpc;
      if (method === 'tools/list') {
        const listed = tools.names.map((name) => ({ name, annotations: { readOnlyHint: true } }));
        const result = { resultType: 'complete', tools: listed, ...tools.more };
        return sendJson(response, 200, { jsonrpc: '2.0', id, result });
      }
      if (method !== 'subscriptions/listen') {
        return sendJson(response, 200, { jsonrpc: '2.0', id, result: { content: [] } });
      }
      const stream = new EventWriter(response);
      streams.push(stream);
      stream.send({
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: params?.notifications, _meta: { [SUBSCRIPTION]: id } },
      });
    },
    { args },
  );
  const { bin, server } = relayed;
  const listen = async (id: unknown, notifications: Rpc): Promise<void> => {
    bin.send({ ...claiming('subscriptions/listen', { notifications }), id });
    await bin.next(({ method }) => method === 'notifications/subscriptions/acknowledged');
  };
  const list = async (id: Id): Promise<unknown[]> => {
    bin.send(claiming('tools/list', {}, id));
    return names(await bin.answer(id));
  };
  const change = (id: unknown): void =>
    streams[0]?.send({ ...CHANGED, params: { _meta: { [SUBSCRIPTION]: id } } });
  return { bin, server, tools, listen, list, change, lists: () => server.of('tools/list').length };
}

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

describe('tools/list of the stateless era', () => {
  it.each([
    [60_000, 1],
    [0, 2],
    [-1, 2],
  ])('a stateless tools/list is cached for the ttl of the server: %i ms', async (ttlMs, asked) => {
    const { tools, list, lists } = await startListening();
    tools.more = { ttlMs, cacheScope: 'public' };
    expect(await list(0)).toEqual(['a']);
    expect(await list('')).toEqual(['a']);
    expect(lists()).toBe(asked);
  });

  it('a stateless tools/list is cached while a subscription announces changes, until the first one', async () => {
    const { bin, tools, listen, list, change, lists } = await startListening();
    await listen('l', { toolsListChanged: true });
    expect(await list(0)).toEqual(['a']);
    tools.names = ['b'];
    expect(await list('')).toEqual(['a']);
    change('l');
    await bin.next(isChange);
    expect(await list(-1)).toEqual(['b']);
    expect(lists()).toBe(2);
    bin.notify('notifications/cancelled', { requestId: 'l' });
    tools.names = ['c'];
    await bin.request('ping', { _meta: ENVELOPE }, 'ping');
    expect(await list('after')).toEqual(['c']);
  });

  it('a stateless tools/list is sent each time if the subscription is about something else', async () => {
    const { listen, list, lists } = await startListening();
    await listen(0, { promptsListChanged: true });
    await list(1);
    await list(2);
    expect(lists()).toBe(2);
  });

  it('a change that the server has not announced is emitted on the stateless subscription, under its id', async () => {
    const { bin, tools, listen, list } = await startListening(['--read-only']);
    await listen(0, { toolsListChanged: true });
    await list(1);
    tools.names = ['a', 'b'];
    // A name that no list contains is looked up past the cache.
    bin.send(claiming('tools/call', { name: 'b' }, 'call'));
    expect(await bin.answer('call')).toHaveProperty('result');
    const received = await bin.next(isChange);
    expect(received.params).toEqual({ _meta: { [SUBSCRIPTION]: 0 } });
    expect(await list('now')).toEqual(['a', 'b']);
  });
});

describe('tools/list of a listener client', () => {
  it.each([
    [[], 3],
    [['--tool-cache-ttl', '60'], 2],
  ])(
    'tools/list of a listener client is sent per session, and each time unless a time is set: %j',
    async (args, asked) => {
      const { ask, server } = await startHttp({ args });
      const sessions = [await openSession(ask), await openSession(ask)];
      const bodies = [0, '', -1].map((id) => ({ jsonrpc: '2.0', id, method: 'tools/list' }));
      for (const [at, body] of bodies.entries()) {
        const { json, status } = await ask({ headers: sessions[at === 1 ? 1 : 0] ?? {}, body });
        expect([status, json?.id]).toEqual([200, body.id]);
      }
      expect(server.of('tools/list')).toHaveLength(asked);
    },
  );
});

describe.each([
  ['v1', startClientV1],
  ['v2', startClientV2],
] as const)('a client of SDK %s and the tool cache', (_version, connect) => {
  it('an SDK client lists page by page from the cache, and is notified when the list is no longer current', async () => {
    const tools = { second: 'b' };
    const mcp = new SessionServer({
      on: {
        'tools/list': (_request, _response, { params, result }) =>
          params.cursor === undefined
            ? result({ tools: [{ name: 'a', inputSchema: { type: 'object' } }], nextCursor: 'p2' })
            : result({ tools: [{ name: tools.second, inputSchema: { type: 'object' } }] }),
      },
    });
    const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
    const client = await connect(server.url);
    const all = async (): Promise<string[]> => [...(await client.toolNames())];
    const pages = (await all()).includes('b') ? 2 : 1;
    const asked = async (): Promise<number> => {
      const before = server.of('tools/list').length;
      await all();
      return server.of('tools/list').length - before;
    };
    // A list is cached once the stream is open on which its server announces changes.
    await expect.poll(asked).toBe(0);
    tools.second = 'c';
    mcp.broadcast(CHANGED);
    await client.hears('tools changed');
    expect(await asked()).toBe(pages);
  });
});
