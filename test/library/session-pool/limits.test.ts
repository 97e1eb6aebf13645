import { describe, expect, it } from 'vitest';
import type { SessionPoolHooks } from '../../../src/library/index.ts';
import { scaledMinimum } from '../../../src/library/session-pool/autoscaler.ts';
import { settle } from '../../support/make-call.ts';
import { MemoryServer, type MemoryTransport, startedPool, text } from './memory-server.ts';

describe('affinity', () => {
  it('an affinity key gets its session again, and other keys get other sessions if there are any', async () => {
    const { pool } = await startedPool({ minSessions: 3 });
    const call = async (affinityKey?: string) =>
      text(await pool.callTool('echo', {}, affinityKey === undefined ? {} : { affinityKey }));
    const first = await call('a');
    const second = await call('b');
    expect(second).not.toBe(first);
    expect([await call('b'), await call('a'), await call('a')]).toEqual([second, first, first]);
    expect([first, second]).not.toContain(await call());
    expect([await call('a'), await call('b')]).toEqual([first, second]);
  });

  it('a sticky session in use, or gone, is replaced by any other one without a wait', async () => {
    const { pool } = await startedPool({ minSessions: 2 });
    const lease = await pool.session({ affinityKey: 'a' });
    const other = await pool.session({ affinityKey: 'a' });
    expect(other.sessionId).not.toBe(lease.sessionId);
    other.release({ discard: true });
    lease.release();
    await settle();
    const keys = pool.debugSnapshot().map(({ affinityKey }) => affinityKey);
    // One key per session: the key followed the caller to the second session, which is gone.
    expect(keys).toEqual([undefined, undefined]);
  });

  it('a thousand affinity keys leave as many entries as sessions', async () => {
    const { pool } = await startedPool({ maxSessions: 2 });
    for (let at = 0; at < 1_000; at++) (await pool.session({ affinityKey: `key-${at}` })).release();
    expect(pool.debugSnapshot().map(({ affinityKey }) => affinityKey)).toEqual(['key-999']);
  });
});

describe('limits of tenants', () => {
  it('a tenant at its limit is refused at once with its name, and others are not', async () => {
    const { pool } = await startedPool({ tenantLimit: { maxConcurrent: 2, header: 'X-Tenant' } });
    const leases = [
      await pool.session({ tenant: 'a' }),
      await pool.session({ identityHeaders: { 'x-tenant': 'a' } }),
      await pool.session({ affinityKey: 'b' }),
      await pool.session(),
    ];
    await expect(pool.session({ tenant: 'a' })).rejects.toMatchObject({
      reason: 'tenant-limit',
      field: 'tenantLimit.maxConcurrent',
      message: expect.stringContaining('"a"'),
    });
    expect(await pool.trySession({ tenant: 'a' })).toBeUndefined();
    expect(pool.metrics()).toMatchObject({ tenants: { a: 2, b: 1 }, tenantRejects: 2 });
    for (const lease of leases) lease.release();
    expect(pool.metrics().tenants).toEqual({});
  });

  it('a borrow that fails, is cancelled or gets nothing does not count for its tenant', async () => {
    const { pool, server, clock } = await startedPool({
      maxSessions: 1,
      borrowTimeout: 1,
      retryCount: 0,
      tenantLimit: { maxConcurrent: 2 },
    });
    const lease = await pool.session();
    for (let at = 0; at < 3; at++) expect(await pool.trySession({ tenant: 'a' })).toBeUndefined();
    const late = expect(pool.session({ tenant: 'a' })).rejects.toMatchObject({ reason: 'exhausted' });
    const abort = new AbortController();
    const left = expect(pool.session({ tenant: 'a', signal: abort.signal })).rejects.toThrow('left');
    await settle();
    abort.abort(new Error('left'));
    await left;
    await clock.advance(1_000);
    await late;
    lease.release({ discard: true });
    server.gate = () => {
      throw new Error('down');
    };
    await settle();
    for (let at = 0; at < 3; at++)
      await expect(pool.session({ tenant: 'a' })).rejects.toMatchObject({ reason: 'connect-failed' });
    expect(pool.metrics().tenants).toEqual({});
  });
});

