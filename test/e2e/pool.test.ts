import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

/** Calls that the server has begun, one at a time per session, and ends when the test says so. */
class OneAtATime {
  readonly running: { readonly text: unknown; readonly session: string | undefined; finish(): void }[] = [];
  readonly begun: unknown[] = [];
  #watchers = new Set<() => void>();

  readonly call: Handler = (_request, _response, context) => {
    const session = context.session?.id;
    if (this.running.some((other) => other.session === session)) {
      return context.error(-32000, 'one call at a time');
    }
    const text = (context.params.arguments as { text?: unknown }).text;
    this.begun.push(text);
    const running = {
      text,
      session,
      finish: () => {
        this.running.splice(this.running.indexOf(running), 1);
        context.result({ content: [{ type: 'text', text: String(text) }] });
      },
    };
    this.running.push(running);
    for (const look of this.#watchers) look();
  };

  /** Resolves when so many calls run. */
  runs(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.running.length < count) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  finishAll(): void {
    for (const running of [...this.running]) running.finish();
  }

  finish(text: unknown): void {
    const running = this.running.find((one) => one.text === text);
    if (!running) throw new Error(`${text} does not run`);
    running.finish();
  }
}

async function start(options: SessionServerOptions, ...args: string[]) {
  const opened: (string | undefined)[] = [];
  let next = 0;
  const sessionId = (): string => {
    opened.push(`s-${next}`);
    return `s-${next++}`;
  };
  const sessions = new SessionServer({ sessionId, ...options });
  const server = await ScriptedServer.start(sessions.behaviour, { verify: signingVerify });
  const proxy = BinDriver.start({
    args: [server.url, ...signingArgs, '--max-connections', '16', ...args],
    env: signingEnv,
  });
  const posted = (method: string): number =>
    server.requests.filter(({ rpc }) => rpc.method === method).length;
  const echo = (text: unknown, id?: number | string) =>
    proxy.request('tools/call', { name: 'echo', arguments: { text } }, id);
  return { sessions, server, proxy, posted, echo, opened };
}

describe('--max-sessions 4', () => {
  it('carries 4 calls at once to a server that serves one per session, and 8 more in order', async () => {
    const tool = new OneAtATime();
    const { proxy, echo, opened } = await start({ on: { 'tools/call': tool.call } }, '--max-sessions', '4');
    await proxy.initialize();
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

  it('keeps everything but tool calls on the first session', async () => {
    const tool = new OneAtATime();
    const { proxy, server, echo } = await start({ on: { 'tools/call': tool.call } }, '--max-sessions', '2');
    await proxy.initialize();
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

  it('tells new sessions and old ones the log level and the subscriptions', async () => {
    const ok: Handler = (_request, _response, context) => context.result({});
    const tool = new OneAtATime();
    const on = { 'tools/call': tool.call, 'logging/setLevel': ok, 'resources/subscribe': ok };
    const { proxy, server, echo } = await start({ on }, '--max-sessions', '2');
    await proxy.initialize();
    await proxy.request('logging/setLevel', { level: 'debug' });
    const calls = [echo('a'), echo('b')];
    await proxy.guard(tool.runs(2), '2 calls');
    await proxy.request('resources/subscribe', { uri: 'a://b' });
    proxy.notify('notifications/roots/list_changed');
    const told = (method: string) =>
      server.requests
        .filter(({ rpc }) => rpc.method === method)
        .map(({ headers }) => headers['mcp-session-id']);
    const count = (method: string) => server.until(() => told(method).length === 2);
    for (const method of ['logging/setLevel', 'resources/subscribe', 'notifications/roots/list_changed']) {
      await count(method);
      expect(new Set(told(method))).toEqual(new Set(['s-0', 's-1']));
    }
    tool.finishAll();
    await Promise.all(calls);
    // Nothing of the proxy's own reached the client.
    expect(proxy.messages.filter(({ id }) => String(id).startsWith('mcp-sigv4-proxy'))).toEqual([]);
  });

  it('deletes every session at the end', async () => {
    const tool = new OneAtATime();
    const { proxy, echo, sessions } = await start({ on: { 'tools/call': tool.call } }, '--max-sessions', '3');
    await proxy.initialize();
    const calls = [echo('a'), echo('b'), echo('c')];
    await proxy.guard(tool.runs(3), '3 calls');
    tool.finishAll();
    await Promise.all(calls);
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect([...sessions.deleted].sort()).toEqual(['s-0', 's-1', 's-2']);
    expect(proxy.stderr).toBe('');
  });

  it('refuses a call that waits too long for a session, and says what was full', async () => {
    const tool = new OneAtATime();
    const args = ['--max-sessions', '2', '--session-wait', '0.05'];
    const { proxy, echo } = await start({ on: { 'tools/call': tool.call } }, ...args);
    await proxy.initialize();
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

  it('discards a session that the server has lost, and its call goes to another', async () => {
    const tool = new OneAtATime();
    const { proxy, echo, sessions, posted } = await start(
      {
        on: {
          'tools/call': (request, response, context) =>
            context.session ? tool.call(request, response, context) : void response.writeHead(404).end(),
        },
      },
      '--max-sessions',
      '3',
    );
    await proxy.initialize();
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

  it('tells the client once what every session is told', async () => {
    const tool = new OneAtATime();
    const { proxy, echo, sessions, server } = await start(
      { on: { 'tools/call': tool.call } },
      '--max-sessions',
      '2',
    );
    await proxy.initialize();
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
});

describe('--min-sessions 2', () => {
  it('is kept from initialize on, and nothing is opened before', async () => {
    const { proxy, server, sessions } = await start({}, '--min-sessions', '2', '--max-sessions', '4');
    await proxy.stderrMatching(/^/);
    expect(server.requests).toEqual([]);
    await proxy.initialize();
    await server.until(() => sessions.sessions.size === 2);
    await server.until(() => [...sessions.sessions.values()].every(({ initialized }) => initialized));
  });

  it.skipIf(process.platform === 'win32')('are replaced at SIGHUP, and no call is cut', async () => {
    const tool = new OneAtATime();
    const args = ['--min-sessions', '2', '--max-sessions', '3'];
    const { proxy, server, sessions, echo } = await start({ on: { 'tools/call': tool.call } }, ...args);
    await proxy.initialize();
    const both = () => [...sessions.sessions.values()].filter(({ initialized }) => initialized).length === 2;
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
  });
});
