import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { OneAtATime, startPooled } from '../support/one-at-a-time.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

/** Never answers the initialize with this number; answers all others. */
function hangingAt(number: number): Handler {
  let count = 0;
  return (_request, _response, context) => (++count === number ? undefined : context.fallback());
}

const NEVER_SENT = { source: 'mcp-sigv4-proxy', mayHaveRun: false };

describe('an initialize that is never answered', () => {
  it('an unanswered initialize delays a call by --session-wait at most, and the next call opens a session', async () => {
    const { proxy, server, sessions, echo } = await startPooled(
      { getStream: false, on: { initialize: hangingAt(2) } },
      ...['--session-wait', '1.5'],
    );
    await proxy.initialize({}, 'init');
    await echo('a', 'before');
    sessions.forgetSessions();
    const { error } = await echo('a', 0);
    expect(error).toMatchObject({
      message: expect.stringContaining('no answer to initialize within 1.5 s (--session-wait)'),
      data: { ...NEVER_SENT, reason: 'session-lost' },
    });
    expect(await echo('b', '')).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(3);
    // The request that hung has ended at the server, too.
    await server.until(() => server.of('initialize')[1]?.socket.destroyed === true);
  });

  it('an unanswered initialize ends with the last call that waits for it, and the next call opens a session', async () => {
    const { proxy, server, sessions, echo } = await startPooled(
      { getStream: false, on: { initialize: hangingAt(2) } },
      ...['--session-wait', '600'],
    );
    await proxy.initialize({}, 'init');
    await echo('a', 'before');
    sessions.forgetSessions();
    for (const id of [0, '', -1]) {
      proxy.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: {} } });
    }
    await server.until(() => server.of('initialize').length === 2);
    await server.until(() => server.of('tools/call').length === 4);
    for (const requestId of [0, '', -1]) proxy.notify('notifications/cancelled', { requestId });
    expect(await echo('b', 'next')).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(3);
    await server.until(() => server.of('initialize')[1]?.socket.destroyed === true);
  });

  it('an unanswered initialize of a pool delays one call by --session-wait, and another call opens a session', async () => {
    const tool = new OneAtATime();
    const { proxy, server, echo } = await startPooled(
      { on: { 'tools/call': tool.call, initialize: hangingAt(2) } },
      ...['--max-sessions', '2', '--session-wait', '1.5'],
    );
    await proxy.initialize({}, 'init');
    const held = echo('a', 0);
    await proxy.guard(tool.runs(1), 'the call');
    const { error } = await echo('b', '');
    expect(error).toMatchObject({
      message: expect.stringContaining('within 1.5 s (--session-wait)'),
      data: { ...NEVER_SENT, reason: 'no-session', waitSeconds: 1.5 },
    });
    const next = echo('c', -1);
    await proxy.guard(tool.runs(2), 'a call on another session');
    tool.finishAll();
    expect(await held).toHaveProperty('result');
    expect(await next).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(3);
  });

  it('an unanswered initialize of a pool ends when its last call is cancelled, and the next call opens a session', async () => {
    const tool = new OneAtATime();
    const { proxy, server, echo } = await startPooled(
      { on: { 'tools/call': tool.call, initialize: hangingAt(2) } },
      ...['--max-sessions', '2', '--session-wait', '600'],
    );
    await proxy.initialize({}, 'init');
    const held = echo('a', 0);
    await proxy.guard(tool.runs(1), 'the call');
    proxy.send({ jsonrpc: '2.0', id: '', method: 'tools/call', params: { name: 'echo', arguments: {} } });
    await server.until(() => server.of('initialize').length === 2);
    proxy.notify('notifications/cancelled', { requestId: '' });
    const next = echo('c', -1);
    await proxy.guard(tool.runs(2), 'a call on another session');
    tool.finishAll();
    await Promise.all([held, next]);
  });

  it('an unanswered initialize of --lazy delays the first call by --session-wait, and the next call connects', async () => {
    let hangs = false;
    const mcp = new SessionServer({
      on: {
        initialize: (_request, _response, context) => {
          if (!hangs) return context.fallback();
          hangs = false;
        },
      },
    });
    const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
    const cache = mkdtempSync(join(tmpdir(), 'mcp-cache-'));
    afterThisTest(() => rmSync(cache, { recursive: true, force: true }));
    const start = (): BinDriver =>
      BinDriver.start({
        args: [server.url, ...signingArgs, '--lazy', '--session-wait', '1.5'],
        env: { ...signingEnv, XDG_CACHE_HOME: cache },
      });
    const first = start();
    await first.initialize({}, 'init');
    await first.request('tools/list', undefined, 'list');
    first.closeStdin();
    await first.exited;
    const before = server.of('initialize').length;
    hangs = true;
    const proxy = start();
    await proxy.initialize({}, 'init');
    const call = (id: number | string) => proxy.request('tools/call', { name: 'echo', arguments: {} }, id);
    expect((await call(0)).error).toMatchObject({
      message: expect.stringContaining('no answer within 1.5 s'),
      data: { ...NEVER_SENT, reason: 'not-opened' },
    });
    expect(await call('')).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(before + 2);
  });
});

