import { describe, expect, it } from 'vitest';
import type { SessionPoolHooks } from '../../../src/library/index.ts';
import { OptionsError } from '../../../src/library/index.ts';
import { settle } from '../../support/make-call.ts';
import { startedPool, text } from './memory-server.ts';

describe('the age of sessions', () => {
  it('sessions are replaced one by one in the window before their lifetime ends', async () => {
    const reasons: string[] = [];
    const hooks: SessionPoolHooks = { onSessionDestroyed: ({ reason }) => reasons.push(reason) };
    const options = {
      minSessions: 2,
      sessionLifetime: 100,
      sessionRecycleWindow: 20,
      healthInterval: 0,
      hooks,
    };
    const { pool, server, clock } = await startedPool(options);
    await clock.advance(79_000);
    expect(server.open).toEqual([0, 1]);
    await clock.advance(20_000);
    await settle();
    expect([server.open, reasons]).toEqual([
      [2, 3],
      ['recycled', 'recycled'],
    ]);
    expect(pool.metrics().recycled).toBe(2);
  });

  it('a session past its lifetime is not lent, and a borrowed one is closed when it is returned', async () => {
    const { pool, server, clock } = await startedPool({
      maxSessions: 2,
      sessionLifetime: 10,
      drainTimeout: 1,
    });
    const lease = await pool.session();
    await clock.advance(11_000);
    expect(server.open).toEqual([0]);
    expect(text(await pool.callTool('echo'))).toBe('1 echo');
    lease.release();
    await settle();
    expect(server.open).toEqual([1]);
  });

  it('a step of the wall clock expires nothing', async () => {
    const { pool, server, clock } = await startedPool({ minSessions: 1, sessionLifetime: 10 });
    clock.jump(1_000_000);
    expect(text(await pool.callTool('echo'))).toBe('0 echo');
    expect(server.open).toEqual([0]);
  });

  it('unused sessions above the minimum are closed after sessionIdle', async () => {
    const { pool, server, clock } = await startedPool({ minSessions: 1, sessionIdle: 20, healthInterval: 0 });
    const leases = await Promise.all([pool.session(), pool.session(), pool.session()]);
    for (const lease of leases) lease.release();
    expect(server.open).toHaveLength(3);
    await clock.advance(40_000);
    expect(server.open).toHaveLength(1);
  });
});

describe('the health of sessions', () => {
  it('an unused session is probed after healthInterval, and one that fails is replaced', async () => {
    const failed: unknown[] = [];
    const hooks: SessionPoolHooks = { onHealthCheckFailed: ({ error }) => failed.push(error) };
    let isHealthy = true;
    const probed: unknown[] = [];
    const { pool, server, clock } = await startedPool({
      minSessions: 1,
      healthInterval: 30,
      healthProbe: (client) => {
        probed.push(client);
        return isHealthy;
      },
      hooks,
    });
    await clock.advance(45_000);
    expect([probed.length, server.open]).toEqual([1, [0]]);
    isHealthy = false;
    await clock.advance(40_000);
    isHealthy = true;
    await settle();
    expect([server.open, failed.length, pool.metrics().healthCheckFailures]).toEqual([[1], 1, 1]);
  });

  it('a probe that hangs fails after healthTimeout, and others are probed meanwhile', async () => {
    const { server, clock } = await startedPool({
      minSessions: 3,
      maxSessions: 6,
      healthInterval: 30,
      healthTimeout: 5,
      healthProbe: () => new Promise<never>(() => undefined),
    });
    await clock.advance(36_000);
    await settle();
    // All three at once, not one after the other.
    expect(server.open).toEqual([3, 4, 5]);
  });

  it.each([
    ['ping', 'ping', true],
    ['an unknown method before one that is known', 'prompts/list tools/list', true],
    ['unknown methods alone', 'prompts/list resources/list resources/templates/list', false],
    ['skip', 'skip', true],
  ])('the health check with %s', async (_name, methods, isHealthy) => {
    const { server, clock } = await startedPool({
      minSessions: 1,
      healthInterval: 30,
      healthCheck: methods.split(' '),
    });
    await clock.advance(31_000);
    await settle();
    expect(server.open).toEqual(isHealthy ? [0] : [1]);
    expect(server.lists).toBe(methods.includes('tools/list') ? 1 : 0);
  });

  it('a borrowed session is neither probed nor closed by upkeep', async () => {
    const probed: unknown[] = [];
    const options = {
      maxSessions: 1,
      healthInterval: 1,
      sessionLifetime: 5,
      healthProbe: () => probed.push(1) > 9,
    };
    const { pool, server, clock } = await startedPool(options);
    await using lease = await pool.session();
    await clock.advance(60_000);
    await lease.client.ping();
    expect([probed, server.open]).toEqual([[], [0]]);
  });
});

