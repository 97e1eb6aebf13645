import { describe, expect, it } from 'vitest';
import type { RelayedOptions } from '../support/relayed.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';

/** A server whose tool calls wait until the test opens the gate; counts how many run at once. */
async function held(args: readonly string[], options: RelayedOptions = {}) {
  const gate = makeGate();
  const seen: string[] = [];
  let running = 0;
  let peak = 0;
  const relayed = await startInitialized({
    ...options,
    args: ['--max-connections', '16', ...args],
    on: {
      'tools/call': async (_request, _response, context) => {
        seen.push(JSON.stringify(context.id));
        peak = Math.max(peak, ++running);
        await gate.opened;
        running--;
        return context.fallback();
      },
    },
  });
  const { bin, server } = relayed;
  const call = (id: number | string) => {
    bin.send({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'echo', arguments: { text: 'x' } },
    });
    return bin.answer(id);
  };
  const arrived = (count: number) => server.until(() => seen.length >= count);
  return { ...relayed, gate, seen, peak: () => peak, call, arrived };
}

const overloaded = (reason: string, facts: Record<string, number>) => ({
  code: -32001,
  message: 'SERVER_OVERLOADED',
  data: { reason, queue_timeout_ms: 30_000, retry_after_ms: 1_000, ...facts },
});

describe('--max-concurrent', () => {
  it('--max-concurrent refuses a call over the limit at once, with an error of exactly seven keys', async () => {
    const { gate, call, arrived } = await held(['--max-concurrent', '1']);
    const running = call('');
    await arrived(1);
    const { error } = await call(-1);
    expect(error).toEqual(
      overloaded('concurrency_limit', { active: 1, queued: 0, max_concurrent: 1, queue_size: 0 }),
    );
    gate.open();
    expect(await running).toHaveProperty('result');
  });

  it('--max-concurrent queues --queue-size calls in order and refuses further calls', async () => {
    const { gate, call, arrived, seen, peak } = await held(['--max-concurrent', '2', '--queue-size', '2']);
    const first = [call(0), call('0')];
    await arrived(2);
    const queued = [call('a'), call('b')];
    const { error } = await call('c');
    expect(error).toEqual(
      overloaded('queue_full', { active: 2, queued: 2, max_concurrent: 2, queue_size: 2 }),
    );
    gate.open();
    for (const answer of await Promise.all([...first, ...queued])) expect(answer).toHaveProperty('result');
    // The arrival order of two calls that run at once is open; the order of the queue is fixed.
    expect(seen.slice(0, 2).sort()).toEqual(['"0"', '0']);
    expect(seen.slice(2)).toEqual(['"a"', '"b"']);
    expect(peak()).toBe(2);
  });

  it('--max-concurrent limits tools/call only', async () => {
    const { bin, gate, call, arrived } = await held(['--max-concurrent', '1']);
    const running = call('');
    await arrived(1);
    expect(await bin.request('ping')).toHaveProperty('result');
    expect(await bin.request('tools/list')).toHaveProperty('result.tools');
    gate.open();
    await running;
  });

  it('--max-concurrent frees the place of a cancelled call at once, running or queued', async () => {
    const { bin, gate, call, arrived, seen } = await held(['--max-concurrent', '1', '--queue-size', '1']);
    void call('running').catch(() => undefined);
    await arrived(1);
    void call('queued').catch(() => undefined);
    bin.notify('notifications/cancelled', { requestId: 'queued' });
    const next = call('next');
    bin.notify('notifications/cancelled', { requestId: 'running' });
    await arrived(2);
    gate.open();
    expect(await next).toHaveProperty('result');
    expect(seen).toEqual(['"running"', '"next"']);
  });

  it('--max-concurrent refuses calls with the code of --overload-error-code', async () => {
    const { gate, call, arrived } = await held(['--max-concurrent', '1', '--overload-error-code', '-31999']);
    const running = call(1);
    await arrived(1);
    expect(await call(2)).toHaveProperty('error.code', -31_999);
    gate.open();
    await running;
  });

  it('--max-concurrent refuses a call that waited too long in the queue, and never sends it', async () => {
    const { gate, call, arrived, seen } = await held([
      ...['--max-concurrent', '1', '--queue-size', '1', '--queue-timeout', '0.2'],
    ]);
    const running = call(1);
    await arrived(1);
    expect(await call(2)).toMatchObject({
      error: { data: { reason: 'queue_timeout', queued: 0, queue_timeout_ms: 200 } },
    });
    gate.open();
    await running;
    expect(seen).toEqual(['1']);
  });

  it('--max-concurrent refuses queued calls when the client leaves, while running calls can finish', async () => {
    const { bin, gate, call, arrived, seen } = await held(['--max-concurrent', '1', '--queue-size', '4']);
    const running = call('runs');
    await arrived(1);
    const waiting = call('waits');
    bin.closeStdin();
    expect(await waiting).toMatchObject({
      error: { code: -31009, data: { reason: 'shutting-down', mayHaveRun: false } },
    });
    gate.open();
    expect(await running).toHaveProperty('result');
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(seen).toEqual(['"runs"']);
  });
});

describe('--rate-limit', () => {
  it('--rate-limit lets a burst pass and refuses at once a request that would wait more than 30 s', async () => {
    const { bin, gate, seen, call, arrived } = await held(['--rate-limit', '0.01', '--rate-burst', '4']);
    gate.open();
    // initialize used one of the four; pings are not counted.
    expect(await bin.request('ping')).toHaveProperty('result');
    const answers = [call('a'), call('b'), call('c')];
    await arrived(3);
    expect(await Promise.all(answers)).toHaveLength(3);
    expect(await call('d')).toMatchObject({
      error: { code: -31013, data: { reason: 'rate-limited', mayHaveRun: false } },
    });
    expect(seen).toHaveLength(3);
  });

  it('--rate-limit does not delay the session that queued requests wait for', async () => {
    const { bin, mcp, server } = await startInitialized({ args: ['--rate-limit', '2', '--rate-burst', '2'] });
    const IN_LINE = 40;
    mcp.forgetSessions();
    const first = bin.request('tools/call', { name: 'echo', arguments: {} }, 'first');
    for (let id = 0; id < IN_LINE; id++) {
      bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: {} } });
    }
    expect(await first).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(2);
    expect(server.of('tools/call').length).toBeLessThan(IN_LINE);
  });

  it.each([
    [3, { error: { data: { reason: 'rate-limited', mayHaveRun: false } } }],
    [4, { result: {} }],
  ])(
    '--rate-limit with a burst of %i counts a call that is sent again after a session loss',
    async (burst, answer) => {
      const { bin, mcp, server } = await startInitialized({
        args: ['--rate-limit', '0.01', '--rate-burst', String(burst)],
      });
      mcp.forgetSessions();
      expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, '')).toMatchObject(answer);
      expect(server.of('initialize')).toHaveLength(2);
      expect(server.of('tools/call')).toHaveLength(burst - 2);
    },
  );

  it('--rate-limit refuses queued requests when the client leaves', async () => {
    const { bin, server, call } = await held(['--rate-limit', '0.1', '--rate-burst', '1']);
    const waiting = call(-1);
    await bin.request('ping', {}, 'read');
    bin.closeStdin();
    expect(await waiting).toMatchObject({
      error: { code: -31009, message: expect.stringContaining('--rate-limit'), data: { mayHaveRun: false } },
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('tools/call')).toEqual([]);
  });
});
