import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { sendJson } from '../../support/mcp-answers.ts';
import { errorOf, type Handler } from '../../support/mcp-behaviours.ts';
import { makeGate } from '../../support/relayed.ts';
import { comesTrue, settled } from '../http/connection-rig.ts';
import { afterwards, clientSessionsWith, textOf } from './client-sessions-rig.ts';

const ok: Handler = (_request, _response, context) => context.result({});
const silence: Handler = () => undefined;
const answers = async (replies: readonly { reply: Promise<unknown> }[]) =>
  Promise.allSettled(replies.map(({ reply }) => reply));

describe('a lost session', () => {
  it('a lost session is replaced once for all calls that fail with it, and each is answered', async () => {
    const { mcp, server, begin, echo } = await clientSessionsWith();
    await begin();
    mcp.forgetSessions();
    const calls = [0, '', -1, 'a', '0', 1.5].map((id) => echo(id));
    for (const { reply } of calls) expect(textOf(await reply)).toContain('"result"');
    expect(server.of('initialize')).toHaveLength(2);
    expect(server.of('notifications/initialized')).toHaveLength(2);
  });

  it('a new session is reported after a loss and after a second initialize, whatever the server declares', async () => {
    const { mcp, replaced, begin, echo } = await clientSessionsWith();
    await begin();
    expect(replaced.times).toBe(0);
    mcp.forgetSessions();
    await echo(0).reply;
    expect(replaced.times).toBe(1);
    await begin();
    expect(replaced.times).toBe(2);
  });

  it('a new session is opened under an id of the proxy, with the params of the client', async () => {
    const { mcp, server, begin, echo } = await clientSessionsWith();
    await begin();
    mcp.forgetSessions();
    await echo(0).reply;
    const [first, second] = server.of('initialize');
    expect(second?.rpc.params).toEqual(first?.rpc.params);
    expect(second?.rpc.id).toBe('mcp-sigv4-proxy:1');
  });

  it('a new session receives log level and subscriptions again', async () => {
    const on = { 'logging/setLevel': ok, 'resources/subscribe': ok };
    const { mcp, server, begin, ask, echo } = await clientSessionsWith({ on });
    await begin();
    await ask('logging/setLevel', { level: 'debug' }, 0).reply;
    await ask('resources/subscribe', { uri: 'a://1' }, '').reply;
    mcp.forgetSessions();
    await echo(-1).reply;
    for (const method of ['logging/setLevel', 'resources/subscribe']) {
      const [said, again] = server.of(method);
      expect(again?.rpc.params).toEqual(said?.rpc.params);
      expect(again?.headers['mcp-session-id']).toBe('s-1');
    }
  });

  it('a call that two sessions lost fails with a remedy and without a third attempt', async () => {
    const lost: Handler = (_request, response) => sendJson(response, 404, errorOf(null, -32001, 'gone'));
    const { server, begin, echo } = await clientSessionsWith({ on: { 'tools/call': lost } });
    await begin();
    await expect(echo(0).reply).rejects.toMatchObject({ reason: 'session-lost', sent: 'refused' });
    expect(server.of('tools/call')).toHaveLength(2);
  });
});

