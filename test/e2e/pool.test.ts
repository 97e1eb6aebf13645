import { describe, expect, it } from 'vitest';
import type { Handler } from '../support/mcp-behaviours.ts';
import { OneAtATime, startOneAtATime, startPooled } from '../support/one-at-a-time.ts';
import { makeGate } from '../support/relayed.ts';

describe('--max-sessions 4', () => {
  it('--max-sessions 4 carries 4 parallel calls to a server that serves one per session, and 8 more in order', async () => {
    const { tool, proxy, echo, opened } = await startOneAtATime('--max-sessions', '4');
    await proxy.initialize({}, 'init');
    const first = [echo('a', ''), echo('b', 0), echo('c', -1), echo('d', 'd')];
    await proxy.guard(tool.runs(4), '4 calls');
    expect(new Set(tool.running.map(({ session }) => session)).size).toBe(4);
    const later = Array.from({ length: 8 }, (_, at) => echo(at, 100 + at));
    for (let at = 0; at < 8; at++) {
      tool.running[0]?.finish();
      await proxy.guard(tool.runs(4), `call ${at}`);
    }
    expect(tool.begun.slice(4)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    tool.finishAll();
    for (const answer of await Promise.all([...first, ...later])) expect(answer).toHaveProperty('result');
    expect(opened).toHaveLength(4);
  });

  it('--max-sessions 4 keeps all requests except tool calls on the first session', async () => {
    const { tool, proxy, server, echo } = await startOneAtATime('--max-sessions', '2');
    await proxy.initialize({}, 'init');
    const calls = [echo('a'), echo('b')];
    await proxy.guard(tool.runs(2), '2 calls');
    await proxy.request('tools/list');
    await proxy.request('ping');
    for (const method of ['tools/list', 'ping']) {
      const [request] = server.requests.filter(({ rpc }) => rpc.method === method);
      expect(request?.headers['mcp-session-id']).toBe('s-0');
    }
    tool.finishAll();
    await Promise.all(calls);
  });

  it('--max-sessions 4 keeps a call that starts a task on the first session, where the client will poll the task', async () => {
    const tool = new OneAtATime();
    const { proxy, server } = await startPooled(
      {
        on: {
          'tools/call': (request, response, context) =>
            context.params.task === undefined
              ? tool.call(request, response, context)
              : context.result({ task: { taskId: 't-1', status: 'working' } }),
          'tasks/get': (_request, _response, context) => context.result({ taskId: 't-1', status: 'working' }),
        },
      },
      '--max-sessions',
      '2',
    );
    await proxy.initialize({}, 'init');
    const plain = proxy.request('tools/call', { name: 'echo', arguments: { text: 'a' } }, -1);
    await proxy.guard(tool.runs(1), 'a call');
    await proxy.request('tools/call', { name: 'echo', arguments: {}, task: { ttl: 60_000 } }, '');
    await proxy.request('tasks/get', { taskId: 't-1' }, 0);
    const sent = server.requests.flatMap(({ rpc, headers }) =>
      rpc.id === '' || rpc.id === 0 ? [headers['mcp-session-id']] : [],
    );
    expect(sent).toEqual(['s-0', 's-0']);
    tool.finishAll();
    await plain;
  });

  it('--max-sessions 4 sends the log level and the subscriptions to new and old sessions', async () => {
    const ok: Handler = (_request, _response, context) => context.result({});
    const tool = new OneAtATime();
    const on = { 'tools/call': tool.call, 'logging/setLevel': ok, 'resources/subscribe': ok };
    const { proxy, server, echo } = await startPooled({ on }, '--max-sessions', '2');
    await proxy.initialize({}, 'init');
    await proxy.request('logging/setLevel', { level: 'debug' });
    const calls = [echo('a'), echo('b')];
    await proxy.guard(tool.runs(2), '2 calls');
    await proxy.request('resources/subscribe', { uri: 'a://b' });
    proxy.notify('notifications/roots/list_changed');
    const received = (method: string) =>
      server.requests
        .filter(({ rpc }) => rpc.method === method)
        .map(({ headers }) => headers['mcp-session-id']);
    const count = (method: string) => server.until(() => received(method).length === 2);
    for (const method of ['logging/setLevel', 'resources/subscribe', 'notifications/roots/list_changed']) {
      await count(method);
      expect(new Set(received(method))).toEqual(new Set(['s-0', 's-1']));
    }
    tool.finishAll();
    await Promise.all(calls);
    // The client received nothing about the proxy's own requests.
    expect(proxy.messages.filter(({ id }) => String(id).startsWith('mcp-sigv4-proxy'))).toEqual([]);
  });

  it('--max-sessions 4 deletes every session at the end', async () => {
    const { tool, proxy, echo, sessions } = await startOneAtATime('--max-sessions', '3');
    await proxy.initialize({}, 'init');
    const calls = [echo('a'), echo('b'), echo('c')];
    await proxy.guard(tool.runs(3), '3 calls');
    tool.finishAll();
    await Promise.all(calls);
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect([...sessions.deleted].sort()).toEqual(['s-0', 's-1', 's-2']);
    expect(proxy.stderr).toBe('');
  });

  it('--max-sessions 4 refuses a call that waits too long for a session, and the error names the full limit', async () => {
    const args = ['--max-sessions', '2', '--session-wait', '0.05'];
    const { tool, proxy, echo } = await startOneAtATime(...args);
    await proxy.initialize({}, 'init');
    const calls = [echo('a'), echo('b')];
    await proxy.guard(tool.runs(2), '2 calls');
    const { error } = await echo('c', '');
    expect(error).toEqual({
      code: -31015,
      message:
        'No session had room within 0.05 s (--session-wait): 2 of --max-sessions 2 are open, each carries --calls-per-session 1, and 0 other calls wait. This call was not sent. Try again, or raise the limit that is reached.',
      data: {
        source: 'mcp-sigv4-proxy',
        reason: 'no-session',
        mayHaveRun: false,
        retryAfterMs: 1000,
        sessions: 2,
        maxSessions: 2,
        callsPerSession: 1,
        waiting: 0,
        waitSeconds: 0.05,
      },
    });
    expect(tool.begun).toEqual(['a', 'b']);
    tool.finishAll();
    await Promise.all(calls);
  });

  it('when the client leaves, calls that wait for a session are refused and running calls are ended', async () => {
    const { tool, proxy, echo } = await startOneAtATime('--calls-per-session', '1');
    await proxy.initialize({}, 'init');
    const running = echo('a', '');
    await proxy.guard(tool.runs(1), 'the call');
    const waiting = echo('b', -1);
    await proxy.request('ping', {}, 'read');
    proxy.closeStdin();
    expect((await waiting).error).toMatchObject({ code: -31009, data: { mayHaveRun: false } });
    tool.finishAll();
    expect(await running).toHaveProperty('result');
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect(tool.begun).toEqual(['a']);
  });

  it('a session of the pool that the server has lost is discarded, and its call goes to another one', async () => {
    const tool = new OneAtATime();
    const { proxy, echo, sessions, posted } = await startPooled(
      {
        on: {
          'tools/call': (request, response, context) =>
            context.session ? tool.call(request, response, context) : void response.writeHead(404).end(),
        },
      },
      '--max-sessions',
      '3',
    );
    await proxy.initialize({}, 'init');
    const calls = [echo('a'), echo('b'), echo('c')];
    await proxy.guard(tool.runs(3), '3 calls');
    tool.finishAll();
    await Promise.all(calls);
    sessions.forgetSessions();
    const again = [echo('d', ''), echo('e', 0.5), echo('f', -1)];
    await proxy.guard(tool.runs(3), '3 calls on new sessions');
    tool.finishAll();
    for (const answer of await Promise.all(again)) expect(answer).toHaveProperty('result');
    expect(tool.begun.slice(3).sort()).toEqual(['d', 'e', 'f']);
    expect(posted('initialize')).toBe(6);
    expect(await proxy.request('tools/list')).toHaveProperty('result');
  });

  it('a notification that the server sends on every session is emitted to the client once', async () => {
    const { tool, proxy, echo, sessions, server } = await startOneAtATime('--max-sessions', '2');
    await proxy.initialize({}, 'init');
    const calls = [echo('a'), echo('b')];
    await proxy.guard(tool.runs(2), '2 calls');
    const streams = () =>
      [...sessions.sessions.values()].filter((session) => session.streams.size > 0).length;
    await server.until(() => streams() === 2);
    sessions.broadcast({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    sessions.broadcast({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data: 'end' },
    });
    await proxy.next(({ method }) => method === 'notifications/message');
    await proxy.next(({ method }) => method === 'notifications/message');
    const changes = proxy.messages.filter(({ method }) => method === 'notifications/tools/list_changed');
    expect(changes).toHaveLength(1);
    tool.finishAll();
    await Promise.all(calls);
  });

  it('a notification that the server repeats on the streams of calls is emitted to the client once', async () => {
    let running = 0;
    const both = makeGate();
    const { proxy, echo } = await startPooled(
      {
        getStream: false,
        on: {
          'tools/call': async (_request, _response, context) => {
            const events = context.events();
            if (++running === 2) both.open();
            await both.opened;
            events.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
            events.send({ jsonrpc: '2.0', id: context.id, result: {} });
            events.end();
          },
        },
      },
      ...['--max-sessions', '2'],
    );
    await proxy.initialize({}, 'init');
    await Promise.all([echo('a', 0), echo('b', '')]);
    expect(proxy.messages.filter(({ method }) => method === 'notifications/tools/list_changed')).toHaveLength(
      1,
    );
  });

  it('the client is notified if another server is behind the session that takes over from the first', async () => {
    let version = 0;
    const { proxy, server, sessions } = await startPooled(
      {
        on: {
          initialize: (_request, response, context) => {
            const id = `v-${version++}`;
            sessions.sessions.set(id, { id, initializeParams: {}, initialized: false, streams: new Set() });
            response.setHeader('mcp-session-id', id);
            return context.result({
              protocolVersion: '2025-11-25',
              capabilities: { tools: { listChanged: true } },
              serverInfo: { name: 'x', version: String(version) },
            });
          },
        },
      },
      ...['--max-sessions', '2'],
    );
    await proxy.initialize({}, 'init');
    await server.until(() => sessions.sessions.get('v-0')?.initialized === true);
    proxy.kill('SIGHUP');
    await proxy.next(({ method }) => method === 'notifications/tools/list_changed');
    await server.until(() => sessions.deleted.includes('v-0'));
    expect(await proxy.request('tools/list', {}, 0)).toHaveProperty('result');
    expect(server.of('tools/list')[0]?.headers['mcp-session-id']).toBe('v-1');
  });
});