describe.skipIf(process.platform === 'win32')('SIGHUP while the server refuses to open sessions', () => {
  it.each([
    ['the only session', []],
    ['the only session of a pool', ['--min-sessions', '1', '--session-lifetime', '3600']],
    ['a full pool', ['--min-sessions', '3', '--max-sessions', '3']],
    ['a pool with room', ['--min-sessions', '2', '--max-sessions', '4']],
  ])('SIGHUP while the server refuses sessions keeps %s until a successor works', async (_what, args) => {
    let refuses = false;
    let refused = 0;
    const { proxy, server, sessions, echo } = await startPooled(
      {
        on: {
          initialize: (_request, response, context) => {
            if (!refuses) return context.fallback();
            refused++;
            response.writeHead(503).end();
          },
        },
      },
      ...args,
      ...['--retries', '0'],
    );
    await proxy.initialize({}, 'init');
    const count = Number(args[1] ?? 1);
    const works = () => [...sessions.sessions.values()].filter(({ initialized }) => initialized).length;
    await server.until(() => works() === count);
    refuses = true;
    proxy.kill('SIGHUP');
    await server.until(() => refused > 0);
    for (const id of [0, '', -1]) expect(await echo('a', id)).toHaveProperty('result');
    expect(sessions.deleted).toEqual([]);
    refuses = false;
    await server.until(() => sessions.deleted.length === count);
    await server.until(() => works() === count);
    expect(await echo('b', 'after')).toHaveProperty('result');
    expect(proxy.stderr).toBe('');
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect(sessions.sessions.size).toBe(0);
  });
});

describe('--session-lifetime', () => {
  it('--session-lifetime ends each of several idle sessions before any successor', async () => {
    const { proxy, server, sessions, echo } = await startPooled(
      {},
      ...[
        '--min-sessions',
        '6',
        '--max-sessions',
        '6',
        '--session-lifetime',
        '2',
        '--session-recycle-window',
        '0.5',
      ],
    );
    await proxy.initialize({}, 'init');
    const first = ['s-0', 's-1', 's-2', 's-3', 's-4', 's-5'];
    await server.until(() => first.every((id) => sessions.deleted.includes(id)));
    // With one session in each sweep, the lifetime of the successors would end too.
    expect(new Set(sessions.deleted.slice(0, 6))).toEqual(new Set(first));
    expect(await echo('a', 0)).toHaveProperty('result');
  });
});

describe('DELETE requests that the server answers late', () => {
  it('all DELETE requests are sent at the end, none after another', async () => {
    const { proxy, server, sessions } = await startPooled(
      { on: { DELETE: () => undefined } },
      ...['--min-sessions', '32', '--max-sessions', '32'],
    );
    await proxy.initialize({}, 'init');
    const works = () => [...sessions.sessions.values()].filter(({ initialized }) => initialized).length;
    await server.until(() => works() === 32);
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    const deleted = new Set(server.of('DELETE').map(({ headers }) => headers['mcp-session-id']));
    expect(deleted.size).toBe(32);
  });

  it.skipIf(process.platform === 'win32')(
    'pending DELETE requests delay no ping, notification or call, even with --max-connections 1',
    async () => {
      const held: (() => void)[] = [];
      const { proxy, server, sessions, echo } = await startPooled(
        { on: { DELETE: (_request, response) => void held.push(() => response.writeHead(200).end()) } },
        ...['--min-sessions', '3', '--max-sessions', '3', '--max-connections', '1'],
      );
      await proxy.initialize({}, 'init');
      const works = () => [...sessions.sessions.values()].filter(({ initialized }) => initialized).length;
      await server.until(() => works() === 3);
      proxy.kill('SIGHUP');
      for (let count = 1; count <= 3; count++) {
        await server.until(() => held.length === count);
        expect(await proxy.request('ping', {}, count)).toHaveProperty('result');
        expect(await echo('a', -count)).toHaveProperty('result');
        proxy.notify('notifications/roots/list_changed');
        await server.until(() => server.of('notifications/roots/list_changed').length >= count);
        held[count - 1]?.();
      }
    },
  );
});
