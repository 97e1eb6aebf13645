import { describe, expect, it } from 'vitest';
import type { Handler } from '../support/mcp-behaviours.ts';
import { OneAtATime, startOneAtATime, startPooled } from '../support/one-at-a-time.ts';
import { makeGate } from '../support/relayed.ts';

describe('--min-sessions 2', () => {
  it('--min-sessions 2 keeps two sessions open from initialize on and opens none before', async () => {
    const { proxy, server, sessions } = await startPooled({}, '--min-sessions', '2', '--max-sessions', '4');
    await proxy.stderrMatching(/^/);
    expect(server.requests).toEqual([]);
    await proxy.initialize({}, 'init');
    await server.until(() => sessions.sessions.size === 2);
    await server.until(() => [...sessions.sessions.values()].every(({ initialized }) => initialized));
  });

  it.skipIf(process.platform === 'win32')(
    'SIGHUP replaces both sessions of --min-sessions 2 and cuts no call',
    async () => {
      const args = ['--min-sessions', '2', '--max-sessions', '3'];
      const { tool, proxy, server, sessions, echo } = await startOneAtATime(...args);
      await proxy.initialize({}, 'init');
      const both = () =>
        [...sessions.sessions.values()].filter(({ initialized }) => initialized).length === 2;
      await server.until(both);
      const call = echo('a', '');
      await proxy.guard(tool.runs(1), 'the call');
      const busy = tool.running[0]?.session;
      proxy.kill('SIGHUP');
      const [idle] = ['s-0', 's-1'].filter((id) => id !== busy);
      await server.until(() => sessions.deleted.includes(idle ?? ''));
      expect(sessions.deleted).not.toContain(busy);
      tool.finish('a');
      expect(await call).toHaveProperty('result');
      await server.until(() => sessions.deleted.includes(busy ?? ''));
      await server.until(both);
      expect(await proxy.request('tools/list')).toHaveProperty('result');
      proxy.closeStdin();
      expect(await proxy.exit()).toEqual({ code: 0, signal: null });
      expect(sessions.sessions.size).toBe(0);
    },
  );
});

describe('a pool of one session', () => {
  it.skipIf(process.platform === 'win32')('SIGHUP replaces the only session and cuts no call', async () => {
    const tool = new OneAtATime();
    const { proxy, server, sessions, echo } = await startPooled({ on: { 'tools/call': tool.call } });
    await proxy.initialize({}, 'init');
    const call = echo('a', '');
    await proxy.guard(tool.runs(1), 'the call');
    proxy.kill('SIGHUP');
    await server.until(() => sessions.sessions.get('s-1')?.initialized === true);
    // New calls go to the new session.
    await server.until(() => [...(sessions.sessions.get('s-1')?.streams ?? [])].length === 1);
    const next = echo('b', 0);
    await proxy.guard(tool.runs(2), 'another call');
    expect(tool.running.map(({ session }) => session)).toEqual(['s-0', 's-1']);
    expect(sessions.deleted).toEqual([]);
    tool.finish('a');
    expect(await call).toHaveProperty('result');
    await server.until(() => sessions.deleted.includes('s-0'));
    tool.finish('b');
    expect(await next).toHaveProperty('result');
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect(sessions.deleted).toEqual(['s-0', 's-1']);
    expect(proxy.stderr).toBe('');
  });

  it.skipIf(process.platform === 'win32')(
    'the only session of a pool serves on at SIGHUP while a call runs on it, and is replaced when the call has ended',
    async () => {
      const gate = makeGate();
      const { proxy, server, sessions, echo } = await startPooled(
        {
          on: {
            'tools/call': async (request, _response, context) => {
              if (request.rpc.id === 'long') await gate.opened;
              return context.fallback();
            },
          },
        },
        '--min-sessions',
        '1',
      );
      await proxy.initialize({}, 'init');
      const long = echo('a', 'long');
      await server.until(() => server.of('tools/call').length === 1);
      proxy.kill('SIGHUP');
      for (const id of [0, '', -1]) {
        expect(await proxy.request('ping', {}, `before ${id}`)).toHaveProperty('result');
        expect(await echo('b', id)).toHaveProperty('result');
      }
      gate.open();
      expect(await long).toHaveProperty('result');
      await server.until(() => sessions.deleted.includes('s-0'));
      expect(sessions.sessions.get('s-1')?.initialized).toBe(true);
      expect(await echo('c', 'c')).toHaveProperty('result');
      const used = server.of('tools/call').map(({ headers }) => headers['mcp-session-id']);
      expect(used).toEqual(['s-0', 's-0', 's-0', 's-0', 's-1']);
    },
  );

  it('the only session is recycled and health-checked as configured, and goes on serving', async () => {
    const pings: unknown[] = [];
    const on: Record<string, Handler> = {
      ping: (_request, _response, context) => {
        pings.push(context.session?.id);
        // Healthy at first, then not.
        return pings.length < 2 ? context.result({}) : context.error(-32603, 'sick');
      },
    };
    const { proxy, server, sessions } = await startPooled({ on }, '--health-interval', '1');
    await proxy.initialize({}, 'init');
    await server.until(() => sessions.sessions.get('s-1')?.initialized === true);
    expect(sessions.deleted).toEqual(['s-0']);
    expect(pings.slice(0, 2)).toEqual(['s-0', 's-0']);
    expect(await proxy.request('tools/list', {}, -1)).toHaveProperty('result');
    expect(await proxy.request('tools/call', { name: 'echo', arguments: {} }, '')).toHaveProperty('result');
    expect(server.of('tools/list').at(-1)?.headers['mcp-session-id']).toMatch(/^s-[1-9]/);
  });
});

