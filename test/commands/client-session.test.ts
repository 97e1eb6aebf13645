import { describe, expect, it } from 'vitest';
import { ClientSession, errorTextOf, serverFactsOf } from '../../src/commands/client-session.ts';
import { classify, type Response } from '../../src/core/jsonrpc/message.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { makeTempHome } from '../support/temp-home.ts';

async function open(options: SessionServerOptions = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour);
  const settings = settingsIn(
    await readSettings(parseArguments([server.url, '--auth', 'none']), (await makeTempHome()).env),
  );
  const interrupt = new AbortController();
  const session = new ClientSession({ settings, signal: interrupt.signal });
  return { mcp, server, session, interrupt };
}

const response = (json: object): Response => {
  const message = classify(JSON.stringify(json), json);
  if (typeof message === 'string' || message.kind !== 'response') throw new Error('no response');
  return message;
};

describe('a conversation in this process', () => {
  it('shakes hands, asks, and deletes its session', async () => {
    const { mcp, server, session } = await open();
    const opened = await session.open();
    expect(serverFactsOf(opened)).toEqual({
      name: 'scripted',
      version: '0.0.0',
      protocolVersion: '2025-11-25',
      offersTools: true,
    });
    const [one, other] = await Promise.all([
      session.request('ping'),
      session.request('nothing', { a: '1.0' }),
    ]);
    expect(one.json.result).toEqual({});
    expect(errorTextOf(other)).toBe('The server answered with error -32601: Method not found: nothing');
    expect(server.of('nothing')[0]?.text).toContain('"params":{"a":1.0');
    await session.close();
    expect(mcp.deleted).toHaveLength(1);
    expect(server.of('notifications/initialized')).toHaveLength(1);
  });

  it('that is interrupted in its handshake gives up without a word: initialize cannot be cancelled', async () => {
    const gate = makeGate();
    const { server, session, interrupt } = await open({
      on: { initialize: async (_request, _response, { fallback }) => gate.opened.then(fallback) },
    });
    const reason = new Error('enough');
    const opening = session.open();
    await server.until((requests) => requests.length === 1);
    interrupt.abort(reason);
    await expect(opening).rejects.toBe(reason);
    await expect(session.request('ping')).rejects.toBe(reason);
    gate.open();
    await session.close();
    expect(server.of('notifications/cancelled')).toEqual([]);
  });
});

describe('what an answer says', () => {
  it('of the server is absent where it is missing or misspelled', () => {
    for (const result of [{}, null, { serverInfo: 7, protocolVersion: 1, capabilities: { tools: true } }]) {
      expect(serverFactsOf(response({ jsonrpc: '2.0', id: 0, result }))).toEqual({
        name: undefined,
        version: undefined,
        protocolVersion: undefined,
        offersTools: false,
      });
    }
  });

  it("of an error is told apart: the proxy's own words, or the server's", () => {
    const error = { code: -31001, message: 'Cannot connect.', data: { source: 'mcp-sigv4-proxy' } };
    expect(errorTextOf(response({ jsonrpc: '2.0', id: 0, error }))).toBe('Cannot connect.');
    expect(errorTextOf(response({ jsonrpc: '2.0', id: 0, error: { code: 7 } }))).toBe(
      'The server answered with error 7: no message',
    );
    expect(errorTextOf(response({ jsonrpc: '2.0', id: 0, error: 'odd' }))).toBe(
      'The server answered with error undefined: no message',
    );
  });
});
