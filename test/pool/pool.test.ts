import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { SessionQuota } from '../../src/pool/session-quota.ts';
import { settle } from '../support/make-call.ts';
import { DOWN, PoolRig } from './pool-rig.ts';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error) => error,
  );

describe('a lease', () => {
  it('a lease is of the item used last, so that the surplus becomes idle', async () => {
    const rig = new PoolRig({ max: 3 });
    rig.adopt();
    const leases = [await rig.lease(), await rig.lease(), await rig.lease()];
    for (const at of [1, 0, 2]) leases[at]?.release('ok');
    const again = await rig.lease();
    expect(again.item).toBe(2);
    again.release('ok');
    expect((await rig.lease()).item).toBe(2);
  });

  it('a lease goes to the longest waiter, and is not lost if that one has left', async () => {
    const rig = new PoolRig({ max: 1 });
    rig.adopt();
    const held = await rig.lease();
    const leaving = new AbortController();
    const first = failure(rig.pool.lease(leaving.signal));
    const second = rig.pool.lease(new AbortController().signal);
    leaving.abort(new Error('cancelled'));
    held.release('ok');
    expect(await first).toEqual(new Error('cancelled'));
    expect((await second).item).toBe(0);
    expect(rig.clock.timers).toBe(0);
  });

  it('a lease goes to another caller if its caller leaves while an item is opened for it', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    await rig.lease();
    const leaving = new AbortController();
    const left = failure(rig.pool.lease(leaving.signal));
    await settle();
    leaving.abort(new Error('cancelled'));
    await left;
    expect(rig.opening[0]?.signal.aborted).toBe(false);
    await rig.openAll();
    expect((await rig.lease()).item).toBe(1);
    expect(rig.pool.size).toBe(2);
  });

  it('a lease is refused after its wait, and the error states the limits that were reached', async () => {
    const rig = new PoolRig({ max: 1, waitMs: 2_000 });
    rig.adopt();
    await rig.lease();
    const refused = failure(rig.pool.lease(new AbortController().signal));
    const later = failure(rig.pool.lease(new AbortController().signal));
    await rig.clock.advance(1_999);
    expect(rig.pool.waiting).toBe(2);
    await rig.clock.advance(1);
    expect(await refused).toMatchObject({
      reason: 'no-session',
      code: -31015,
      sent: 'no',
      retryAfterMs: 1_000,
      message: expect.stringMatching(/within 2 s \(--session-wait\): 1 of --max-sessions 1 are open/),
    });
    await later;
    expect(rig.clock.timers).toBe(0);
  });

  it('a lease is refused at once with --session-wait 0, but not while an item is opened for it', async () => {
    const rig = new PoolRig({ max: 2, waitMs: 0 });
    rig.adopt();
    await rig.lease();
    const opening = rig.pool.lease(new AbortController().signal);
    const refused = await failure(rig.pool.lease(new AbortController().signal));
    expect(refused).toMatchObject({
      reason: 'no-session',
      message: expect.stringContaining('--session-wait 0'),
    });
    await rig.clock.advance(60_000);
    await rig.openAll();
    expect((await opening).item).toBe(1);
  });

  it('a lease does not wait for a slow opening if another item is returned', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    const held = await rig.lease();
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    expect(rig.opening).toHaveLength(1);
    held.release('ok');
    expect((await waiting).item).toBe(0);
  });

  it("a lease that the caller's deadline ends reports that nothing was sent", async () => {
    const rig = new PoolRig({ max: 1 });
    rig.adopt();
    await rig.lease();
    const late = new AbortController();
    const refused = failure(rig.pool.lease(late.signal));
    const facts = { sent: 'maybe', ifUnsent: 'not sent' } as const;
    late.abort(new ProxyError('timeout', 'may have run', facts));
    expect(await refused).toMatchObject({ reason: 'timeout', message: 'not sent', sent: 'no' });
  });
});