describe('a second session of the pool', () => {
  it('a second session is discarded after a transport error of a call, and kept after a tool error', async () => {
    const tool = new OneAtATime();
    const call: Handler = (request, response, context) => {
      const { text } = context.params.arguments as { text?: unknown };
      if (text === 'break') return void response.destroy();
      if (text === 'fail') return context.result({ isError: true, content: [] });
      return tool.call(request, response, context);
    };
    const { proxy, server, sessions, echo, opened } = await startPooled(
      { on: { 'tools/call': call } },
      '--max-sessions',
      '2',
    );
    await proxy.initialize({}, 'init');
    const held = echo('a', '');
    await proxy.guard(tool.runs(1), 'the call');
    expect(await echo('fail', 0)).toHaveProperty('result.isError', true);
    expect(opened).toEqual(['s-0', 's-1']);
    expect((await echo('break', -1)).error).toMatchObject({
      data: { reason: 'connection-lost', mayHaveRun: true },
    });
    await server.until(() => sessions.deleted.length === 1);
    const next = echo('b', 'b');
    await proxy.guard(tool.runs(2), 'a call on a new session');
    expect(opened).toEqual(['s-0', 's-1', 's-2']);
    expect(sessions.deleted).toEqual(['s-1']);
    tool.finishAll();
    await Promise.all([held, next]);
  });

  it('a call on a second session is cancelled on that session, which is free again at once', async () => {
    const { tool, proxy, server, echo } = await startOneAtATime('--max-sessions', '2');
    await proxy.initialize({}, 'init');
    const held = echo('a', '');
    await proxy.guard(tool.runs(1), 'the call');
    proxy.send({
      jsonrpc: '2.0',
      id: 0.5,
      method: 'tools/call',
      params: { name: 'echo', arguments: { text: 'b' } },
    });
    await proxy.guard(tool.runs(2), 'both');
    proxy.notify('notifications/cancelled', { requestId: 0.5 });
    await server.until(() => server.of('notifications/cancelled').length === 1);
    expect(server.of('notifications/cancelled')[0]?.headers['mcp-session-id']).toBe('s-1');
    tool.running.splice(1);
    const next = echo('c', -1);
    await proxy.guard(tool.runs(2), 'the next call');
    expect(tool.running[1]?.session).toBe('s-1');
    tool.finishAll();
    await Promise.all([held, next]);
    expect(proxy.messages.filter(({ id }) => id === 0.5)).toEqual([]);
  });
});

