import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { SessionQuota } from '../../src/pool/session-quota.ts';
import { settle } from '../support/make-call.ts';
import { DOWN, PoolRig } from './pool-rig.ts';

/** The limits of one client and profile by default. */
const SINGLE = { max: 1, callsPerItem: Number.POSITIVE_INFINITY, waitMs: 0, keepsOpen: false };
const UNLIMITED = { overlap: Number.POSITIVE_INFINITY };
const SILENT = new ProxyError('timeout', 'no answer to initialize', { sent: 'maybe' });

/** A caller of the primary, with the means to leave. */
function callerOf({ pool }: PoolRig) {
  const leaving = new AbortController();
  const lease = pool.waitForPrimary(leaving.signal);
  const item = lease.then(({ item: leased }) => leased);
  item.catch(() => undefined);
  return { item, leave: () => leaving.abort(new Error('cancelled')) };
}

/** Loses an item as the server does. */
function lose(rig: PoolRig, item: number): void {
  rig.alive.delete(item);
  rig.pool.lose(item);
}

describe('the primary of a pool', () => {
  it('the primary is leased to any number of callers, also while no item has room for a call', async () => {
    const rig = new PoolRig({ max: 1 });
    rig.adopt();
    await rig.lease();
    expect([rig.pool.leasePrimary()?.item, rig.pool.leasePrimary()?.item]).toEqual([0, 0]);
    expect(rig.primaries).toEqual([0]);
  });

  it('a lost primary is replaced at once in its slot, while other items serve calls', async () => {
    const rig = new PoolRig({ max: 2 }, { places: new SessionQuota(2) });
    rig.adopt();
    const [held] = [await rig.lease(), await rig.lease()];
    lose(rig, 0);
    expect(rig.pool.leasePrimary()).toBeUndefined();
    const callers = [callerOf(rig), callerOf(rig)];
    await settle();
    expect(rig.opening).toHaveLength(1);
    expect(rig.places.used).toBe(2);
    held?.release('ok');
    await rig.openAll();
    expect(await Promise.all(callers.map(({ item }) => item))).toEqual([2, 2]);
    expect([rig.closed, rig.primaries]).toEqual([[], [0, 2]]);
  });

  it('the loss of an item that is not the primary frees its slot, and opens no item without a caller', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    const leases = [await rig.lease(), await rig.lease()];
    lose(rig, 1);
    for (const lease of leases) lease.release('ok');
    await settle();
    expect([rig.opening, rig.closed, rig.places.used]).toEqual([[], [], 1]);
    // Once more changes nothing.
    rig.pool.lose(1);
    expect(rig.places.used).toBe(1);
  });

  it('another open item becomes the primary when the primary is closed', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    const leases = [await rig.lease(), await rig.lease()];
    leases.find(({ item }) => item === 0)?.release('broken');
    expect(rig.primaries).toEqual([0, 1]);
  });

  it('another open item becomes the primary when a lost one cannot be replaced', async () => {
    const rig = new PoolRig({ max: 2 });
    rig.adopt();
    const leases = [await rig.lease(), await rig.lease()];
    expect(leases).toHaveLength(2);
    lose(rig, 0);
    const { item } = callerOf(rig);
    await settle();
    rig.opening[0]?.fail();
    expect(await item).toBe(1);
    expect(rig.failures).toEqual([DOWN]);
  });

  it('an expired primary is not leased', async () => {
    const rig = new PoolRig({ max: 1, lifetimeMs: 4_000, recyclesOnly: true }, { overlap: 1 });
    rig.adopt();
    rig.pool.leasePrimary();
    await rig.clock.advance(4_000);
    expect(rig.pool.leasePrimary()).toBeUndefined();
    const { item } = callerOf(rig);
    await rig.openAll();
    expect(await item).toBe(1);
  });
});

