import { describe, expect, it } from 'vitest';
import { CommandClient } from '../../src/commands/command-client.ts';
import { serverFactsOf } from '../../src/commands/server-answer.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { sendJson } from '../support/mcp-answers.ts';
import {
  errorOf,
  type Handler,
  SessionServer,
  type SessionServerOptions,
} from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { type Behaviour, ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { makeTempHome } from '../support/temp-home.ts';

async function start(options: SessionServerOptions & { readonly behaviour?: Behaviour } = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(options.behaviour ?? mcp.behaviour);
  const settings = settingsIn(
    await readSettings(parseArguments([server.url, '--auth', 'none']), (await makeTempHome()).env),
  );
  const interrupt = new AbortController();
  const client = new CommandClient({ settings, signal: interrupt.signal });
  return { mcp, server, client, interrupt };
}

const answering =
  (result: unknown): Handler =>
  (_request, response, { id }) =>
    sendJson(response, 200, { jsonrpc: '2.0', id, result });

describe('CommandClient', () => {
  it('the command client opens a session with initialize, sends requests in it, and deletes it', async () => {
    const { mcp, server, client } = await start();
    expect(serverFactsOf(await client.open())).toEqual({
      name: 'scripted',
      version: '0.0.0',
      protocolVersion: '2025-11-25',
      offersTools: true,
    });
    const answer = await client.callTool('echo', '{"text": 1.0}');
    expect(answer.json.result).toMatchObject({ content: [{ type: 'text' }] });
    expect(server.of('tools/call')[0]?.text).toContain('"arguments":{"text": 1.0}');
    expect((await client.request('tools/list')).json.result).toMatchObject({ tools: expect.any(Array) });
    await client.close();
    expect(mcp.deleted).toHaveLength(1);
    expect(server.requests.map(({ rpc }) => rpc.method ?? 'DELETE')).toEqual(
      expect.arrayContaining(['initialize', 'notifications/initialized', 'tools/call', 'tools/list']),
    );
  });

  it('the command client returns results that the MCP SDK finds invalid as the server sent them', async () => {
    const { client } = await start({
      on: { 'tools/list': answering({ tools: [{ name: 7 }] }), 'tools/call': answering(['x']) },
    });
    await client.open();
    expect((await client.request('tools/list', { cursor: '' })).json.result).toEqual({
      tools: [{ name: 7 }],
    });
    expect((await client.callTool('any', '{}')).json.result).toEqual(['x']);
    await client.close();
  });

  it.each<[what: string, result: unknown]>([
    ['no facts', {}],
    ['an unknown revision', { protocolVersion: '1999-01-01', capabilities: {}, serverInfo: { name: 'a' } }],
    ['facts of the wrong type', { protocolVersion: 1, capabilities: { tools: true }, serverInfo: 7 }],
    ['no object', ['x']],
  ])(
    'the command client accepts an initialize result with %s, and sends notifications/initialized',
    async (_what, result) => {
      const { server, client } = await start({ on: { initialize: answering(result) } });
      const opened = await client.open();
      expect(opened.json.result).toEqual(result);
      await client.close();
      expect(server.of('notifications/initialized')).toHaveLength(1);
    },
  );

  it.each([-32601, -32020, -32022])(
    'the command client sends server/discover if initialize is refused with %i, and returns the first error if both fail',
    async (code) => {
      const { server, client } = await start({
        behaviour: ({ rpc }, response) => sendJson(response, 200, errorOf(rpc.id, code, `no ${rpc.method}`)),
      });
      expect((await client.open()).json.error).toMatchObject({ code, message: 'no initialize' });
      expect(server.requests.map(({ rpc }) => rpc.method)).toEqual(['initialize', 'server/discover']);
      await client.close();
    },
  );

  it('the command client returns another error of initialize at once', async () => {
    const { server, client } = await start({
      behaviour: ({ rpc }, response) => sendJson(response, 200, errorOf(rpc.id, -32602, 'not today')),
    });
    expect((await client.open()).json.error).toMatchObject({ code: -32602, message: 'not today' });
    expect(server.requests).toHaveLength(1);
    await client.close();
  });

  it('the command client does not cancel initialize on an interrupt, because the protocol forbids it', async () => {
    const gate = makeGate();
    const { server, client, interrupt } = await start({
      on: { initialize: async (_request, _response, { fallback }) => gate.opened.then(fallback) },
    });
    const reason = new Error('enough');
    const opening = client.open();
    await server.until((requests) => requests.length === 1);
    interrupt.abort(reason);
    await expect(opening).rejects.toBe(reason);
    await expect(client.request('tools/list')).rejects.toBe(reason);
    gate.open();
    await client.close();
    expect(server.of('notifications/cancelled')).toEqual([]);
  });

  it('the command client stops waiting for server/discover on an interrupt', async () => {
    const { server, client, interrupt } = await start({
      behaviour: ({ rpc }, response) => {
        if (rpc.method === 'initialize') sendJson(response, 200, errorOf(rpc.id, -32601, 'no'));
      },
    });
    const reason = new Error('enough');
    const opening = client.open();
    await server.until((requests) => requests.length === 2);
    interrupt.abort(reason);
    await expect(opening).rejects.toBe(reason);
    await server.close();
    await client.close();
  });
});
