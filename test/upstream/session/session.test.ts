import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Id, Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import { Session } from '../../../src/upstream/session/session.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeCall, makeToolCall, messageOf, requestOf } from '../../support/make-call.ts';
import { makeGate } from '../../support/relayed.ts';
import { type RecordedRequest, ScriptedServer } from '../../support/scripted-server.ts';
import { TEST_KEY } from '../../support/signing.ts';
import { comesTrue, never, settled } from '../http/connection-rig.ts';
import { ScriptedKeys, transportTo } from '../transport/transport-rig.ts';

type Script = (request: RecordedRequest, response: ServerResponse) => void;

const resultFor = (id: unknown): string => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`;

/** A session that is open, with a server that follows the script in all but the handshake. */
async function openSession(script: Script, { readTimeoutMs = 0, keys = new ScriptedKeys(), max = 1 } = {}) {
  const server = await ScriptedServer.start(
    (request, response) => {
      if (request.rpc.method !== 'initialize') return script(request, response);
      response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'the-session' });
      response.end(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`);
    },
    { keepAliveTimeoutMs: 0 },
  );
  const clock = new FakeClock({ now: Date.now() });
  const rig = transportTo(server, { clock, keys, max });
  const emitted: Message[] = [];
  const emit = async (message: Message): Promise<void> => void emitted.push(message);
  const session = new Session({ transport: rig.transport, clock, events: rig.events, readTimeoutMs }, emit);
  const initialize = requestOf('initialize', { protocolVersion: '2025-11-25' });
  await session.initialize(makeCall(initialize, { emit }).call, initialize as Request);
  const ask = (id: Id) => {
    const made = makeToolCall(id);
    const reply = session.request(made.call);
    reply.catch(() => undefined);
    return { reply, cancel: made.cancel };
  };
  return { ...rig, server, clock, session, ask, emitted };
}

const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : reply.kind);
const bodiesOf = (server: ScriptedServer, method: string) => server.of(method).map(({ text }) => text);
const beginStream = (response: ServerResponse): void =>
  response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();

describe('a request that its caller gives up', () => {
  it('a cancelled request is not re-sent after its first attempt', async () => {
    const keys = new ScriptedKeys();
    const [asked, renew] = [makeGate(), makeGate()];
    keys.refresh = async () => {
      asked.open();
      await renew.opened;
      return TEST_KEY;
    };
    const { server, ask } = await openSession(
      (request, response) => {
        if (request.rpc.id === 'next') return void response.writeHead(500).end();
        response.writeHead(403, { 'x-amzn-errortype': 'ExpiredTokenException' });
        response.end('{"message":"The security token included in the request is expired"}');
      },
      { keys },
    );
    const { reply, cancel } = ask('');
    await asked.opened;
    const reason = new Error('cancelled');
    cancel(reason);
    await expect(reply).rejects.toBe(reason);
    renew.open();
    await settled(reply);
    // On the only connection, a second attempt would come before the next call.
    await expect(ask('next').reply).rejects.toMatchObject({ reason: 'http-status' });
    expect(server.of('tools/call').map(({ rpc }) => rpc.id)).toEqual(['', 'next']);
  });

  it('a request that is cancelled before it has a connection rejects as not sent', async () => {
    const { server, ask } = await openSession(() => undefined);
    ask(0);
    const { reply, cancel } = ask(-1);
    await server.until(() => server.of('tools/call').length === 1);
    cancel(new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'was not sent' }));
    await expect(reply).rejects.toMatchObject({ reason: 'timeout', message: 'was not sent', sent: 'no' });
  });

  it('a cancelled request frees its connection at once, and is cut a second later', async () => {
    const { server, ask, lanes, clock } = await openSession(() => undefined);
    const { reply, cancel } = ask(0);
    await server.until(() => server.of('tools/call').length === 1);
    const reason = new Error('cancelled');
    cancel(reason);
    await expect(reply).rejects.toBe(reason);
    expect(lanes.request.active).toBe(0);
    const socket = server.of('tools/call')[0]?.socket;
    await clock.advance(999);
    expect(socket?.destroyed).toBe(false);
    await clock.advance(1);
    await comesTrue(() => socket?.destroyed === true, 'cut');
  });

  it('a cancelled request is cut as soon as the server has accepted the cancellation', async () => {
    const { server, ask, session } = await openSession((request, response) => {
      if (request.rpc.method === 'notifications/cancelled') response.writeHead(202).end();
    });
    const { cancel } = ask(0);
    await server.until(() => server.of('tools/call').length === 1);
    cancel();
    const { text } = messageOf({ method: 'notifications/cancelled', params: { requestId: 0 } });
    await session.cancel(0, text, never);
    await comesTrue(() => server.of('tools/call')[0]?.socket.destroyed === true, 'cut');
    expect(bodiesOf(server, 'notifications/cancelled')).toEqual([text]);
    expect(await session.cancel(7, text, never)).toEqual({ kind: 'accepted' });
    expect(server.of('notifications/cancelled')).toHaveLength(1);
  });
});

