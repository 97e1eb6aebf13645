import { expect, it } from 'vitest';
import type { BorrowOptions, SessionPool } from '../../../src/library/index.ts';
import { settle } from '../../support/make-call.ts';
import { memoryPool, startedPool, text } from './memory-server.ts';

/** More microtasks than the longest of the operations takes. */
const MAX_STEPS = 2_000;

const OPERATIONS: Readonly<Record<string, (pool: SessionPool, options: BorrowOptions) => Promise<unknown>>> =
  {
    session: async (pool, options) => (await pool.session(options)).release(),
    trySession: async (pool, options) => (await pool.trySession(options))?.release(),
    callTool: (pool, options) => pool.callTool('echo', {}, options),
    listTools: (pool, options) => pool.listTools(options),
  };

it.each(Object.keys(OPERATIONS))(
  'the method %s, aborted at any of its awaits, rejects with the reason and leaves nothing behind',
  async (name) => {
    const { pool } = await startedPool({
      maxSessions: 1,
      toolCacheTtl: 0,
      tenantLimit: { maxConcurrent: 1 },
    });
    let steps = 0;
    for (let isDone = false; !isDone && steps < MAX_STEPS; steps += 5) {
      // Each time the session has to be opened.
      for (const { sessionId } of pool.debugSnapshot()) pool.evict(sessionId);
      await settle();
      const abort = new AbortController();
      const reason = new Error('left');
      const outcome = OPERATIONS[name]?.(pool as never, { signal: abort.signal, tenant: 'a' }).then(
        () => {
          isDone = true;
        },
        (error: unknown) => error,
      );
      for (let step = 0; step < steps; step++) await undefined;
      abort.abort(reason);
      const failure = await outcome;
      if (!isDone) expect(String(failure)).toContain('left');
      await settle();
      expect(pool.metrics()).toMatchObject({ active: 0, waiting: 0, tenants: {} });
      expect(pool.metrics().total).toBeLessThanOrEqual(1);
    }
    expect(steps).toBeGreaterThan(20);
    expect(steps).toBeLessThan(MAX_STEPS);
    expect(text(await pool.callTool('echo', {}, { tenant: 'a' }))).toMatch(/ echo$/);
  },
);

it('concurrent shutdowns share one, also with a start between them, and the last call decides the state of the pool', async () => {
  const { pool, server } = memoryPool({ minSessions: 2 });
  await pool.start();
  const ends = [pool.shutdown(), pool.shutdown()];
  const again = Promise.allSettled([pool.start(), pool.start()]);
  const last = pool.shutdown();
  await Promise.all([...ends, last]);
  expect((await again).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await settle();
  expect([pool.isStarted(), server.open]).toEqual([false, []]);
  await Promise.all([pool.shutdown(), pool.start(), pool.start()]);
  expect([pool.isReady(), server.open.length]).toEqual([true, 2]);
});