describe('an item that cannot be opened', () => {
  it('an opening failure is returned to its callers if no item serves', async () => {
    const rig = new PoolRig();
    const refused = failure(rig.pool.lease(new AbortController().signal));
    await settle();
    rig.opening[0]?.fail();
    expect(await refused).toMatchObject({
      reason: 'no-session',
      sent: 'no',
      message: expect.stringContaining('could not be opened: connect ECONNREFUSED'),
    });
    expect(rig.failures).toEqual([DOWN]);
    // The next caller may find a server that has come back.
    expect((await rig.lease()).item).toBe(0);
  });

  it('an opening failure is retried later for callers that wait for other items', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    await rig.lease();
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    rig.opening[0]?.fail();
    await settle();
    expect(rig.opening).toEqual([]);
    await rig.clock.advance(1_000);
    await rig.openAll();
    expect((await waiting).item).toBe(1);
  });

  it('an opening failure is retried in the background until the minimum is reached, ever less often', async () => {
    const rig = new PoolRig({ min: 2, max: 2 });
    rig.adopt();
    await settle();
    const waits: number[] = [];
    for (let at = rig.clock.monotonic(); waits.length < 4; at = rig.clock.monotonic()) {
      rig.opening[0]?.fail();
      await settle();
      while (rig.opening.length === 0) await rig.clock.advance(100);
      waits.push(rig.clock.monotonic() - at);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000]);
    await rig.openAll();
    expect(rig.pool.items).toEqual([0, 1]);
  });
});

describe('the minimum', () => {
  it('the minimum of a pool is opened after the first item, not before, and kept', async () => {
    const rig = new PoolRig({ min: 3, max: 4 });
    await settle();
    expect(rig.opening).toEqual([]);
    rig.adopt();
    await settle();
    expect(rig.opening).toHaveLength(2);
    await rig.openAll();
    (await rig.lease()).release('broken');
    await rig.openAll();
    expect(rig.pool.size).toBe(3);
    expect(rig.closed).toHaveLength(1);
  });
});

describe('maintenance', () => {
  it('maintenance opens the successor of an old item before it closes the item, if there is room', async () => {
    const rig = new PoolRig({ min: 2, max: 3, lifetimeMs: 10_000, recycleWindowMs: 2_000 });
    rig.adopt();
    await rig.openAll();
    await rig.clock.advance(8_000);
    expect(rig.opening).toHaveLength(1);
    expect(rig.closed).toEqual([]);
    await rig.openAll();
    expect(rig.closed).toEqual([0]);
    await rig.clock.advance(1_000);
    await rig.openAll();
    expect(rig.closed).toEqual([0, 1]);
    expect(rig.pool.items).toEqual([2, 3]);
  });

  it('maintenance closes an old item first if there is no room, and a leased one on its return', async () => {
    const rig = new PoolRig({ min: 1, max: 1, lifetimeMs: 10_000, recyclesOnly: true });
    rig.adopt();
    const held = await rig.lease();
    await rig.clock.advance(20_000);
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    expect([rig.closed, rig.opening]).toEqual([[], []]);
    held.release('ok');
    await rig.openAll();
    expect(rig.closed).toEqual([0]);
    expect((await waiting).item).toBe(1);
  });

  it('maintenance closes what was idle for the limit, down to one', async () => {
    const rig = new PoolRig({ max: 3, idleMs: 10_000 });
    rig.adopt();
    const leases = [await rig.lease(), await rig.lease(), await rig.lease()];
    for (const lease of leases) lease.release('ok');
    await rig.clock.advance(30_000);
    expect(rig.closed).toEqual([0, 1]);
    expect(rig.pool.items).toEqual([2]);
  });

  it('maintenance discards an unhealthy item, and opens another for the minimum', async () => {
    const rig = new PoolRig({ min: 2, max: 2, healthIntervalMs: 10_000 });
    rig.probe = async (item) => {
      if (item === 0) throw new Error('sick');
      return 'answered';
    };
    rig.adopt();
    await rig.openAll();
    await rig.clock.advance(10_000);
    await rig.openAll();
    expect(rig.probed).toEqual(['0 ping', '1 ping']);
    expect(rig.closed).toEqual([0]);
    expect(rig.pool.items).toEqual([1, 2]);
  });

  it('maintenance does not lend an item that is probed, nor probe one that is lent', async () => {
    const rig = new PoolRig({ min: 2, max: 2, healthIntervalMs: 10_000 });
    const answers: (() => void)[] = [];
    rig.probe = () => new Promise((resolve) => answers.push(() => resolve('answered')));
    rig.adopt();
    await rig.openAll();
    const held = await rig.lease();
    await rig.clock.advance(10_000);
    expect(rig.probed).toEqual([`${1 - held.item} ping`]);
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    expect(rig.pool.waiting).toBe(1);
    answers[0]?.();
    expect((await waiting).item).toBe(1 - held.item);
  });
});

