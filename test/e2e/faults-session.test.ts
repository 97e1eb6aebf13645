import { describe, expect, it } from 'vitest';
import { type Fault, LOST_FORMS } from '../support/faults.ts';
import { marked, startFaulty } from '../support/faulty.ts';

describe('a session that the server drops', () => {
  it.each(LOST_FORMS)(
    'a session loss in the form %s opens one new session, and the call runs once',
    async (form) => {
      const { server, call } = await startFaulty();
      server.inject('tools/call', { kind: 'lost', form });
      expect(await call('a', 0)).toEqual(marked('a', 0));
      expect(server.executions.get('a')).toBe(1);
      expect(server.initializes).toBe(2);
      expect(server.liveSessions).toHaveLength(1);
    },
  );

  it.each(['this', 'all'] as const)(
    'the loss of one or all sessions (%s) under 32 calls costs one initialize and no call',
    async (which) => {
      const { server, call } = await startFaulty('--max-connections', '32');
      server.inject('tools/call', ...Array<Fault>(9).fill({ kind: 'none' }), { kind: 'forget', which });
      const ids = Array.from({ length: 32 }, (_, at) => at - 1);
      const answers = await Promise.all(ids.map((id) => call(`t${id}`, id, { ms: 20 })));
      expect(answers).toEqual(ids.map((id) => marked(`t${id}`, id)));
      expect([...server.executions.values()]).toEqual(Array.from({ length: 32 }, () => 1));
      expect(server.initializes).toBe(2);
      expect(server.liveSessions).toHaveLength(1);
    },
  );
});

describe('a session whose opening fails once', () => {
  const trouble: readonly Fault[] = [
    { kind: 'status', status: 503 },
    { kind: 'reset', at: 'before-headers', by: 'rst' },
    { kind: 'status', status: 429, retryAfter: '0' },
  ];

  it.each(['initialize', 'notifications/initialized'])(
    'a fault at %s delays the call and does not fail it',
    async (what) => {
      const { server, call } = await startFaulty();
      await server.restart();
      server.inject(what, ...trouble.slice(0, what === 'initialize' ? 2 : 3));
      expect(await call('a', 0)).toEqual(marked('a', 0));
      expect(server.executions.get('a')).toBe(1);
      expect(server.liveSessions).toHaveLength(1);
      await expect.poll(() => server.liveSessions[0]?.streams.size).toBe(1);
    },
  );

  it('a new session that is lost at once is replaced by a third, and the call runs once', async () => {
    const { server, call } = await startFaulty();
    server.inject('tools/call', { kind: 'lost', form: '404' }, { kind: 'lost', form: '-30001 with 200' });
    expect(await call('a', '')).toEqual(marked('a', ''));
    expect(server.executions.get('a')).toBe(1);
    expect(await call('b', -1)).toEqual(marked('b', -1));
    expect(server.initializes).toBe(3);
  });
});

describe('a server that restarts on its port', () => {
  it('a restart of the server between two calls is not visible to the client', async () => {
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

  it('a restart under 32 calls answers each once, runs none twice, and reports "not run" only if it did not run', async () => {
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
    // At most those in flight when it died; the others were sent to the restarted server.
    expect(answers.filter(({ error }) => error !== undefined).length).toBeLessThanOrEqual(8);
    expect(bin.messages.filter(({ id }) => typeof id === 'number')).toHaveLength(32);
    expect(await call('after', '')).toEqual(marked('after', ''));
    expect(server.initializes).toBe(2);
    expect(server.liveSessions).toHaveLength(1);
  });
});
