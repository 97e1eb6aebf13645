import { describe, expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit, Layer } from '../../../src/core/pipeline/call.ts';
import { Events } from '../../../src/core/pipeline/events.ts';
import { Breaker, breaker } from '../../../src/layers/breaker.ts';
import { ClientState } from '../../../src/upstream/session/client-state.ts';
import { Opener, type SessionOpening } from '../../../src/upstream/session/opener.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { messageOf, requestOf } from '../../support/make-call.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../../support/mcp-behaviours.ts';
import { makeGate } from '../../support/relayed.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, never, settled } from '../http/connection-rig.ts';
import { transportTo } from '../transport/transport-rig.ts';

const emit: Emit = async () => undefined;
const noted = (): void => undefined;
const silence: Handler = () => undefined;
const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'c', version: '1' },
};

async function rig(options: SessionServerOptions = {}, layers: readonly Layer[] = []) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { keepAliveTimeoutMs: 0 });
  const clock = new FakeClock({ now: Date.now() });
  const { transport, events } = transportTo(server, { clock, max: 4 });
  const told = new ClientState();
  const session = { transport, clock, events, readTimeoutMs: 0 };
  const opener = new Opener({ session, layers, clientState: told });
  const opening: SessionOpening = {
    client: { id: 'client-1' },
    request: requestOf('initialize', INITIALIZE, '') as Request,
    emit,
    version: '2025-11-25',
  };
  return { mcp, server, clock, told, opener, opening };
}

describe("opening a session with the client's params", () => {
  it("the opener sends initialize under ids of the proxy, initialized, and the client's state", async () => {
    const { server, opener, opening, told } = await rig();
    told.remember(requestOf('logging/setLevel', { level: 'info' }));
    const session = await opener.open(opening, never, noted, 'recovery');
    expect(session.version).toBe('2025-11-25');
    expect(session.initializeResult).toMatchObject({ serverInfo: { name: 'scripted' } });
    const said = server.requests
      .filter(({ method }) => method === 'POST')
      .map(({ rpc }) => [rpc.id, rpc.method]);
    expect(said).toEqual([
      ['mcp-sigv4-proxy:1', 'initialize'],
      [undefined, 'notifications/initialized'],
      ['mcp-sigv4-proxy:2', 'logging/setLevel'],
    ]);
  });

  it('the opener passes every initialize through its layers', async () => {
    const seen: string[] = [];
    const layer: Layer = (next) => (call) => {
      seen.push(`${call.profile} ${call.message.kind === 'request' ? call.message.method : ''}`);
      return next(call);
    };
    const { opener, opening } = await rig({}, [layer]);
    await opener.open(opening, never, noted, 'recovery');
    expect(seen).toEqual(['dev initialize']);
  });

  it('the opener reports a silent server as a failure, which the breaker counts', async () => {
    const clock = new FakeClock({ now: Date.now() });
    const circuit = new Breaker({ threshold: 1, resetMs: 30_000, clock, profile: '', events: new Events() });
    const {
      server,
      clock: time,
      opener,
      opening,
    } = await rig({ on: { initialize: silence } }, [breaker(circuit)]);
    const opened = opener.open(opening, never, noted, 'recovery');
    opened.catch(() => undefined);
    await server.until(() => server.of('initialize').length === 1);
    await time.advance(30_000);
    await expect(opened).rejects.toMatchObject({ reason: 'timeout' });
    expect(circuit.state).toMatchObject({ is: 'open', cause: 'no answer to initialize within 30 s' });
  });

  it('the opener publishes the session before it sends anything on it, so that no message is missed', async () => {
    const { server, opener, opening } = await rig();
    let before = -1;
    await opener.open(
      opening,
      never,
      () => {
        before = server.of('notifications/initialized').length;
      },
      'recovery',
    );
    expect(before).toBe(0);
  });

  it('the opener ends after 30 s if the server stays silent, also in the middle, and deletes what it opened', async () => {
    const { mcp, server, clock, opener, opening } = await rig({
      on: { 'notifications/initialized': silence },
    });
    const opened = opener.open(opening, never, noted, 'recovery');
    opened.catch(() => undefined);
    await server.until(() => server.of('notifications/initialized').length === 1);
    await clock.advance(29_999);
    expect(await settled(opened)).toBe(false);
    await clock.advance(1);
    await expect(opened).rejects.toThrow('no answer to initialize within 30 s');
    await comesTrue(() => mcp.deleted.length === 1, 'the session was deleted');
    await comesTrue(() => clock.timers === 0, 'no timer is left');
  });

  it('the opener waits half a second after its abort for an answer that names a session to delete', async () => {
    const { server, clock, opener, opening } = await rig({ on: { initialize: silence } });
    const controller = new AbortController();
    const opened = opener.open(opening, controller.signal, noted, 'recovery');
    opened.catch(() => undefined);
    await server.until(() => server.of('initialize').length === 1);
    const reason = new Error('the proxy is ending');
    controller.abort(reason);
    await clock.advance(499);
    expect(await settled(opened)).toBe(false);
    await clock.advance(1);
    await expect(opened).rejects.toBe(reason);
    expect(clock.timers).toBe(0);
  });

  it('the opener deletes a session that is no longer needed when it opens, and sends it nothing', async () => {
    const gate = makeGate();
    const { mcp, server, clock, opener, opening } = await rig({
      on: {
        initialize: async (_request, _response, context) => {
          await gate.opened;
          return context.fallback();
        },
      },
    });
    const controller = new AbortController();
    const opened = opener.open(opening, controller.signal, noted, 'recovery');
    opened.catch(() => undefined);
    await server.until(() => server.of('initialize').length === 1);
    const reason = new Error('the proxy is ending');
    controller.abort(reason);
    gate.open();
    await expect(opened).rejects.toBe(reason);
    expect(mcp.deleted).toHaveLength(1);
    expect(server.of('notifications/initialized')).toHaveLength(0);
    expect(clock.timers).toBe(0);
  });

  it('the opener drops client state that the server refuses, and nothing else', async () => {
    const refuse: Handler = (_request, _response, context) => context.error(-32602, 'no such resource');
    const { server, opener, opening, told } = await rig({ on: { 'resources/subscribe': refuse } });
    told.remember(requestOf('resources/subscribe', { uri: 'a://gone' }));
    await opener.open(opening, never, noted, 'recovery');
    expect(server.of('resources/subscribe')).toHaveLength(1);
  });
});

