import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import { PoolManager, type SessionPoolHooks } from '../../../src/library/index.ts';
import { settle } from '../../support/make-call.ts';
import { MemoryServer, memoryPool, startedPool, text } from './memory-server.ts';

const down = (): never => {
  throw new Error('down');
};

/** A server that is down for its first attempts. */
const downFor = (attempts: number): MemoryServer => {
  const server = new MemoryServer();
  server.gate = () => (server.attempts <= attempts ? down() : undefined);
  return server;
};

it('an affinity key whose session has expired gets another one, and the old one is closed', async () => {
  const { pool, server, clock } = await startedPool({ sessionLifetime: 10, sessionRecycleWindow: 1 });
  (await pool.session({ affinityKey: 'cart' })).release();
  await clock.advance(11_000);
  expect(text(await pool.callTool('echo', {}, { affinityKey: 'cart' }))).toBe('1 echo');
  await settle();
  expect([server.open, pool.metrics().sessionsDestroyed]).toEqual([[1], 1]);
});

it('a degraded pool keeps the maximum of sessions and the limit of tenants, and counts borrows', async () => {
  const { pool, server } = await startedPool(
    {
      minSessions: 2,
      maxSessions: 2,
      gracefulDegradation: true,
      retryCount: 0,
      tenantLimit: { maxConcurrent: 1 },
    },
    downFor(2),
  );
  expect(pool.isDegraded()).toBe(true);
  let most = 0;
  server.call = () => {
    most = Math.max(most, pool.metrics().active);
  };
  await Promise.all(Array.from({ length: 20 }, () => pool.callTool('echo')));
  expect([most, server.sessions.length, pool.metrics().borrows]).toEqual([2, 2, 20]);
  const lease = await pool.session({ tenant: 'a' });
  await expect(pool.session({ tenant: 'a' })).rejects.toMatchObject({ reason: 'tenant-limit' });
  lease.release();
  expect(pool.metrics()).toMatchObject({ active: 0, sessionsCreated: 2, sessionsDestroyed: 0 });
});

it('a hook of the circuit breaker that borrows a session is refused like others, and blocks nothing', async () => {
  const reasons: unknown[] = [];
  const hooks: SessionPoolHooks = {
    onCircuitOpen: () => pool.session().catch(({ reason }: { reason: string }) => reasons.push(reason)),
    onCircuitClose: () => pool.callTool('echo').then((result) => reasons.push(text(result))),
  };
  const { pool, server, clock } = memoryPool({ retryCount: 0, breakerThreshold: 1, breakerReset: 5, hooks });
  await pool.start();
  server.gate = down;
  const refusal = { reason: expect.stringMatching(/^(circuit-open|connect-failed)$/) };
  await expect(pool.session()).rejects.toMatchObject(refusal);
  await settle();
  server.gate = () => undefined;
  await clock.advance(5_000);
  await pool.callTool('echo');
  await settle();
  expect(reasons).toEqual([refusal.reason, '0 echo']);
});

it('twenty callers at a dead server open the breaker once, and after its reset one attempt is made', async () => {
  const opened: string[] = [];
  const hooks: SessionPoolHooks = { onCircuitOpen: ({ key }) => opened.push(key) };
  const options = { maxSessions: 20, retryCount: 0, breakerThreshold: 5, breakerReset: 60, hooks };
  const { pool, server, clock } = await startedPool(options);
  server.gate = down;
  const all = () => Promise.allSettled(Array.from({ length: 20 }, () => pool.session()));
  expect((await all()).map(({ status }) => status)).not.toContain('fulfilled');
  expect(opened).toHaveLength(1);
  const before = server.attempts;
  await all();
  expect(server.attempts).toBe(before);
  await clock.advance(60_000);
  await all();
  expect(server.attempts).toBe(before + 1);
});

it('a caller that leaves while the only session is probed loses neither the session nor its place', async () => {
  let answer: (isHealthy: boolean) => void = () => undefined;
  const { pool, server, clock } = await startedPool({
    minSessions: 1,
    maxSessions: 1,
    healthInterval: 10,
    healthTimeout: 60,
    healthProbe: () =>
      new Promise<boolean>((resolve) => {
        answer = resolve;
      }),
  });
  await clock.advance(20_000);
  const abort = new AbortController();
  const left = expect(pool.session({ signal: abort.signal })).rejects.toThrow('left');
  await settle();
  abort.abort(new Error('left'));
  await left;
  answer(true);
  await settle();
  expect(text(await pool.callTool('echo'))).toBe('0 echo');
  expect([server.open, pool.metrics().total]).toEqual([[0], 1]);
});

it('least-connections uses a degraded pool last', async () => {
  const manager = new PoolManager<Client>({ strategy: 'least-connections' });
  const degraded = memoryPool({ minSessions: 2, gracefulDegradation: true, retryCount: 0 }, downFor(2));
  const whole = memoryPool({ minSessions: 1 });
  await manager.add('degraded', degraded.pool);
  await manager.add('whole', whole.pool);
  await manager.start();
  expect([degraded.pool.isDegraded(), whole.pool.isDegraded()]).toEqual([true, false]);
  const lease = await manager.session();
  await manager.callTool('echo');
  expect([whole.pool.metrics().borrows, degraded.pool.metrics().borrows]).toEqual([2, 0]);
  lease.release();
});

it('a session that a renewed token keeps sends the new token', async () => {
  const server = new MemoryServer();
  const sent: unknown[] = [];
  const { pool } = await startedPool(
    {
      identity: { extractor: () => 'ada' },
      transportFactory: async (context) =>
        Object.assign(await server.transportFactory(context), {
          setHeaders: ({ authorization }: Record<string, string>) => void sent.push(authorization),
        }),
    },
    server,
  );
  for (const authorization of ['Bearer one', 'Bearer two'])
    (await pool.session({ headers: { authorization } })).release();
  expect([server.sessions.length, sent.includes('Bearer two')]).toEqual([1, true]);
  expect(sent.at(-1)).not.toBe('Bearer one');
});

describe('the metrics of keys', () => {
  it('borrows of A, A, A, B, B count two misses and three hits, on a key each', async () => {
    const { pool } = await startedPool();
    for (const identity of ['a', 'a', 'a', 'b', 'b']) await pool.callTool('echo', {}, { identity });
    const [, ...keys] = pool.metrics().keys;
    expect(keys.map(({ hits, misses }) => [hits, misses])).toEqual([
      [2, 1],
      [1, 1],
    ]);
    expect(pool.metrics().hitRate).toBe(0.6);
  });
});