describe('an answered stream', () => {
  it('an answered stream frees its connection after a second, and is cut after a minute', async () => {
    let stream: ServerResponse | undefined;
    const { server, ask, lanes, clock, dropped } = await openSession((request, response) => {
      beginStream(response);
      response.write(`data: ${resultFor(request.rpc.id)}\n\n`);
      stream ??= response;
    });
    const { reply } = ask('');
    expect(textOf(await reply)).toBe(resultFor(''));
    expect(lanes.request.active).toBe(1);
    await clock.advance(1_000);
    expect(lanes.request.active).toBe(0);
    stream?.write(`data: ${resultFor('nobody')}\n\n`);
    await comesTrue(() => dropped().length === 1, 'the late message was read');
    const socket = server.of('tools/call')[0]?.socket;
    await clock.advance(59_000);
    await comesTrue(() => socket?.destroyed === true, 'cut');
  });

  it('an answered stream delivers the answer of another call', async () => {
    const streams = new Map<unknown, ServerResponse>();
    const { ask, server } = await openSession(
      (request, response) => {
        beginStream(response);
        streams.set(request.rpc.id, response);
      },
      { max: 2 },
    );
    const [one, two] = [ask(0), ask('0')];
    await server.until(() => streams.size === 2);
    streams.get(0)?.write(`data: ${resultFor('0')}\n\ndata: ${resultFor(0)}\n\n`);
    expect([textOf(await one.reply), textOf(await two.reply)]).toEqual([resultFor(0), resultFor('0')]);
  });
});

describe('silence on a stream', () => {
  it('a stream that is silent longer than --read-timeout fails, and the server is notified', async () => {
    const { server, ask, clock } = await openSession(
      (request, response) => {
        if (request.rpc.method === 'tools/call') {
          beginStream(response);
          response.write(': hello\n\n');
        } else response.writeHead(202).end();
      },
      { readTimeoutMs: 5_000 },
    );
    const { reply } = ask(-1);
    await server.until(() => server.of('tools/call').length === 1);
    await comesTrue(() => clock.timers > 0, 'the watch runs');
    await clock.advance(4_999);
    expect(await settled(reply)).toBe(false);
    await clock.advance(5_000);
    await expect(reply).rejects.toMatchObject({
      reason: 'timeout',
      sent: 'maybe',
      message: expect.stringContaining('--read-timeout'),
    });
    await server.until(() => server.of('notifications/cancelled').length === 1);
    expect(server.of('notifications/cancelled')[0]?.rpc.params).toMatchObject({ requestId: -1 });
  });
});

describe('closing a session', () => {
  it('a closed session is deleted once, with its id and protocol version', async () => {
    const { server, session } = await openSession((_request, response) => void response.writeHead(204).end());
    await session.close();
    await session.close();
    expect(
      server.of('DELETE').map(({ headers }) => [headers['mcp-session-id'], headers['mcp-protocol-version']]),
    ).toEqual([['the-session', '2025-11-25']]);
  });

  it('a closed session posts no response and no progress without its session id', async () => {
    const { server, session } = await openSession((_request, response) => void response.writeHead(204).end());
    const closing = session.close();
    for (const late of [
      '{"jsonrpc":"2.0","id":0,"result":{"action":"accept"}}',
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"","progress":1}}',
    ])
      expect(await session.notify(late, new AbortController().signal)).toEqual({ kind: 'accepted' });
    await closing;
    expect(server.requests.map(({ method, rpc }) => rpc.method ?? method)).toEqual(['initialize', 'DELETE']);
  });

  it('a closed session waits at most a second for the answer to DELETE', async () => {
    const { server, session, clock, lanes } = await openSession(() => undefined);
    const closing = session.close();
    await server.until(() => server.of('DELETE').length === 1);
    await clock.advance(999);
    expect(await settled(closing)).toBe(false);
    await clock.advance(1);
    await closing;
    await comesTrue(() => lanes.control.active === 0, 'its place given back');
  });
});

describe('a session that is lost', () => {
  it('a lost session posts nothing more', async () => {
    const { server, session } = await openSession((_request, response) => void response.writeHead(202).end());
    session.markLost();
    const late = '{"jsonrpc":"2.0","id":0,"result":{}}';
    expect(await session.notify(late, new AbortController().signal)).toEqual({ kind: 'accepted' });
    await session.close();
    expect(server.requests.map(({ rpc }) => rpc.method)).toEqual(['initialize']);
  });
});