describe('messages repeated on another session', () => {
  it('a repeated message has an id of the proxy, and a notification is unchanged', async () => {
    const { server, opener, opening } = await rig();
    const session = await opener.open(opening, never, noted, 'recovery');
    await opener.repeat(session, opening, requestOf('logging/setLevel', { level: 'info' }, 0) as Request);
    const roots = messageOf({ method: 'notifications/roots/list_changed' });
    if (roots.kind === 'notification') await opener.repeat(session, opening, roots);
    expect(server.of('logging/setLevel')[0]?.rpc.id).toBe('mcp-sigv4-proxy:2');
    expect(server.of('notifications/roots/list_changed')).toHaveLength(1);
  });

  it('a repeated message holds nothing for longer than 30 s, and its failure reaches nobody', async () => {
    const { server, clock, opener, opening } = await rig({ on: { 'logging/setLevel': silence } });
    const session = await opener.open(opening, never, noted, 'recovery');
    const request = requestOf('logging/setLevel', { level: 'info' }, -1) as Request;
    const repeated = opener.repeat(session, opening, request);
    await server.until(() => server.of('logging/setLevel').length === 1);
    await clock.advance(30_000);
    expect(await repeated).toBeUndefined();
    await server.close();
    expect(await opener.repeat(session, opening, request)).toBeUndefined();
  });
});

describe('a request of the proxy', () => {
  it('a request of the proxy returns the whole answer, also an error', async () => {
    const { server, opener, opening } = await rig();
    const session = await opener.open(opening, never, noted, 'recovery');
    expect(await opener.request(session, opening, 'ping', never)).toMatchObject({ result: {} });
    expect(await opener.request(session, opening, 'prompts/list', never)).toMatchObject({
      error: { code: -32601 },
    });
    expect(server.of('ping')[0]?.rpc).toEqual({ jsonrpc: '2.0', id: 'mcp-sigv4-proxy:2', method: 'ping' });
  });
});