describe('the rate limit', () => {
  it('borrows beyond the burst wait for their turn, in order, and trySession does not', async () => {
    const limited: boolean[] = [];
    const hooks: SessionPoolHooks = { onRateLimited: ({ refused }) => limited.push(refused) };
    const { pool, clock } = await startedPool({
      minSessions: 3,
      rateLimit: { requestsPerSecond: 2, burst: 2 },
      hooks,
    });
    (await pool.session()).release();
    (await pool.session()).release();
    expect(await pool.trySession()).toBeUndefined();
    const order: number[] = [];
    const borrow = async (at: number): Promise<void> => {
      const lease = await pool.session();
      order.push(at);
      lease.release();
    };
    const waiting = [borrow(0), borrow(1)];
    await clock.advance(499);
    expect(order).toEqual([]);
    await clock.advance(1);
    expect(order).toEqual([0]);
    await clock.advance(500);
    await Promise.all(waiting);
    expect([order, limited]).toEqual([
      [0, 1],
      [true, false, false],
    ]);
    expect(pool.metrics()).toMatchObject({ rateLimitWaits: 2, rateLimitRejects: 1 });
  });

  it('a borrow whose turn comes after borrowTimeout is refused at once with the time to wait', async () => {
    const { pool } = await startedPool({
      minSessions: 1,
      borrowTimeout: 1,
      rateLimit: { requestsPerSecond: 0.1 },
    });
    (await pool.session()).release();
    await expect(pool.session()).rejects.toMatchObject({
      reason: 'rate-limited',
      field: 'rateLimit.requestsPerSecond',
      retryAfterMs: 10_000,
    });
  });

  it('a wait for a turn ends at once when the caller leaves or the pool shuts down', async () => {
    const { pool } = await startedPool({ minSessions: 1, rateLimit: { requestsPerSecond: 0.2 } });
    (await pool.session()).release();
    const abort = new AbortController();
    const left = expect(pool.session({ signal: abort.signal })).rejects.toThrow('left');
    const refused = expect(pool.session()).rejects.toMatchObject({ reason: 'shutting-down' });
    await settle();
    abort.abort(new Error('left'));
    await left;
    await Promise.all([pool.shutdown(), refused]);
  });

  it('a Retry-After of the server delays the next borrows', async () => {
    const original = globalThis.fetch;
    globalThis.fetch = async () => new Response('', { status: 429, headers: { 'retry-after': '7' } });
    try {
      const server = new MemoryServer();
      const fetches: (typeof fetch)[] = [];
      const { pool, clock } = await startedPool(
        {
          minSessions: 1,
          rateLimit: { requestsPerSecond: 100 },
          transportFactory: async (context) => {
            fetches.push(context.fetch);
            return (await server.transportFactory(context)) as MemoryTransport;
          },
        },
        server,
      );
      await fetches[0]?.('https://one.example/mcp');
      let isBorrowed = false;
      const borrow = pool.session().then((lease) => {
        isBorrowed = true;
        lease.release();
      });
      await clock.advance(6_900);
      expect(isBorrowed).toBe(false);
      await clock.advance(200);
      await borrow;
    } finally {
      globalThis.fetch = original;
    }
  });
});

describe('headers of a borrow', () => {
  it('headers reach a transport with setHeaders for one borrow, and are gone before the next one', async () => {
    const server = new MemoryServer();
    const applied: unknown[] = [];
    const { pool } = await startedPool(
      {
        maxSessions: 1,
        headers: { 'x-app': 'pool' },
        transportFactory: async (context) =>
          Object.assign(await server.transportFactory(context), {
            setHeaders: (headers: object) => void applied.push(headers),
          }),
      },
      server,
    );
    const lease = await pool.session({ headers: { 'X-Trace': '1', Host: 'evil', 'mcp-session-id': 'x' } });
    const next = pool.session();
    lease.release();
    (await next).release();
    expect(applied).toEqual([{ 'x-app': 'pool', 'x-trace': '1' }, { 'x-app': 'pool' }]);
  });

  it.each([
    ['a transport that cannot send them', { 'x-trace': '1' }],
    ['a value with a line break', { 'x-trace': 'a\r\nb: c' }],
  ])('headers are refused with %s, and the session stays free', async (_name, headers) => {
    const { pool } = await startedPool({ maxSessions: 1 });
    await expect(pool.session({ headers })).rejects.toMatchObject({
      reason: 'invalid-argument',
      field: 'headers',
    });
    (await pool.session()).release();
    expect(pool.metrics()).toMatchObject({ active: 0, borrows: 1 });
  });
});

describe('the autoscaler', () => {
  const CONFIG = { scaleUpMs: 50, scaleDownIdleMs: 120_000, cooldownMs: 30_000, checkMs: 10_000, step: 2 };
  const FACTS = { averageWaitMs: 0, active: 0, open: 4, min: 4, max: 10, floor: 1, longestIdleMs: 0 };

  it.each([
    ['a calm pool keeps its minimum', {}, 4],
    ['long waits raise it', { averageWaitMs: 51 }, 6],
    ['busy sessions raise it', { active: 4 }, 6],
    ['a raise counts from the open sessions', { active: 8, open: 8 }, 10],
    ['the maximum bounds it', { averageWaitMs: 51, open: 9, min: 9 }, 10],
    ['a full pool keeps it', { averageWaitMs: 51, open: 10 }, 4],
    ['idle sessions lower it', { longestIdleMs: 120_000 }, 2],
    ['the floor bounds it', { longestIdleMs: 120_000, min: 2 }, 1],
    ['idle sessions beside busy ones keep it', { longestIdleMs: 120_000, active: 2 }, 4],
  ])('the minimum of sessions: %s', (_name, facts, minimum) => {
    expect(scaledMinimum({ ...FACTS, ...facts }, CONFIG)).toBe(minimum);
  });

  it('a busy pool opens sessions ahead of need, and closes them again when they are unused', async () => {
    const seen: string[] = [];
    const hooks: SessionPoolHooks = {
      onAutoscale: ({ direction, minSessions }) => seen.push(`${direction} ${minSessions}`),
    };
    const { pool, server, clock } = await startedPool({
      minSessions: 1,
      maxSessions: 4,
      sessionIdle: 0,
      healthInterval: 0,
      autoscale: { cooldown: 30, checkInterval: 10, scaleDownIdle: 60 },
      hooks,
    });
    const lease = await pool.session();
    await clock.advance(10_000);
    expect([seen, server.open.length]).toEqual([['up 3'], 3]);
    await clock.advance(20_000);
    expect(seen).toHaveLength(1);
    lease.release();
    await clock.advance(120_000);
    expect([seen, server.open.length]).toEqual([['up 3', 'down 1'], 1]);
    expect(pool.metrics()).toMatchObject({ autoscaleUps: 1, autoscaleDowns: 1, total: 1 });
  });
});