describe('the sessions of a pool', () => {
  it('--session-lifetime replaces the sessions of a pool one after the other before their end, and calls go on', async () => {
    const args = ['--min-sessions', '2', '--max-sessions', '3', '--session-lifetime', '2'];
    const { proxy, server, sessions, opened } = await startPooled(
      {},
      ...args,
      '--session-recycle-window',
      '1',
    );
    await proxy.initialize({}, 'init');
    await server.until(() => sessions.deleted.includes('s-0') && sessions.deleted.includes('s-1'));
    expect(opened.length).toBeGreaterThanOrEqual(4);
    expect(sessions.sessions.size).toBeLessThanOrEqual(3);
    expect(await proxy.request('tools/list', {}, -1)).toHaveProperty('result');
    expect(await proxy.request('tools/call', { name: 'echo', arguments: {} }, '')).toHaveProperty('result');
  });

  it('health checks of all sessions run at the same time, and stderr stays empty', async () => {
    const asked = new Set<unknown>();
    const gate = makeGate();
    const on: Record<string, Handler> = {
      ping: async (request, _response, context) => {
        asked.add(request.headers['mcp-session-id']);
        await gate.opened;
        return context.result({});
      },
    };
    const { proxy, server } = await startPooled(
      { on },
      ...['--min-sessions', '12', '--max-sessions', '12'],
      ...['--health-interval', '0.5'],
    );
    await proxy.initialize({}, 'init');
    await server.until(() => asked.size === 12);
    gate.open();
    expect(await proxy.request('tools/call', { name: 'echo', arguments: {} }, '')).toHaveProperty('result');
    proxy.closeStdin();
    await proxy.exit();
    expect(proxy.stderr).toBe('');
  });

  it('idle sessions of a pool are closed, except the first', async () => {
    const { tool, proxy, server, sessions, echo } = await startOneAtATime(
      ...['--max-sessions', '3', '--session-idle', '1'],
    );
    await proxy.initialize({}, 'init');
    const calls = [echo('a', 0), echo('b', ''), echo('c', -1)];
    await proxy.guard(tool.runs(3), '3 calls');
    tool.finishAll();
    await Promise.all(calls);
    await server.until(() => sessions.deleted.length === 2);
    expect(sessions.sessions.size).toBe(1);
    expect(await proxy.request('tools/list', {}, 'list')).toHaveProperty('result');
  });

  it('the pool serves while the minimum of sessions cannot be opened, and opens the rest in the background', async () => {
    let initialized = 0;
    const args = ['--min-sessions', '3', '--max-sessions', '3', '--retries', '0'];
    const { proxy, server, sessions } = await startPooled(
      {
        on: {
          initialize: (_request, response, context) =>
            ++initialized === 2 || initialized === 3
              ? void response.writeHead(500).end()
              : context.fallback(),
        },
      },
      ...args,
    );
    await proxy.initialize({}, 'init');
    expect(await proxy.request('tools/call', { name: 'echo', arguments: {} }, 0)).toHaveProperty('result');
    await server.until(() => sessions.sessions.size === 3);
    expect(proxy.stderr).toBe('');
  });

  it('the pool serves while the circuit breaker prevents further sessions', async () => {
    const tool = new OneAtATime();
    let initialized = 0;
    const args = [
      '--max-sessions',
      '2',
      '--retries',
      '0',
      '--breaker-threshold',
      '1',
      '--breaker-reset',
      '60',
    ];
    const { proxy, posted, echo } = await startPooled(
      {
        on: {
          'tools/call': tool.call,
          initialize: (_request, response, context) =>
            initialized++ === 0 ? context.fallback() : void response.writeHead(503).end(),
        },
      },
      ...args,
    );
    await proxy.initialize({}, 'init');
    for (let at = 0; at < 3; at++) {
      const calls = [echo(`a${at}`), echo(`b${at}`)];
      await proxy.guard(tool.runs(1), 'the first');
      tool.finish(`a${at}`);
      await proxy.guard(tool.runs(1), 'the second, on the same session');
      tool.finish(`b${at}`);
      for (const answer of await Promise.all(calls)) expect(answer).toHaveProperty('result');
    }
    expect(posted('initialize')).toBe(2);
  });

  it('the pools of all clients together open no more sessions than --max-total-sessions', async () => {
    const args = ['--max-sessions', '4', '--max-total-sessions', '2', '--session-wait', '0.05'];
    const { tool, proxy, echo, opened } = await startOneAtATime(...args);
    await proxy.initialize({}, 'init');
    const calls = [echo('a', 0), echo('b', '')];
    await proxy.guard(tool.runs(2), '2 calls');
    const { error } = await echo('c', -1);
    expect(error).toMatchObject({ code: -31015, data: { sessions: 2, maxSessions: 4, maxTotalSessions: 2 } });
    tool.finishAll();
    await Promise.all(calls);
    expect(opened).toHaveLength(2);
  });
});