describe('a lost session that cannot be replaced', () => {
  it('a lost session whose server never answers initialize fails every waiting call after 30 s', async () => {
    const { mcp, server, clock, begin, echo } = await clientSessionsWith({
      on: { initialize: afterwards(1, silence) },
    });
    await begin();
    mcp.forgetSessions();
    const calls = [echo(0), echo(''), echo(-1)];
    await server.until(() => server.of('initialize').length === 2);
    await clock.advance(29_999);
    expect(await settled(Promise.race(calls.map(({ reply }) => reply)))).toBe(false);
    await clock.advance(1);
    for (const end of await answers(calls)) {
      expect(end).toMatchObject({
        status: 'rejected',
        reason: {
          reason: 'session-lost',
          sent: 'no',
          message:
            'The MCP session is gone, and a new one could not be opened: no answer to initialize within 30 s. This call did not run. Try again, or reconnect the MCP server in your client. The server said: Session not found',
        },
      });
    }
    // Nothing stays behind of it, and nothing was opened beside it.
    await comesTrue(() => server.of('initialize')[1]?.socket.destroyed === true, 'the attempt was cut');
    expect(server.of('initialize')).toHaveLength(2);
    expect(server.of('tools/call')).toHaveLength(3);
  });

  it('a lost session is replaced with the next call when its server is back', async () => {
    let silent = true;
    const { mcp, server, clock, begin, echo } = await clientSessionsWith({
      on: { initialize: afterwards(1, (_q, _r, context) => (silent ? undefined : context.fallback())) },
    });
    await begin();
    mcp.forgetSessions();
    const failed = echo(0);
    await server.until(() => server.of('initialize').length === 2);
    await clock.advance(30_000);
    await expect(failed.reply).rejects.toMatchObject({ reason: 'session-lost' });
    silent = false;
    expect(textOf(await echo('').reply)).toContain('"result"');
  });

  it('a call that waits for a replacement ends at its own deadline, as not sent', async () => {
    const { mcp, server, begin, echo } = await clientSessionsWith({
      on: { initialize: afterwards(1, silence) },
    });
    await begin();
    mcp.forgetSessions();
    const [first, second] = [echo(0), echo(-1)];
    await server.until(() => server.of('initialize').length === 2);
    first.cancel(new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'did not run' }));
    await expect(first.reply).rejects.toMatchObject({ message: 'did not run', sent: 'no' });
    expect(await settled(second.reply)).toBe(false);
  });

  it.each<[string, Handler, string]>([
    [
      'an error',
      (_q, _r, context) => context.error(-32603, 'out of order'),
      'refused initialize: out of order',
    ],
    [
      'another revision',
      (_q, _r, context) =>
        context.result({ protocolVersion: '2025-06-18', capabilities: {}, serverInfo: {} }),
      'now speaks revision 2025-06-18, not 2025-11-25',
    ],
    [
      'no revision at all',
      (_q, _r, context) => context.result({}),
      'now speaks revision none, not 2025-11-25',
    ],
    ['an unusable answer', (_q, response) => void response.writeHead(200).end('hello'), 'cannot be used'],
  ])(
    'a lost session whose initialize gets %s fails every call with the reason, and the next call tries again',
    async (_what, then, said) => {
      // Held until every call has been told that the session is gone: one that fails later begins anew.
      const held: Handler = async (...exchange) => {
        await server.until(() => server.of('tools/call').length >= 3);
        await then(...exchange);
      };
      const { mcp, server, begin, echo } = await clientSessionsWith({
        on: { initialize: afterwards(1, held) },
      });
      await begin();
      mcp.forgetSessions();
      for (const end of await answers([echo(0), echo(''), echo(-1)])) {
        expect(end).toMatchObject({
          status: 'rejected',
          reason: { reason: 'session-lost', sent: 'no', message: expect.stringContaining(said) },
        });
      }
      expect(server.of('initialize')).toHaveLength(2);
      await expect(echo(1).reply).rejects.toMatchObject({ reason: 'session-lost' });
      expect(server.of('initialize')).toHaveLength(3);
    },
  );

  it('a session that the server loses at once is opened three times', async () => {
    const { mcp, server, begin, echo } = await clientSessionsWith({
      on: {
        'notifications/initialized': afterwards(1, (_q, response) => void response.writeHead(404).end()),
      },
    });
    await begin();
    mcp.forgetSessions();
    await expect(echo(0).reply).rejects.toMatchObject({ reason: 'session-lost', sent: 'no' });
    expect(server.of('initialize')).toHaveLength(4);
  });
});

