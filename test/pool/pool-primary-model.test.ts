import { expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import type { LeaseUse, SessionLease } from '../../src/pool/members.ts';
import { settle } from '../support/make-call.ts';
import { fc } from '../support/property.ts';
import { PoolRig } from './pool-rig.ts';

const STEPS = ['ask', 'ask', 'ask', 'release', 'release', 'cancel', 'open', 'open', 'fail', 'lose', 'lose'];
const RARE = ['break', 'drain', 'wait', 'call'];

const limits = fc
  .record({
    max: fc.integer({ min: 1, max: 3 }),
    keepsOpen: fc.boolean(),
    waitMs: fc.constantFrom(0, 500, 5_000),
    lifetimeMs: fc.constantFrom(0, 6_000),
    total: fc.constantFrom(Number.POSITIVE_INFINITY, 2),
    deaf: fc.boolean(),
  })
  .map(({ max, keepsOpen, ...rest }) => ({
    ...rest,
    max: keepsOpen ? max : 1,
    keepsOpen,
    callsPerItem: keepsOpen ? 1 : Number.POSITIVE_INFINITY,
    recycleWindowMs: 1_000,
    recyclesOnly: true,
  }));

class Run {
  readonly rig: PoolRig;
  readonly leases: SessionLease<number>[] = [];
  readonly waiting = new Set<AbortController>();
  ended = false;

  constructor(rig: PoolRig) {
    this.rig = rig;
  }

  #ask(use: LeaseUse): void {
    const { pool } = this.rig;
    const held = use === 'primary' ? pool.leasePrimary() : undefined;
    if (held) {
      expect(this.rig.alive).toContain(held.item);
      this.leases.push(held);
      return;
    }
    const controller = new AbortController();
    this.waiting.add(controller);
    const leased = use === 'primary' ? pool.waitForPrimary(controller.signal) : pool.lease(controller.signal);
    leased.then(
      (lease) => {
        this.waiting.delete(controller);
        this.leases.push(lease);
        if (!this.rig.alive.has(lease.item)) this.rig.faults.push(`${lease.item} was leased after its end`);
      },
      (error: unknown) => {
        this.waiting.delete(controller);
        const isRefusal = error instanceof ProxyError && error.sent === 'no';
        if (!controller.signal.aborted && !isRefusal) this.rig.faults.push(String(error));
      },
    );
  }

  async take(what: string, which: number): Promise<void> {
    const { rig } = this;
    const pick = <T>(from: readonly T[]): T | undefined => from[which % Math.max(1, from.length)];
    const taken = (): SessionLease<number> | undefined =>
      this.leases.splice(which % Math.max(1, this.leases.length), 1)[0];
    if (what === 'ask') this.#ask('primary');
    else if (what === 'call') this.#ask('call');
    else if (what === 'release') taken()?.release('ok');
    else if (what === 'break') taken()?.release('broken');
    else if (what === 'cancel') pick([...this.waiting])?.abort(new Error('cancelled'));
    else if (what === 'open') pick(rig.opening)?.succeed();
    else if (what === 'fail') pick(rig.opening)?.fail();
    else if (what === 'drain') rig.pool.drain();
    else if (what === 'wait') await rig.clock.advance(1 + which * 40);
    else {
      const item = pick(rig.pool.items);
      if (item !== undefined) {
        rig.alive.delete(item);
        rig.pool.lose(item);
      }
    }
    await settle();
  }

  check(most: number): void {
    const { pool, places, alive, opening, faults } = this.rig;
    expect(faults).toEqual([]);
    expect(places.used).toBe(alive.size + opening.length);
    expect(places.used).toBeLessThanOrEqual(places.max);
    expect(pool.size).toBeLessThanOrEqual(most);
    if (pool.primary !== undefined) expect(pool.items).toContain(pool.primary);
    // A caller waits only while an item is being opened, may not be opened yet, or is in use.
    const isFull = places.used >= places.max || pool.size >= most;
    if (pool.waiting > 0 && pool.items.length === 0) expect(opening.length > 0 || isFull).toBe(true);
  }
}

it('callers of the primary are served or refused, and the quota stays exact, for losses at any time', async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.array(
        fc.tuple(
          fc.oneof(
            { weight: 9, arbitrary: fc.constantFrom(...STEPS) },
            { weight: 2, arbitrary: fc.constantFrom(...RARE) },
          ),
          fc.nat(50),
        ),
        { maxLength: 60 },
      ),
      async ({ total, deaf, ...bounds }, steps) => {
        const overlap = bounds.keepsOpen ? 1 : Number.POSITIVE_INFINITY;
        const rig = new PoolRig(bounds, { total, overlap });
        rig.deaf = deaf;
        const run = new Run(rig);
        rig.adopt();
        await settle();
        for (const [what, which] of steps) {
          await run.take(what, which);
          run.check(bounds.max + overlap);
        }
        const closed = rig.pool.close();
        await rig.openAll();
        await closed;
        for (const lease of run.leases) lease.release('ok');
        await settle();
        expect(run.waiting.size).toBe(0);
        expect([[...rig.alive], rig.faults, rig.places.used, rig.clock.timers]).toEqual([[], [], 0, 0]);
      },
    ),
    { numRuns: 200 },
  );
});