describe('a drain', () => {
  it('a pool drain replaces what is idle now and what is in use on its return', async () => {
    const rig = new PoolRig({ min: 2, max: 2 });
    rig.adopt();
    await rig.openAll();
    const held = await rig.lease();
    rig.pool.drain();
    await rig.openAll();
    expect(rig.closed).toEqual([1 - held.item]);
    held.release('ok');
    await rig.openAll();
    expect([...rig.closed].sort()).toEqual([0, 1]);
    expect(rig.pool.items).toEqual([2, 3]);
  });
});

describe('a drain while an item is being opened', () => {
  it('a pool drain replaces an item that is being opened once it is there', async () => {
    const rig = new PoolRig({ min: 2, max: 3 });
    const first = rig.adopt();
    await settle();
    rig.pool.drain();
    await rig.openAll();
    expect([...rig.closed].sort()).toEqual([first, 1]);
    expect(rig.pool.items).toEqual([2, 3]);
  });
});

describe('a pool drain without room for successors', () => {
  it('a pool drain without room lets the only item serve on, and replaces it when it is idle', async () => {
    const rig = new PoolRig({ min: 1, max: 1, callsPerItem: Number.POSITIVE_INFINITY });
    const item = rig.adopt();
    const long = await rig.lease();
    rig.pool.drain();
    const later = await rig.lease();
    expect(later.item).toBe(item);
    later.release('ok');
    expect(rig.closed).toEqual([]);
    // Once more changes nothing.
    rig.pool.drain();
    long.release('ok');
    expect(rig.closed).toEqual([item]);
    await rig.openAll();
    expect((await rig.lease()).item).not.toBe(item);
    expect(rig.alive.size).toBe(1);
  });

  it('a pool drain without room replaces each item when another one closes, and prefers new items', async () => {
    const rig = new PoolRig({ min: 2, max: 2, callsPerItem: 2 });
    rig.adopt();
    await rig.openAll();
    const held = [await rig.lease(), await rig.lease(), await rig.lease()];
    const [full, , half] = held.map(({ item }) => item);
    expect(half).not.toBe(full);
    rig.pool.drain();
    const fourth = await rig.lease();
    expect(fourth.item).toBe(half);
    held[0]?.release('ok');
    held[1]?.release('ok');
    await rig.openAll();
    expect(rig.closed).toEqual([full]);
    // The free place has a new item, which is preferred.
    expect((await rig.lease()).item).toBe(2);
    fourth.release('ok');
    held[2]?.release('ok');
    await rig.openAll();
    expect(rig.closed).toEqual([full, half]);
    expect(rig.pool.items).toHaveLength(2);
  });
});

describe('the limit over all pools', () => {
  it('the limit over all pools is never exceeded, and a free place goes to the pool that waits', async () => {
    const places = new SessionQuota(3);
    const one = new PoolRig({ max: 3 }, { places });
    const other = new PoolRig({ max: 3 }, { places });
    one.adopt();
    other.adopt();
    await one.lease();
    const extra = await one.lease();
    await other.lease();
    const waiting = other.pool.lease(new AbortController().signal);
    await settle();
    expect(other.opening).toEqual([]);
    extra.release('broken');
    await other.openAll();
    expect((await waiting).item).toBe(1);
    expect(places.used).toBe(3);
  });

  it('the refusal names the limit over all pools if this limit is reached', async () => {
    const rig = new PoolRig({ max: 3, waitMs: 10 }, { places: new SessionQuota(1) });
    rig.adopt();
    await rig.lease();
    const refused = failure(rig.pool.lease(new AbortController().signal));
    await rig.clock.advance(10);
    expect(await refused).toMatchObject({
      message: expect.stringContaining('--max-total-sessions 1 is reached'),
      details: { sessions: 1, maxSessions: 3, maxTotalSessions: 1 },
    });
  });
});