describe('a notification or response that meets a lost session', () => {
  it.each<[string, Handler]>([
    ['404', (_q, response) => void response.writeHead(404).end()],
    ['-30001 with 403', (_q, response) => sendJson(response, 403, errorOf(null, -30001, 'expired'))],
    [
      '400 without a session',
      (_q, response) => sendJson(response, 400, errorOf(null, -32000, 'No valid session')),
    ],
  ])(
    'a response that meets a lost session by %s is not re-sent, and a new session serves later messages',
    async (_what, refuse) => {
      const { clientSessions, server, begin, echo, seen } = await clientSessionsWith({
        on: { response: refuse },
      });
      await begin();
      const asked = clientSessions.session;
      const late = asked.notify('{"jsonrpc":"2.0","id":0,"result":{}}', new AbortController().signal);
      await expect(late).rejects.toMatchObject({ reason: 'session-lost' });
      await server.until(() => server.of('initialize').length === 2);
      await comesTrue(() => clientSessions.session !== asked, 'the new session');
      expect(asked.lost).toBe(true);
      expect(seen.filter(({ type }) => type === 'session.lost')).toHaveLength(1);
      await echo(0).reply;
      expect(server.of('tools/call')[0]?.headers['mcp-session-id']).toBe('s-1');
      expect(server.requests.filter(({ rpc }) => 'result' in rpc)).toHaveLength(1);
    },
  );

  it('a notification that meets a lost session is re-sent', async () => {
    const lost: Handler = (_q, response) =>
      sendJson(response, 400, errorOf(null, -32000, 'Session not found'));
    let first = true;
    const { begin, say, sessionsThat } = await clientSessionsWith({
      on: {
        'notifications/progress': (request, response, context) => {
          if (!first) return context.fallback();
          first = false;
          return lost(request, response, context);
        },
      },
    });
    await begin();
    const progress = { method: 'notifications/progress', params: { progressToken: 0, progress: 1 } };
    expect((await say(progress)).kind).toBe('accepted');
    expect(sessionsThat('notifications/progress')).toEqual(['s-0', 's-1']);
  });

  it('a response that is refused otherwise does not count as a lost session', async () => {
    const { clientSessions, server, begin } = await clientSessionsWith({
      on: { response: (_q, response) => sendJson(response, 400, errorOf(null, -32602, 'no such request')) },
    });
    await begin();
    const { session } = clientSessions;
    const late = session.notify('{"jsonrpc":"2.0","id":-1,"result":{}}', new AbortController().signal);
    await expect(late).rejects.toMatchObject({ reason: 'http-status' });
    expect(session.lost).toBe(false);
    expect(server.of('initialize')).toHaveLength(1);
  });
});