describe('resize', () => {
  it('a greater minimum opens sessions, and a greater maximum serves callers that wait', async () => {
    const { pool, server } = await startedPool({ minSessions: 0, maxSessions: 1 });
    const first = await pool.session();
    const second = pool.session();
    pool.resize({ minSessions: 3, maxSessions: 4 });
    (await second).release();
    await expect.poll(() => server.open.length).toBe(3);
    first.release();
  });

  it('a maximum below the borrowed sessions closes sessions on their return, and later callers wait for their turn', async () => {
    const { pool, server } = await startedPool({ maxSessions: 3 });
    const leases = await Promise.all([pool.session(), pool.session(), pool.session()]);
    pool.resize({ maxSessions: 1 });
    const waiting = pool.session();
    for (const lease of leases) lease.release();
    (await waiting).release();
    await settle();
    expect([server.open.length, pool.metrics().total, pool.metrics().active]).toEqual([1, 1, 0]);
  });

  it.each([
    [{ minSessions: 5 }, 'minSessions', '<= maxSessions (3), not 5'],
    [{ minSessions: -1 }, 'minSessions', 'an integer >= 0'],
    [{ maxSessions: 0 }, 'maxSessions', 'an integer >= 1'],
  ])('resize refuses %j with the field %s', async (size, field, allowed) => {
    const { pool } = await startedPool({ maxSessions: 3 });
    const error = ((): unknown => {
      try {
        return pool.resize(size);
      } catch (failure) {
        return failure;
      }
    })();
    expect(error).toBeInstanceOf(OptionsError);
    expect(error).toMatchObject({ problems: [{ field, message: expect.stringContaining(allowed) }] });
  });

  it('drain replaces all sessions, and a borrowed one serves until it is returned', async () => {
    const { pool, server } = await startedPool({ minSessions: 2, maxSessions: 3 });
    const lease = await pool.session();
    pool.drain();
    await settle();
    await lease.client.ping();
    lease.release();
    await expect.poll(() => server.open.filter((number) => number < 2)).toEqual([]);
    await expect.poll(() => server.open.length).toBe(2);
  });

  it('evict closes one session by its id, a borrowed one when it is returned', async () => {
    const { pool, server } = await startedPool({ maxSessions: 2 });
    const lease = await pool.session();
    expect([pool.evict('unknown'), pool.evict(lease.sessionId)]).toEqual([0, 1]);
    await lease.client.ping();
    expect(text(await pool.callTool('echo'))).toBe('1 echo');
    lease.release();
    await settle();
    expect(server.open).toEqual([1]);
  });

  it('debugSnapshot describes each session, and metrics agree with it', async () => {
    const { pool, clock } = await startedPool({ minSessions: 2 });
    const lease = await pool.session({ affinityKey: 'cart' });
    await clock.advance(1_500);
    expect(pool.debugSnapshot()).toEqual([
      expect.objectContaining({
        state: 'idle',
        ageS: 1.5,
        idleS: 1.5,
        borrowCount: 0,
        affinityKey: undefined,
      }),
      {
        sessionId: lease.sessionId,
        key: expect.stringMatching(/^[0-9a-f]{64}$/),
        state: 'active',
        ageS: 1.5,
        idleS: 0,
        borrowCount: 1,
        affinityKey: 'cart',
      },
    ]);
    expect(pool.metrics()).toMatchObject({ active: 1, idle: 1, total: 2, uptime: 1.5, borrows: 1 });
    lease.release();
    pool.resetMetrics();
    expect(pool.metrics()).toMatchObject({ active: 0, idle: 2, borrows: 0, returns: 0, hitRate: 0 });
  });
});
