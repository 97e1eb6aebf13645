import { describe, expect, it } from 'vitest';
import { type Fault, LOST_FORMS } from '../support/faults.ts';
import { marked, startFaulty } from '../support/faulty.ts';

describe('a session that is dropped', () => {
  it.each(LOST_FORMS)('said by %s is opened anew once; the call runs once', async (form) => {
    const { server, call } = await startFaulty();
    server.inject('tools/call', { kind: 'lost', form });
    expect(await call('a', 0)).toEqual(marked('a', 0));
    expect(server.executions.get('a')).toBe(1);
    expect(server.initializes).toBe(2);
    expect(server.liveSessions).toHaveLength(1);
  });

  it.each(['this', 'all'] as const)('(%s) under 32 calls costs one initialize and no call', async (which) => {
    const { server, call } = await startFaulty('--max-connections', '32');
    server.inject('tools/call', ...Array<Fault>(9).fill({ kind: 'none' }), { kind: 'forget', which });
    const ids = Array.from({ length: 32 }, (_, at) => at - 1);
    const answers = await Promise.all(ids.map((id) => call(`t${id}`, id, { ms: 20 })));
    expect(answers).toEqual(ids.map((id) => marked(`t${id}`, id)));
    expect([...server.executions.values()]).toEqual(Array.from({ length: 32 }, () => 1));
    expect(server.initializes).toBe(2);
    expect(server.liveSessions).toHaveLength(1);
  });
});

describe('a session whose opening meets trouble', () => {
  const trouble: readonly Fault[] = [
    { kind: 'status', status: 503 },
    { kind: 'reset', at: 'before-headers', by: 'rst' },
    { kind: 'status', status: 429, retryAfter: '0' },
  ];

  it.each(['initialize', 'notifications/initialized'])('at %s costs the call a moment', async (what) => {
    const { server, call } = await startFaulty();
    await server.restart();
    server.inject(what, ...trouble.slice(0, what === 'initialize' ? 2 : 3));
    expect(await call('a', 0)).toEqual(marked('a', 0));
    expect(server.executions.get('a')).toBe(1);
    expect(server.liveSessions).toHaveLength(1);
    await expect.poll(() => server.liveSessions[0]?.streams.size).toBe(1);
  });

  it('and that is lost again at once has the call sent again on a third one, and it runs once', async () => {
    const { server, call } = await startFaulty();
    server.inject('tools/call', { kind: 'lost', form: '404' }, { kind: 'lost', form: '-30001 with 200' });
    expect(await call('a', '')).toEqual(marked('a', ''));
    expect(server.executions.get('a')).toBe(1);
    expect(await call('b', -1)).toEqual(marked('b', -1));
    expect(server.initializes).toBe(3);
  });
});

describe('a server that restarts on its port', () => {
  it('between two calls is met anew without the client noticing', async () => {
    const { server, bin, call } = await startFaulty();
    expect(await call('a', 0)).toEqual(marked('a', 0));
    await server.restart();
    expect(await call('b', '')).toEqual(marked('b', ''));
    await server.restart();
    expect(await call('c', -1)).toEqual(marked('c', -1));
    expect([...server.executions.values()]).toEqual([1, 1, 1]);
    expect(server.initializes).toBe(3);
    expect(bin.stderr).toBe('');
  });

  it('during a burst of 32 calls has each answered once and none run twice; who is told "not run" did not run', async () => {
    const { server, bin, call } = await startFaulty('--max-connections', '8');
    server.inject('tools/call', ...Array<Fault>(11).fill({ kind: 'none' }), { kind: 'restart' });
    const ids = Array.from({ length: 32 }, (_, at) => at);
    const answers = await Promise.all(ids.map((id) => call(`t${id}`, id, { ms: 30 })));
    for (const [at, answer] of answers.entries()) {
      const runs = server.executions.get(`t${at}`) ?? 0;
      if (answer.error === undefined) {
        expect(answer).toEqual(marked(`t${at}`, at));
        expect(runs).toBe(1);
      } else {
        expect(answer.error).toMatchObject({ data: { reason: 'connection-lost', mayHaveRun: true } });
        expect(runs).toBeLessThanOrEqual(1);
      }
    }
    // At most those that were on their way when it died; the others were sent to the one that came back.
    expect(answers.filter(({ error }) => error !== undefined).length).toBeLessThanOrEqual(8);
    expect(bin.messages.filter(({ id }) => typeof id === 'number')).toHaveLength(32);
    expect(await call('after', '')).toEqual(marked('after', ''));
    expect(server.initializes).toBe(2);
    expect(server.liveSessions).toHaveLength(1);
  });
});