describe('an opening for the callers of a lost primary', () => {
  it('an opening ends with the last caller in the same turn, so that the next caller starts another', async () => {
    const rig = new PoolRig(SINGLE, UNLIMITED);
    rig.adopt();
    lose(rig, 0);
    const callers = [callerOf(rig), callerOf(rig)];
    await settle();
    const [hung] = rig.opening;
    callers[0]?.leave();
    expect(hung?.signal.aborted).toBe(false);
    callers[1]?.leave();
    expect(hung?.signal.aborted).toBe(true);
    const next = callerOf(rig);
    await rig.openAll();
    expect(await next.item).toBe(1);
    expect([rig.places.used, rig.clock.timers]).toEqual([1, 0]);
  });

  it.each([
    [true, 2, 1],
    [false, 1, undefined],
  ])(
    'an opening that ends with its last caller is followed by one if an item is kept open: %s',
    async (keepsOpen, openings, primary) => {
      const rig = new PoolRig({ max: 4, waitMs: 60_000, keepsOpen });
      rig.adopt();
      lose(rig, 0);
      const caller = callerOf(rig);
      await settle();
      caller.leave();
      await settle();
      expect(rig.opened).toBe(openings);
      await rig.openAll();
      expect(rig.pool.primary).toBe(primary);
    },
  );

  it('a failed opening is returned to its callers, and only a caller starts another opening', async () => {
    const rig = new PoolRig(SINGLE, UNLIMITED);
    rig.adopt();
    lose(rig, 0);
    const { item } = callerOf(rig);
    await settle();
    rig.opening[0]?.fail();
    await expect(item).rejects.toThrow('ECONNREFUSED');
    await rig.clock.advance(60_000);
    expect([rig.opening, rig.failures, rig.places.used]).toEqual([[], [], 0]);
    const again = callerOf(rig);
    await rig.openAll();
    expect(await again.item).toBe(1);
  });

  it('a caller gets another opening after one that timed out only if time is left', async () => {
    const rig = new PoolRig({ ...SINGLE, waitMs: 2_000 }, UNLIMITED);
    rig.adopt();
    lose(rig, 0);
    const early = callerOf(rig);
    await rig.clock.advance(1_000);
    const late = callerOf(rig);
    await rig.clock.advance(800);
    rig.opening[0]?.fail(SILENT);
    await expect(early.item).rejects.toThrow('no answer to initialize');
    await rig.openAll();
    expect(await late.item).toBe(1);
  });
});

describe('a single item in use at a drain', () => {
  it('an item in use is replaced at a drain, and closed after its last lease', async () => {
    const rig = new PoolRig(SINGLE, UNLIMITED);
    rig.adopt();
    const held = rig.pool.leasePrimary();
    rig.pool.drain();
    await rig.openAll();
    expect([rig.primaries, rig.closed]).toEqual([[0, 1], []]);
    held?.release('ok');
    expect(rig.closed).toEqual([0]);
  });

  it('an item is closed before its successor opens, without a caller, if the quota has no room', async () => {
    const rig = new PoolRig(SINGLE, { ...UNLIMITED, places: new SessionQuota(1) });
    rig.adopt();
    const held = rig.pool.leasePrimary();
    rig.pool.drain();
    await settle();
    expect([rig.opening, rig.closed]).toEqual([[], []]);
    held?.release('ok');
    await rig.openAll();
    expect([rig.closed, rig.primaries, rig.places.used]).toEqual([[0], [0, 1], 1]);
  });
});

describe('the first item of a pool', () => {
  it('the first item is refused at once where the quota has no room, with the numbers', async () => {
    const places = new SessionQuota(1);
    new PoolRig({}, { places }).adopt();
    const rig = new PoolRig({ waitMs: 60_000 }, { places });
    await expect(callerOf(rig).item).rejects.toMatchObject({
      reason: 'no-session',
      details: { sessions: 1, maxTotalSessions: 1 },
    });
    expect(() => rig.pool.reserveFirst()).toThrow('1 of --max-total-sessions 1 are open');
  });

  it('the first item of a pool that replaces another may pass the quota until the other is closed', async () => {
    const places = new SessionQuota(1);
    const former = new PoolRig({}, { places });
    former.adopt();
    const rig = new PoolRig({}, { places, replaces: true });
    const { item } = callerOf(rig);
    await rig.openAll();
    await item;
    await former.pool.close();
    expect(places.used).toBe(1);
  });

  it('a reserved slot is released once, whether its item is opened, refused, or opened after the end', async () => {
    const refused = new PoolRig();
    refused.pool.reserveFirst();
    refused.pool.releaseFirst();
    refused.pool.releaseFirst();
    expect(refused.places.used).toBe(0);
    const ended = new PoolRig();
    ended.pool.reserveFirst();
    await ended.pool.close();
    ended.pool.adopt(ended.make());
    ended.pool.releaseFirst();
    await settle();
    expect([ended.places.used, [...ended.alive]]).toEqual([0, []]);
  });
});
