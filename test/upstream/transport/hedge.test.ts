import { describe, expect, it } from 'vitest';
import { HEDGE_AFTER_MS, HEDGE_TOOL_AFTER_MS } from '../../../src/upstream/transport/hedge.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue } from '../http/connection-rig.ts';
import { startStateless, textOf } from '../stateless/stateless-rig.ts';
import { transportTo } from './transport-rig.ts';

/** Holds the first request with this body, and answers all others. */
async function setUp({ max = 2 } = {}) {
  let held = (): void => undefined;
  let holding = true;
  const server = await ScriptedServer.start(
    (request, response) => {
      const answer = (): void => void response.end(`${request.connection} ran ${request.text}`);
      if (request.text !== 'held' || !holding) return answer();
      holding = false;
      held = answer;
    },
    { keepAliveTimeoutMs: 0 },
  );
  const clock = new FakeClock({ now: Date.now() });
  const rig = transportTo(server, { max, clock });
  await rig.post('first', { idempotent: true });
  const of = (text: string) => server.requests.filter((request) => request.text === text);
  return { ...rig, server, of, answerHeld: () => held() };
}

describe('a hedge on a kept connection', () => {
  it('a hedge replaces a silent kept connection for a request that may run twice', async () => {
    const { server, clock, of, post, seen } = await setUp();
    await clock.advance(10);
    const answer = post('held', { idempotent: true });
    await comesTrue(() => of('held').length === 1, 'the request arrived');
    await clock.advance(HEDGE_AFTER_MS - 1);
    expect(of('held')).toHaveLength(1);
    await clock.advance(1);
    expect(await answer).toMatchObject({ text: '2 ran held' });
    await comesTrue(() => server.connections.open === 1, 'the silent connection is closed');
    expect(await post('next')).toMatchObject({ text: '2 ran next' });
    expect(server.connections.peak).toBe(2);
    expect(seen.filter(({ type }) => type === 'connection.silent')).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it('a hedge ends if the kept connection answers first, and one answer is returned', async () => {
    const { server, clock, of, post, answerHeld } = await setUp();
    const answer = post('held', { idempotent: true });
    await comesTrue(() => of('held').length === 1, 'the request arrived');
    // The second attempt is held, too.
    server.behaviour = () => undefined;
    await clock.advance(HEDGE_AFTER_MS);
    await comesTrue(() => of('held').length === 2, 'the second attempt arrived');
    answerHeld();
    expect(await answer).toMatchObject({ text: '1 ran held' });
    await comesTrue(() => server.connections.open === 1, 'the other connection is closed');
    expect(clock.timers).toBe(0);
  });

  it('a hedge replaces the kept connection if every place is taken', async () => {
    const { server, clock, of, post } = await setUp({ max: 1 });
    const answer = post('held', { idempotent: true });
    const waiting = post('waiting');
    await comesTrue(() => of('held').length === 1, 'the request arrived');
    await clock.advance(HEDGE_AFTER_MS);
    expect(await answer).toMatchObject({ text: '2 ran held' });
    expect(await waiting).toMatchObject({ text: '2 ran waiting' });
    expect(server.connections.opened).toBe(2);
    expect(clock.timers).toBe(0);
  });

  it.each([
    ['a call that may run twice nowhere', { idempotent: false }],
    ['a request that opens a session', { idempotent: true, opensSession: true }],
  ])('a silent kept connection is waited for by %s', async (_what, request) => {
    const { clock, of, post, answerHeld } = await setUp();
    const answer = post('held', request);
    await comesTrue(() => of('held').length === 1, 'the request arrived');
    await clock.advance(10 * HEDGE_AFTER_MS);
    expect(of('held')).toHaveLength(1);
    answerHeld();
    expect(await answer).toMatchObject({ text: '1 ran held' });
  });

  it('a hedge is cut with its first attempt when the caller leaves', async () => {
    const { server, clock, of, post } = await setUp();
    const leaving = new AbortController();
    const answer = post('held', { idempotent: true, signal: leaving.signal });
    answer.catch(() => undefined);
    await comesTrue(() => of('held').length === 1, 'the request arrived');
    server.behaviour = () => undefined;
    await clock.advance(HEDGE_AFTER_MS);
    await comesTrue(() => of('held').length === 2, 'the second attempt arrived');
    leaving.abort(new Error('left'));
    await expect(answer).rejects.toThrow('left');
    await comesTrue(() => server.connections.open === 0, 'both connections are closed');
    expect(clock.timers).toBe(0);
  });
});

describe('a hedge of tools/call', () => {
  const TOOLS = [
    { name: 'reads', annotations: { readOnlyHint: true } },
    { name: 'repeats', annotations: { idempotentHint: true } },
    { name: 'writes', annotations: { destructiveHint: true } },
  ];

  /** Lists the tools, calls one on the same connection, and holds that request. */
  async function callHeld(name: string) {
    const held = (): boolean => server.requests.filter(({ text }) => text.includes(`"${name}"`)).length === 1;
    const rig = await startStateless(({ rpc, method: _method, connection, text }, response) => {
      if (text.includes(`"${name}"`) && held()) return;
      response.writeHead(200, { 'content-type': 'application/json' });
      const result = rpc.method === 'tools/list' ? { tools: TOOLS } : { connection };
      response.end(JSON.stringify({ jsonrpc: '2.0', id: rpc.id, result }));
    });
    const { server } = rig;
    await rig.ask('tools/list', {}, 'list').reply;
    const { reply, cancel } = rig.ask('tools/call', { name }, 0);
    await comesTrue(held, 'the call arrived');
    return { ...rig, reply, cancel };
  }

  it.each(['reads', 'repeats'])(
    'a tools/call on a silent kept connection is hedged if its tool allows it: %s',
    async (name) => {
      const { clock, reply } = await callHeld(name);
      await clock.advance(HEDGE_TOOL_AFTER_MS);
      expect(textOf(await reply)).toContain('"connection":2');
    },
  );

  it.each(['writes', 'unknown'])(
    'a tools/call on a silent kept connection is sent once if its tool does not allow more: %s',
    async (name) => {
      const { clock, server, reply, cancel } = await callHeld(name);
      await clock.advance(HEDGE_TOOL_AFTER_MS * 4);
      expect(server.requests).toHaveLength(2);
      cancel(new Error('over'));
      await expect(reply).rejects.toThrow();
    },
  );

  it('a tools/call on a silent kept connection is not hedged within the time of an ordinary tool', async () => {
    const { clock, server, cancel } = await callHeld('reads');
    await clock.advance(HEDGE_TOOL_AFTER_MS - 1);
    expect(server.requests).toHaveLength(2);
    cancel(new Error('over'));
  });
});
