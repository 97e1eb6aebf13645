import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { ConnectionPool } from '../../../src/upstream/http/connection-pool.ts';
import type { Incoming } from '../../../src/upstream/http/incoming.ts';
import type { Lease } from '../../../src/upstream/http/lease.ts';
import { fc } from '../../support/property.ts';
import { comesTrue, holdingServer, poolTo, sendOn } from './connection-rig.ts';

type Phase = 'waiting' | 'held' | 'sending' | 'left' | 'over';

/** The expected state of one caller, by a model that knows counts and order only. */
class Caller {
  phase: Phase = 'waiting';
  readonly controller = new AbortController();
  lease: Lease | undefined;
  incoming: Promise<Incoming> | undefined;
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get granted(): Lease {
    if (!this.lease) throw new Error(`${this.path} should have been granted`);
    return this.lease;
  }
}

class Model {
  readonly callers: Caller[] = [];
  /** Those that have left their place, in this order. */
  readonly left: Caller[] = [];
  readonly max: number;
  constructor(max: number) {
    this.max = max;
  }

  in(...phases: Phase[]): Caller[] {
    return this.callers.filter(({ phase }) => phases.includes(phase));
  }

  /** A place is free: the oldest waiter has it, with an idle connection or a new one. */
  grantNext(): void {
    while (this.in('held', 'sending').length < this.max) {
      const [oldest] = this.in('waiting');
      if (!oldest) return;
      oldest.phase = 'held';
    }
  }
}

/** As many as have places may be read on without one; of more, the one that left first is cut. */
async function cutLongest(model: Model): Promise<void> {
  const still = model.left.filter(({ phase }) => phase === 'left');
  const [longest] = still;
  if (still.length <= model.max || !longest) return;
  await expect(longest.incoming).rejects.toMatchObject({ sent: 'maybe' });
  longest.phase = 'over';
}

type Rig = Awaited<ReturnType<typeof holdingServer>>;
type Action = 'ask' | 'send' | 'finish' | 'cancel' | 'leave' | 'abort' | 'break';

async function act(
  action: Action,
  pick: number,
  model: Model,
  pool: ConnectionPool,
  rig: Rig,
  run: string,
): Promise<void> {
  const one = (...phases: Phase[]): Caller | undefined => {
    const among = model.in(...phases);
    return among[pick % Math.max(1, among.length)];
  };
  switch (action) {
    case 'ask': {
      const caller = new Caller(`/${run}/${model.callers.length}`);
      model.callers.push(caller);
      pool.lease(caller.controller.signal).then(
        (lease) => {
          caller.lease = lease;
        },
        () => undefined,
      );
      break;
    }
    case 'send': {
      const caller = one('held');
      if (!caller) return;
      caller.incoming = sendOn(caller.granted, caller.path);
      caller.phase = 'sending';
      await rig.arrived(caller.path);
      break;
    }
    case 'finish': {
      const caller = one('sending', 'left');
      if (!caller?.incoming) return;
      await rig.answer(caller.path);
      expect((await (await caller.incoming).readAll()).toString()).toBe(caller.path);
      caller.phase = 'over';
      break;
    }
    case 'break': {
      const caller = one('sending', 'left');
      if (!caller?.incoming) return;
      (await rig.arrived(caller.path)).destroy();
      await expect(caller.incoming).rejects.toMatchObject({ sent: 'maybe' });
      caller.phase = 'over';
      break;
    }
    case 'cancel': {
      const caller = one('held', 'sending', 'left', 'over');
      if (!caller) return;
      caller.lease?.cancel(new Error('cancelled'));
      caller.phase = 'over';
      break;
    }
    case 'leave': {
      const caller = one('held', 'sending');
      if (!caller) return;
      caller.granted.detach();
      caller.phase = caller.phase === 'sending' ? 'left' : 'over';
      if (caller.phase === 'left') model.left.push(caller);
      await cutLongest(model);
      break;
    }
    case 'abort': {
      const caller = one('waiting');
      if (!caller) return;
      caller.controller.abort(new Error('aborted'));
      caller.phase = 'over';
      break;
    }
  }
  model.grantNext();
}

it('a connection pool never exceeds its maximum, keeps order and returns each place once', async () => {
  const rig = await holdingServer();
  let runs = 0;
  const actions = fc.array(
    fc.tuple(
      fc.constantFrom<Action>(
        'ask',
        'ask',
        'ask',
        'send',
        'send',
        'finish',
        'finish',
        'cancel',
        'leave',
        'abort',
        'break',
      ),
      fc.nat(7),
    ),
    { minLength: 5, maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.nat(3), actions, async (max, keep, steps) => {
      const run = String(runs++);
      const model = new Model(max);
      const { pool, seen } = poolTo(rig.server, { max, maxIdle: keep });
      for (const [action, pick] of steps) {
        await act(action, pick, model, pool, rig, run);
        await turn();
        expect(pool.active).toBe(model.in('held', 'sending').length);
        expect(pool.waiting).toBe(model.in('waiting').length);
        for (const caller of model.in('held', 'sending')) expect(caller.lease?.over).toBe(false);
        for (const caller of model.in('waiting')) expect(caller.lease).toBeUndefined();
        for (const caller of model.in('over')) expect(caller.lease?.over ?? true).toBe(true);
      }
      for (const caller of model.callers) {
        caller.controller.abort(new Error('end'));
        await turn();
        caller.lease?.cancel(new Error('end'));
        await turn();
      }
      expect([pool.active, pool.waiting]).toEqual([0, 0]);
      await comesTrue(() => seen.opened - seen.closed <= keep, `at most ${keep} idle connections`);
      pool.close();
      await comesTrue(() => seen.opened === seen.closed, 'every connection closed');
      await comesTrue(() => rig.server.connections.open === 0, 'and gone at the server');
    }),
    { numRuns: 60 },
  );
});