describe('the end of a pool', () => {
  it('a closing pool refuses waiting callers, and leased items stay with their callers', async () => {
    const rig = new PoolRig({ max: 1 });
    rig.adopt();
    const held = await rig.lease();
    const waiting = failure(rig.pool.lease(new AbortController().signal));
    rig.pool.refuseWaiting();
    expect(await waiting).toMatchObject({ reason: 'shutting-down', sent: 'no' });
    expect(rig.closed).toEqual([]);
    held.release('ok');
    expect(rig.clock.timers).toBe(0);
  });

  it('a closing pool refuses waiters, and closes everything, late items included, at the same time', async () => {
    const rig = new PoolRig({ max: 3 });
    rig.deaf = true;
    rig.adopt();
    await rig.lease();
    const releases: (() => void)[] = [];
    rig.closing = () => new Promise((resolve) => releases.push(resolve));
    await rig.lease();
    const waiting = failure(rig.pool.lease(new AbortController().signal));
    await settle();
    const ended = rig.pool.close();
    expect(await waiting).toMatchObject({ reason: 'shutting-down', sent: 'no' });
    expect(rig.closed).toEqual([0, 1]);
    rig.opening[0]?.succeed();
    await settle();
    expect(rig.closed).toEqual([0, 1, 2]);
    for (const release of releases) release();
    await ended;
    expect([...rig.alive]).toEqual([]);
    expect(await failure(rig.pool.lease(new AbortController().signal))).toMatchObject({
      reason: 'shutting-down',
    });
  });
});

describe('an opening that hangs', () => {
  const SILENT = new ProxyError('timeout', 'no answer to initialize within 2 s', { sent: 'maybe' });

  it('a hanging opening holds no caller longer than the wait, and the refusal says so', async () => {
    const rig = new PoolRig({ max: 2, waitMs: 2_000 });
    rig.adopt();
    await rig.lease();
    const refused = failure(rig.pool.lease(new AbortController().signal));
    await rig.clock.advance(1_999);
    expect(rig.pool.waiting).toBe(1);
    await rig.clock.advance(1);
    expect(await refused).toMatchObject({
      reason: 'no-session',
      sent: 'no',
      message: expect.stringMatching(/within 2 s \(--session-wait\).* 1 more is being opened/),
      details: { waitSeconds: 2 },
    });
  });

  it('an opening gets at least one second even if the wait is shorter, and the refusal states the real wait', async () => {
    const rig = new PoolRig({ max: 2, waitMs: 50 });
    rig.adopt();
    await rig.lease();
    const refused = failure(rig.pool.lease(new AbortController().signal));
    await rig.clock.advance(999);
    expect(rig.pool.waiting).toBe(1);
    await rig.clock.advance(1);
    expect(await refused).toMatchObject({ message: expect.stringContaining('within 1 s (--session-wait)') });
  });

  it('a hanging opening ends a second after its last caller has left, so that the next caller gets another', async () => {
    const rig = new PoolRig({ max: 2, waitMs: 60_000 });
    rig.adopt();
    await rig.lease();
    const leaving = new AbortController();
    const left = failure(rig.pool.lease(leaving.signal));
    await settle();
    const [hung] = rig.opening;
    leaving.abort(new Error('cancelled'));
    await left;
    const next = rig.pool.lease(new AbortController().signal);
    await rig.clock.advance(1_000);
    expect(hung?.signal.aborted).toBe(true);
    await rig.openAll();
    expect((await next).item).toBe(1);
    expect(rig.failures).toEqual([]);
    expect(rig.clock.timers).toBe(0);
  });

  it('a hanging opening does not block callers with time left: another item is opened for them', async () => {
    const rig = new PoolRig({ waitMs: 2_000 });
    const late = rig.pool.lease(new AbortController().signal);
    await settle();
    rig.opening[0]?.fail(SILENT);
    await rig.openAll();
    expect((await late).item).toBe(0);
  });
});