describe('list changes after a new session', () => {
  /** A server that declares another version with every session. */
  const changing = (): { readonly on: Record<string, Handler>; version: number } => {
    const state = {
      version: 0,
      on: {
        initialize: (_request, response, context) => {
          const id = `v-${state.version++}`;
          context.server.sessions.set(id, {
            id,
            initializeParams: {},
            initialized: false,
            streams: new Set(),
          });
          response.setHeader('mcp-session-id', id);
          return context.result({
            protocolVersion: '2025-11-25',
            capabilities: { tools: { listChanged: true } },
            serverInfo: { name: 'x', version: String(state.version) },
          });
        },
      } as Record<string, Handler>,
    };
    return state;
  };
  const TOOLS = 'notifications/tools/list_changed';

  it('a new session of the same server emits no list change', async () => {
    const { mcp, begin, echo, changes } = await clientSessionsWith();
    await begin();
    mcp.forgetSessions();
    await echo(0).reply;
    expect(changes()).toEqual([]);
  });

  it('a replaced session emits one list change, and the next of the same server none', async () => {
    const { on } = changing();
    const { mcp, begin, echo, changes } = await clientSessionsWith({ on });
    await begin();
    mcp.forgetSessions();
    await echo(0).reply;
    expect(changes()).toEqual([TOOLS]);
  });

  it.each([1, 2])(
    'a first session of at most %s that SIGHUP replaces emits one list change',
    async (maxSessions) => {
      const { on } = changing();
      const { clientSessions, mcp, begin, changes } = await clientSessionsWith({ on, maxSessions });
      await begin();
      clientSessions.drain();
      await comesTrue(() => mcp.deleted.length === 1, 'the first session was left');
      await comesTrue(() => changes().length > 0, 'told');
      expect(clientSessions.session.initializeResult).toMatchObject({ serverInfo: { version: '2' } });
      expect(changes()).toEqual([TOOLS]);
    },
  );

  it('a change that several sessions announce is emitted once', async () => {
    const change = { jsonrpc: '2.0', method: TOOLS };
    const { begin, echo, changes, clock } = await clientSessionsWith({
      maxSessions: 2,
      on: {
        'tools/call': (_q, _r, context) => {
          for (const stream of context.session?.streams ?? []) stream.send(change);
          const events = context.events();
          if (context.session?.streams.size === 0) events.send(change);
          events.send({ jsonrpc: '2.0', id: context.id, result: {} });
          events.end();
        },
      },
    });
    await begin();
    await answers([echo(0), echo('')]);
    await comesTrue(() => changes().length > 0, 'told');
    expect(changes()).toEqual([TOOLS]);
    await clock.advance(1_000);
    await echo(-1).reply;
    await comesTrue(() => changes().length > 1, 'told of a later change');
    expect(changes()).toEqual([TOOLS, TOOLS]);
  });

  it('a list change is emitted although the call whose stream carries it is cancelled', async () => {
    const heard: unknown[] = [];
    const { begin, echo, changes } = await clientSessionsWith({
      on: {
        'tools/call': (_q, _r, context) => {
          const events = context.events();
          events.send({ jsonrpc: '2.0', method: TOOLS });
          events.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 0 } });
          events.send({ jsonrpc: '2.0', id: context.id, result: {} });
          events.end();
        },
      },
    });
    await begin();
    await echo(0, async (message) => void heard.push(message.json.method)).reply;
    expect(changes()).toEqual([TOOLS]);
    expect(heard).toEqual(['notifications/progress']);
  });
});

describe("the end of a client's sessions", () => {
  it('closing sessions waits a moment for a running initialize, and leaves no session behind', async () => {
    const { opened, open } = makeGate();
    const { clientSessions, initialize, mcp, server, places } = await clientSessionsWith({
      on: {
        initialize: async (_request, _response, { fallback }) => {
          await opened;
          await fallback();
        },
      },
    });
    const opening = initialize(0);
    await server.until(() => server.of('initialize').length === 1);
    const closed = clientSessions.close();
    open();
    await Promise.all([opening, closed]);
    expect(mcp.sessions.size).toBe(0);
    expect(places.used).toBe(0);
  });

  it('closing sessions does not wait for an initialize that is never answered', async () => {
    const { clientSessions, initialize, server, clock } = await clientSessionsWith({
      on: { initialize: () => undefined },
    });
    initialize('').catch(() => undefined);
    await server.until(() => server.of('initialize').length === 1);
    const closed = clientSessions.close();
    await clock.advance(500);
    await closed;
  });

  it('closing sessions aborts a running opening, and leaves no session behind', async () => {
    const { clientSessions, mcp, server, clock, begin, echo } = await clientSessionsWith({
      on: { initialize: afterwards(1, silence) },
    });
    await begin();
    mcp.forgetSessions();
    const { reply } = echo(0);
    await server.until(() => server.of('initialize').length === 2);
    const closed = clientSessions.close();
    await clock.advance(500);
    await closed;
    await expect(reply).rejects.toMatchObject({ reason: 'shutting-down', sent: 'no' });
    expect(mcp.sessions.size).toBe(0);
  });
});
