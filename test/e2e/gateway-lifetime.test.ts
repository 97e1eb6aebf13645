import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

const HOST = 'g-abc.gateway.bedrock-agentcore.us-east-1.amazonaws.com';

/** The spawned bin in front of a gateway of that name, with a clock that the test moves. */
async function startGateway(options: SessionServerOptions = {}, ...args: string[]) {
  const tls = await makeTlsAuthority([HOST]);
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { tls, keepAliveTimeoutMs: 0 });
  const bin = BinDriver.start({
    args: [
      `https://${HOST}/mcp`,
      ...['--connect-to', `127.0.0.1:${server.port}`, '--ca-bundle', tls.caFile(), ...args],
    ],
    env: signingEnv,
    movableClock: true,
  });
  await bin.initialize({}, 'handshake');
  await server.until(() => server.of('GET').length === 1);
  const echo = (id: unknown) => bin.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, id);
  const pass = (seconds: number): Promise<void> => bin.advance(seconds * 1_000);
  return { server, mcp, bin, echo, pass };
}

describe('a session at an AgentCore gateway, which ends 3,600 s after initialize', () => {
  it('a gateway session is replaced before its end while calls keep it busy, and no call fails', async () => {
    const { server, mcp, bin, echo, pass } = await startGateway();
    for (let at = 0; at < 6; at++) {
      expect(await echo(at)).toHaveProperty('result');
      await pass(530);
    }
    // 3,180 s: the window has not begun.
    expect(server.of('initialize')).toHaveLength(1);
    await pass(60);
    await server.until(() => server.of('DELETE').length === 1);
    expect(server.of('initialize')).toHaveLength(2);
    expect(mcp.deleted).toHaveLength(1);
    expect(await echo('after')).toHaveProperty('result');
    const [first, second] = server.of('GET').map(({ headers }) => headers['mcp-session-id']);
    expect(server.of('tools/call').at(-1)?.headers['mcp-session-id']).toBe(second);
    expect(first).not.toBe(second);
    expect(bin.messages.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(server.of('tools/call')).toHaveLength(7);
  });

  it('a gateway session is not deleted under a call that outlasts it, and later calls go to the next session', async () => {
    const gate = makeGate();
    const { server, mcp, echo, pass } = await startGateway(
      {
        on: {
          'tools/call': async (_request, _response, context) => {
            if (context.id === 'long') await gate.opened;
            return context.fallback();
          },
        },
      },
      ...['--tool-timeout', '0'],
    );
    await pass(3_200);
    const long = echo('long');
    await server.until(() => server.of('tools/call').length === 1);
    // In the window it is in use and stays; at the end of its life another session is opened.
    await pass(339);
    expect(server.of('initialize')).toHaveLength(1);
    await pass(1);
    await server.until(() => server.of('GET').length === 2);
    expect(await echo('next')).toHaveProperty('result');
    expect(mcp.deleted).toEqual([]);
    const [on, next] = server.of('tools/call').map(({ headers }) => headers['mcp-session-id']);
    expect(next).not.toBe(on);
    gate.open();
    expect(await long).toHaveProperty('result');
    await server.until(() => server.of('DELETE').length === 1);
    expect(mcp.deleted).toEqual([on]);
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it('--session-lifetime 0 never replaces a gateway session', async () => {
    const { server, echo, pass } = await startGateway({}, '--session-lifetime', '0');
    await pass(4_000);
    expect(await echo(0)).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(1);
  });
});
