import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/core/time/waits.ts';
import { FakeClock } from './fake-clock.ts';
import { SessionServer, type SessionServerOptions } from './mcp-behaviours.ts';
import { ScriptedServer } from './scripted-server.ts';

async function openSession(options: SessionServerOptions = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour);
  let headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const post = (message: unknown) =>
    fetch(server.url, { method: 'POST', headers, body: JSON.stringify(message) });
  const opened = await post({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18' },
  });
  expect(await opened.text()).toContain('2025-06-18');
  headers = { ...headers, 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
  const call = async (id: unknown, name: string, args: unknown, meta?: unknown) => {
    const params = { name, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) };
    return (await post({ jsonrpc: '2.0', id, method: 'tools/call', params })).text();
  };
  return { mcp, server, headers, post, call };
}

describe('the session server', () => {
  it('the session server answers initialize, notifications, calls, pings and DELETE', async () => {
    const { mcp, server, headers, post, call } = await openSession();
    expect((await post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
    expect([...mcp.sessions.values()].map((session) => session.initialized)).toEqual([true]);
    expect(JSON.parse(await call('', 'echo', { a: 0 }))).toMatchObject({
      id: '',
      result: { content: [{ text: '{"a":0}' }] },
    });
    expect(JSON.parse(await call(-1, 'nobody', {}))).toMatchObject({ id: -1, error: { code: -32602 } });
    expect((await call(1, 'big', { bytes: 5000 })).length).toBeGreaterThan(5000);
    expect((await fetch(server.url, { method: 'DELETE', headers })).status).toBe(200);
    expect((await post({ jsonrpc: '2.0', id: 2, method: 'ping' })).status).toBe(404);
    expect(server.requests.map((request) => request.rpc.id)).toEqual([0, undefined, '', -1, 1, undefined, 2]);
  });

  it('the session server sends a server request in mid-call and waits for the posted response', async () => {
    const { server, post, call } = await openSession();
    const answer = call(7, 'elicit', { message: 'Name?' });
    await server.until((requests) => requests.length === 2);
    expect((await post({ jsonrpc: '2.0', id: 0, result: { action: 'decline' } })).status).toBe(202);
    expect(await answer).toMatch(/"method":"elicitation\/create"[\s\S]*"id":7,"result":.*decline/);
  });

  it('the session server reports progress for a token of 0', async () => {
    const { call } = await openSession();
    expect(
      (await call(7, 'progress', { steps: 2 }, { progressToken: 0 })).match(/"progressToken":0/g),
    ).toHaveLength(2);
  });

  it('the session server holds one GET stream, on which it can broadcast', async () => {
    const { mcp, server, headers } = await openSession();
    const stream = await fetch(server.url, { headers });
    expect((await fetch(server.url, { headers })).status).toBe(409);
    mcp.broadcast({ jsonrpc: '2.0', method: 'notifications/message' }, '');
    const reader = stream.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? '').toString()).toContain(
      'id: \nevent: message\ndata: {"jsonrpc"',
    );
    await reader?.cancel();
  });

  it('the session server lets a script override one method', async () => {
    const seen: unknown[] = [];
    const { call } = await openSession({
      answerWith: 'sse',
      on: {
        'tools/call': (_request, _response, context) => {
          seen.push(context.id);
          return context.id === 1 ? context.fallback() : context.error(-32000, 'no');
        },
      },
    });
    expect(await call(0, 'echo', {})).toContain('data: {"jsonrpc":"2.0","id":0,"error"');
    expect(await call(1, 'echo', {})).toContain('"result"');
    expect(seen).toEqual([0, 1]);
  });
});

describe('the scripted server', () => {
  it('the scripted server refuses a request whose signature is wrong, and records why', async () => {
    const server = await ScriptedServer.start((_request, response) => void response.end('never'), {
      verify: { service: 's', region: 'r', keys: {} },
    });
    const answer = await fetch(server.url);
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ __type: 'MissingAuthenticationToken' });
    expect(server.requests[0]?.verification).toMatchObject({ ok: false });
  });

  it('the scripted server knows which connection carried a request', async () => {
    let release = (): void => undefined;
    const both = new Promise<void>((resolve) => {
      release = resolve;
    });
    const server = await ScriptedServer.start(async (_request, response) => {
      if (server.requests.length === 2) release();
      await both;
      response.end();
    });
    await Promise.all(
      [fetch(`${server.origin}/a`), fetch(`${server.origin}/b`)].map(async (answer) => (await answer).text()),
    );
    expect(server.connections).toMatchObject({ opened: 2, peak: 2 });
    expect(server.connectionsThat((request) => request.url === '/a')).toBe(1);
  });

  it('the scripted server fails the test when the script throws', async () => {
    const server = await ScriptedServer.start(() => {
      throw new Error('a broken script');
    });
    await expect(fetch(server.url)).rejects.toThrow();
    await expect(server.close()).rejects.toThrow('a broken script');
  });
});

describe('the fake clock', () => {
  it('the fake clock fires in the order of time and lets callbacks run in between', async () => {
    const clock = new FakeClock({ now: 0 });
    const log: string[] = [];
    clock.schedule(20, () => log.push(`20 at ${clock.monotonic()}`));
    clock.schedule(20, () => log.push('cancelled')).cancel();
    const chain = sleep(clock, 10)
      .then(() => log.push(`10 at ${clock.now()}`))
      .then(() => sleep(clock, 5))
      .then(() => log.push(`15 at ${clock.now()}`));
    await clock.advance(30);
    await chain;
    expect(log).toEqual(['10 at 10', '15 at 15', '20 at 20']);
    expect([clock.monotonic(), clock.timers]).toEqual([30, 0]);
  });
});
