import { expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import type { LeaseOutcome, SessionLease } from '../../src/pool/members.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { settle } from '../support/make-call.ts';
import { fc } from '../support/property.ts';
import { PoolRig } from './pool-rig.ts';

type Step =
  | { readonly does: 'ask' | 'drain' | 'close' | 'replace' }
  | { readonly does: 'wait'; readonly ms: number }
  | { readonly does: 'release' | 'break' | 'cancel' | 'open' | 'fail'; readonly which: number };

const plain = (does: 'ask' | 'drain' | 'close' | 'replace') => fc.constant<Step>({ does });
const picked = (does: 'release' | 'break' | 'cancel' | 'open' | 'fail') =>
  fc.nat(9).map((which): Step => ({ does, which }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: plain('ask') },
  { weight: 5, arbitrary: picked('release') },
  { weight: 2, arbitrary: picked('break') },
  { weight: 2, arbitrary: picked('cancel') },
  { weight: 6, arbitrary: picked('open') },
  { weight: 2, arbitrary: picked('fail') },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 4_000 }).map((ms): Step => ({ does: 'wait', ms })) },
  { weight: 1, arbitrary: plain('drain') },
  { weight: 1, arbitrary: plain('replace') },
  {
    weight: 1,
    arbitrary: fc.oneof({ weight: 9, arbitrary: plain('drain') }, { weight: 1, arbitrary: plain('close') }),
  },
);

const limits = fc
  .record({
    max: fc.integer({ min: 1, max: 4 }),
    least: fc.nat(4),
    callsPerItem: fc.constantFrom(1, 1, 2, 3, Number.POSITIVE_INFINITY),
    waitMs: fc.constantFrom(0, 500, 5_000),
    lifetimeMs: fc.constantFrom(0, 6_000),
    idleMs: fc.constantFrom(0, 3_000),
    healthIntervalMs: fc.constantFrom(0, 2_000),
    asked: fc.boolean(),
    total: fc.constantFrom(Number.POSITIVE_INFINITY, 3),
  })
  .map(({ least, asked, ...rest }) => ({
    ...rest,
    min: Math.min(least, rest.max),
    recycleWindowMs: 1_000,
    recyclesOnly: asked,
    probesOnly: asked,
  }));

interface Asker {
  readonly controller: AbortController;
  state: 'waiting' | 'holding' | 'over';
  lease: SessionLease<number> | undefined;
}

class Run {
  readonly rig: PoolRig;
  readonly askers: Asker[] = [];
  readonly max: number;
  readonly callsPerItem: number;
  ended: Promise<void> | undefined;

  constructor(rig: PoolRig, max: number, callsPerItem: number) {
    this.rig = rig;
    this.max = max;
    this.callsPerItem = callsPerItem;
  }

  in(state: Asker['state']): Asker[] {
    return this.askers.filter((asker) => asker.state === state);
  }

  holders(item: number): number {
    return this.in('holding').filter(({ lease }) => lease?.item === item).length;
  }

  ask(): void {
    const asker: Asker = { controller: new AbortController(), state: 'waiting', lease: undefined };
    this.askers.push(asker);
    const leased = this.rig.pool.lease(asker.controller.signal).then(
      (lease) => {
        // Longest wait first: no earlier caller is still waiting.
        expect(this.askers.find(({ state }) => state === 'waiting')).toBe(asker);
        asker.state = 'holding';
        asker.lease = lease;
        if (!this.ended) expect(this.rig.closed).not.toContain(lease.item);
        expect(this.holders(lease.item)).toBeLessThanOrEqual(this.callsPerItem);
      },
      (error: unknown) => {
        asker.state = 'over';
        if (asker.controller.signal.aborted) return;
        if (!(error instanceof ProxyError)) throw error;
        expect(error.sent).toBe('no');
        expect(error.reason).toBe(this.ended ? 'shutting-down' : 'no-session');
      },
    );
    leased.catch((error: unknown) => this.rig.faults.push(String(error)));
  }

  end(asker: Asker | undefined, how: LeaseOutcome): void {
    if (!asker) return;
    asker.state = 'over';
    asker.lease?.release(how);
    // A second time changes nothing.
    asker.lease?.release('broken');
  }

  async take(next: Step): Promise<void> {
    const { rig } = this;
    const pick = <T>(from: readonly T[], which: number): T | undefined =>
      from[which % Math.max(1, from.length)];
    if (next.does === 'ask') this.ask();
    else if (next.does === 'drain') rig.pool.drain();
    else if (next.does === 'close') this.ended ??= rig.pool.close();
    else if (next.does === 'replace') {
      const [item] = rig.pool.items;
      const replacement = item === undefined ? undefined : rig.pool.beginReplacement(item);
      if (item !== undefined && replacement) {
        rig.alive.delete(item);
        replacement.complete(rig.make());
      }
    } else if (next.does === 'wait') await rig.clock.advance(next.ms);
    else if (next.does === 'release') this.end(pick(this.in('holding'), next.which), 'ok');
    else if (next.does === 'break') this.end(pick(this.in('holding'), next.which), 'broken');
    else if (next.does === 'cancel')
      pick(this.in('waiting'), next.which)?.controller.abort(new Error('cancelled'));
    else if (next.does === 'open') pick(rig.opening, next.which)?.succeed();
    else if (next.does === 'fail') pick(rig.opening, next.which)?.fail();
    await settle();
  }

  check(): void {
    const { rig } = this;
    expect(rig.faults).toEqual([]);
    expect(rig.alive.size + rig.opening.length).toBeLessThanOrEqual(this.max);
    expect(rig.places.used).toBeLessThanOrEqual(rig.places.max);
    if (this.ended) {
      expect(this.in('waiting')).toEqual([]);
      return;
    }
    expect(rig.places.used).toBe(rig.alive.size + rig.opening.length);
    expect(rig.pool.size).toBe(rig.alive.size + rig.opening.length);
    expect(rig.pool.waiting).toBe(this.in('waiting').length);
    if (rig.pool.waiting > 0) {
      for (const item of rig.pool.items) expect(this.holders(item)).toBe(this.callsPerItem);
    }
    for (const asker of this.in('holding')) {
      const { lease } = asker;
      // An item in use is not closed, unless another one has replaced it.
      if (lease && rig.closed.includes(lease.item)) throw new Error(`${lease.item} was closed in use`);
    }
  }
}

it('the pool never opens too many, never overbooks, serves in order and leaks nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.array(step, { maxLength: 80 }),
      fc.boolean(),
      fc.boolean(),
      fc.infiniteStream(fc.boolean()),
      async ({ total, ...bounds }, steps, adopts, deaf, probes) => {
        const clock = new FakeClock();
        const rig = new PoolRig(bounds, { clock, total });
        rig.probe = async () => {
          if (probes.next().value) return 'answered';
          throw new Error('sick');
        };
        const run = new Run(rig, bounds.max, bounds.callsPerItem);
        rig.deaf = deaf;
        if (adopts) rig.adopt();
        await settle();
        for (const next of steps) {
          await run.take(next);
          run.check();
        }
        for (const asker of run.in('holding')) run.end(asker, 'ok');
        await settle();
        run.check();
        run.ended ??= rig.pool.close();
        // Openings that ignored their abort.
        await rig.openAll();
        await run.ended;
        for (const asker of run.in('holding')) run.end(asker, 'ok');
        await settle();
        expect(run.in('waiting')).toEqual([]);
        expect([...rig.alive]).toEqual([]);
        expect(rig.opening).toEqual([]);
        expect(rig.faults).toEqual([]);
        expect(rig.places.used).toBe(0);
        expect(clock.timers).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});
