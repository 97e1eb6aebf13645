import { describe, expect, it } from 'vitest';
import { settle } from '../support/make-call.ts';
import { PoolRig } from './pool-rig.ts';

/** A pool that keeps its minimum open without a first item of a client. */
async function warmed(min: number, max: number, more: ConstructorParameters<typeof PoolRig>[0] = {}) {
  const rig = new PoolRig({ min, max, keepsOne: false, ...more });
  rig.pool.warm();
  await rig.openAll();
  return rig;
}

describe('a pool that warms up by itself', () => {
  it('warm opens the minimum at once, and none for a minimum of 0', async () => {
    expect((await warmed(3, 5)).pool.items).toEqual([0, 1, 2]);
    expect((await warmed(0, 5)).pool.items).toEqual([]);
  });

  it('a pool without a minimum opens nothing after the loss of its only item', async () => {
    const rig = await warmed(0, 2);
    (await rig.lease()).release('ok');
    rig.pool.lose(0);
    await settle();
    expect([rig.pool.size, rig.opening.length]).toEqual([0, 0]);
  });

  it('after failed openings, the pool tries again after the delay that it was given', async () => {
    const rig = new PoolRig(
      { min: 1, max: 1, keepsOne: false },
      { retryDelayMs: (failures) => failures * 7 },
    );
    rig.pool.warm();
    await settle();
    rig.opening[0]?.fail();
    await rig.clock.advance(6);
    expect(rig.opening).toHaveLength(0);
    await rig.clock.advance(1);
    rig.opening[0]?.fail();
    await rig.clock.advance(13);
    expect(rig.opening).toHaveLength(0);
    await rig.clock.advance(1);
    expect(rig.opening).toHaveLength(1);
  });
});

describe('resize', () => {
  it('resize to a greater minimum opens the missing items, and a greater maximum serves waiting callers', async () => {
    const rig = await warmed(1, 1);
    const first = await rig.lease();
    const second = rig.pool.lease(new AbortController().signal);
    await settle();
    expect(rig.pool.waiting).toBe(1);
    rig.pool.resize({ min: 2, max: 3 });
    await rig.openAll();
    expect((await second).item).toBe(1);
    expect(rig.pool.count).toBe(2);
    first.release('ok');
  });

  it('resize to a smaller maximum closes unused items at once and leased ones on their return', async () => {
    const rig = await warmed(4, 4);
    const leases = [await rig.lease(), await rig.lease(), await rig.lease()];
    rig.pool.resize({ min: 0, max: 1 });
    await settle();
    // One of the four was unused; two of the three leased ones go when they return.
    expect([rig.pool.count, rig.closed.length]).toEqual([3, 1]);
    for (const lease of leases) lease.release('ok');
    await settle();
    expect([rig.pool.count, rig.pool.size, rig.faults]).toEqual([1, 1, []]);
  });

  it('after a smaller maximum, a caller waits for its turn and is not refused at once', async () => {
    const rig = await warmed(3, 3);
    const leases = [await rig.lease(), await rig.lease(), await rig.lease()];
    rig.pool.resize({ min: 0, max: 1 });
    const waiting = rig.pool.lease(new AbortController().signal);
    await settle();
    expect(rig.pool.waiting).toBe(1);
    for (const lease of leases) lease.release('ok');
    (await waiting).release('ok');
    await settle();
    expect([rig.pool.count, rig.pool.size]).toEqual([1, 1]);
  });

  it('resize back to the old maximum keeps the items that were still leased', async () => {
    const rig = await warmed(2, 2);
    const leases = [await rig.lease(), await rig.lease()];
    rig.pool.resize({ min: 1, max: 1 });
    rig.pool.resize({ min: 2, max: 2 });
    for (const lease of leases) lease.release('ok');
    await settle();
    expect([rig.pool.count, rig.closed]).toEqual([2, []]);
  });

  it('an item whose opening ends after a resize is closed where it is beyond the maximum', async () => {
    const rig = new PoolRig({ min: 2, max: 2, keepsOne: false });
    rig.pool.warm();
    await settle();
    rig.pool.resize({ min: 1, max: 1 });
    await rig.openAll();
    expect([rig.pool.count, rig.closed.length]).toEqual([1, 1]);
  });

  it('retire closes an unused item at once, and a leased one when it returns', async () => {
    const rig = await warmed(0, 2);
    const leases = [await rig.lease(), await rig.lease()];
    leases[1]?.release('ok');
    expect([rig.pool.retire(0, 'idle'), rig.pool.retire(1, 'idle'), rig.pool.retire(1, 'idle')]).toEqual([
      true,
      true,
      false,
    ]);
    await settle();
    expect(rig.closed).toEqual([1]);
    leases[0]?.release('ok');
    await settle();
    expect(rig.closed).toEqual([1, 0]);
  });
});

describe('leases of a certain item', () => {
  it('leaseItem leases the item, and nothing where it is leased, marked, lost or unknown', async () => {
    const rig = await warmed(2, 2);
    const lease = rig.pool.leaseItem(0);
    expect(lease?.item).toBe(0);
    expect(rig.pool.leaseItem(0)).toBeUndefined();
    lease?.release('ok');
    rig.pool.lose(0);
    expect(rig.pool.leaseItem(0)).toBeUndefined();
    expect(rig.pool.leaseItem(99)).toBeUndefined();
  });

  it('leaseNow prefers the items that fit, and takes another where none does', async () => {
    const rig = await warmed(3, 3);
    const one = rig.pool.leaseNow((item) => item === 1);
    const two = rig.pool.leaseNow((item) => item === 1);
    expect([one?.item, two?.item]).toEqual([1, 2]);
    rig.pool.leaseNow();
    expect(rig.pool.leaseNow()).toBeUndefined();
    expect(rig.pool.canGrow).toBe(false);
  });

  it('end refuses callers and closes each item with its last lease, and close ends the wait', async () => {
    const rig = await warmed(2, 2);
    const [one, two] = [rig.pool.leaseNow(), rig.pool.leaseNow()];
    const waiting = rig.pool.lease(new AbortController().signal);
    const ended = rig.pool.end();
    await expect(waiting).rejects.toMatchObject({ reason: 'shutting-down' });
    expect(() => rig.pool.leaseNow()).toThrow('ending');
    one?.release('ok');
    await settle();
    expect(rig.closed).toHaveLength(1);
    await rig.pool.close();
    await ended;
    expect([rig.closed.length, rig.pool.size, rig.clock.timers]).toEqual([2, 0, 0]);
    two?.release('ok');
    expect(rig.faults).toEqual([]);
  });
});