describe('the lifetime', () => {
  const life = { lifetimeMs: 4_000, recycleWindowMs: 2_000 };

  it('the lifetime of six idle items of one age ends spread over the window', async () => {
    const rig = new PoolRig({ min: 6, max: 6, ...life });
    const ends: number[] = [];
    rig.closing = async () => void ends.push(rig.clock.monotonic());
    rig.adopt();
    await rig.openAll();
    for (let at = 0; at < 40; at++) {
      await rig.clock.advance(100);
      await rig.openAll();
    }
    const first = ends.slice(0, 6);
    expect(first[0]).toBe(2_000);
    expect(first.at(-1)).toBeLessThanOrEqual(4_000);
    for (const [at, end] of first.slice(1).entries()) expect(end - (first[at] ?? 0)).toBeGreaterThan(200);
    expect([...rig.closed].slice(0, 6).sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('the lifetime ends an item in time even if its successor cannot be opened', async () => {
    const rig = new PoolRig({ min: 2, max: 3, ...life });
    rig.adopt();
    await rig.openAll();
    await rig.clock.advance(2_000);
    expect(rig.opening).toHaveLength(1);
    await rig.clock.advance(1_999);
    expect(rig.closed).toEqual([]);
    await rig.clock.advance(1);
    expect([...rig.closed].sort()).toEqual([0, 1]);
  });

  it('the lifetime is never exceeded by a lease, and a running call is not cut', async () => {
    const rig = new PoolRig({ max: 1, callsPerItem: 4, recyclesOnly: true, ...life });
    rig.adopt();
    const held = await rig.lease();
    await rig.clock.advance(3_999);
    const last = await rig.lease();
    expect(last.item).toBe(0);
    await rig.clock.advance(1);
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    expect([rig.pool.waiting, rig.closed]).toEqual([1, []]);
    held.release('ok');
    last.release('ok');
    await rig.openAll();
    expect((await waiting).item).toBe(1);
  });
});

describe('a drain of idle items', () => {
  it('a drain of idle items replaces one after the other, and keeps each until its successor exists', async () => {
    const rig = new PoolRig({ min: 3, max: 3 }, { overlap: 1 });
    rig.adopt();
    await rig.openAll();
    rig.pool.drain();
    for (const closed of [0, 1, 2]) {
      await settle();
      expect(rig.opening).toHaveLength(1);
      expect(rig.closed).toHaveLength(closed);
      rig.opening[0]?.succeed();
    }
    await settle();
    expect(rig.opening).toEqual([]);
    expect([...rig.closed].sort()).toEqual([0, 1, 2]);
    expect(rig.pool.items).toHaveLength(3);
  });

  it('a drain of idle items keeps them while none can be opened, and continues later', async () => {
    const rig = new PoolRig({ min: 2, max: 2, waitMs: 0 }, { overlap: 1 });
    rig.adopt();
    await rig.openAll();
    rig.pool.drain();
    for (let tries = 0; tries < 3; tries++) {
      await settle();
      rig.opening[0]?.fail();
      await settle();
      const leases = [await rig.lease(), await rig.lease()];
      for (const lease of leases) lease.release('ok');
      expect(rig.closed).toEqual([]);
      while (rig.opening.length === 0) await rig.clock.advance(100);
    }
    await rig.openAll();
    expect([...rig.closed].sort()).toEqual([0, 1]);
    expect(rig.pool.items).toHaveLength(2);
  });

  it('a drain of idle items at the limit closes one first, and the others after a successor exists', async () => {
    const rig = new PoolRig({ min: 2, max: 2 });
    rig.adopt();
    await rig.openAll();
    rig.pool.drain();
    await settle();
    expect(rig.closed).toHaveLength(1);
    rig.opening[0]?.fail();
    await rig.clock.advance(400);
    expect(rig.closed).toHaveLength(1);
    expect(rig.pool.items).toHaveLength(1);
  });
});
