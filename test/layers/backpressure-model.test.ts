import { expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { OverloadedError } from '../../src/layers/backpressure.ts';
import { limited } from '../support/limited.ts';
import { CANCELLED, type MadeCall, makeToolCall, RESULT, settle } from '../support/make-call.ts';
import { fc } from '../support/property.ts';

type Step =
  | { readonly does: 'arrive' | 'refuseQueued' }
  | { readonly does: 'finish' | 'fail' | 'cancel'; readonly which: number }
  | { readonly does: 'wait'; readonly ms: number };

const which = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ does: 'arrive' }) },
  { weight: 2, arbitrary: which.map((which): Step => ({ does: 'finish', which })) },
  { weight: 1, arbitrary: which.map((which): Step => ({ does: 'fail', which })) },
  { weight: 2, arbitrary: which.map((which): Step => ({ does: 'cancel', which })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 120 }).map((ms): Step => ({ does: 'wait', ms })) },
  { weight: 1, arbitrary: fc.constant<Step>({ does: 'refuseQueued' }) },
);

interface Placed {
  readonly id: number;
  readonly made: MadeCall;
  readonly since: number;
}

const LEAVING = new ProxyError('shutting-down', 'leaving', { sent: 'no' });
const FAILED = new Error('the tool failed');
const QUEUE_TIMEOUT_MS = 100;

/** A model of the limiter that uses lists only. */
class Model {
  running: Placed[] = [];
  waiting: Placed[] = [];
  readonly ends = new Map<number, string>();
  readonly max: number;
  readonly room: number;

  constructor(max: number, room: number) {
    this.max = max;
    this.room = room;
  }

  arrive(placed: Placed): void {
    if (this.running.length < this.max) this.running.push(placed);
    else if (this.waiting.length < this.room) this.waiting.push(placed);
    else this.ends.set(placed.id, this.room === 0 ? 'concurrency_limit' : 'queue_full');
  }

  end(id: number, how: string): void {
    this.ends.set(id, how);
    this.waiting = this.waiting.filter((placed) => placed.id !== id);
    this.running = this.running.filter((placed) => placed.id !== id);
    while (this.running.length < this.max && this.waiting[0]) {
      this.running.push(this.waiting[0]);
      this.waiting.shift();
    }
  }

  passTime(now: number): void {
    for (const { id, since } of [...this.waiting]) {
      if (now - since >= QUEUE_TIMEOUT_MS) this.end(id, 'queue_timeout');
    }
  }
}

const nameOf = (end: unknown): string => {
  if (end === RESULT) return 'finished';
  if (end === FAILED) return 'failed';
  if (end === CANCELLED) return 'cancelled';
  if (end === LEAVING) return 'leaving';
  return end instanceof OverloadedError ? end.overload : String(end);
};

it('backpressure keeps its bounds and its order, and settles every call in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 5 }),
      fc.array(step, { maxLength: 60 }),
      async (maxConcurrent, queueSize, steps) => {
        const { clock, limiter, server, send } = limited({
          maxConcurrent,
          queueSize,
          queueTimeoutMs: QUEUE_TIMEOUT_MS,
        });
        const model = new Model(maxConcurrent, queueSize);
        const ends = new Map<number, string>();
        let arrived = 0;
        const pick = (from: readonly Placed[], at: number) => from[at % Math.max(1, from.length)];
        const runningOf = ({ made }: Placed) => server.running.find(({ call }) => call === made.call);
        const check = (): void => {
          expect(limiter.active).toBe(model.running.length);
          expect(limiter.queued).toBe(model.waiting.length);
          expect(limiter.active).toBeLessThanOrEqual(maxConcurrent);
          expect(limiter.queued).toBeLessThanOrEqual(queueSize);
          // Nobody waits while a place is free.
          expect(limiter.queued === 0 || limiter.active === maxConcurrent).toBe(true);
        };
        const act = async (next: Step): Promise<void> => {
          switch (next.does) {
            case 'arrive': {
              const placed = { id: arrived++, made: makeToolCall(arrived), since: clock.monotonic() };
              void send(placed.made).then((end) => ends.set(placed.id, nameOf(end)));
              model.arrive(placed);
              return;
            }
            case 'finish':
            case 'fail': {
              const placed = pick(model.running, next.which);
              const running = placed && runningOf(placed);
              if (!placed || !running) return;
              if (next.does === 'finish') running.finish();
              else running.fail(FAILED);
              await settle();
              model.end(placed.id, next.does === 'finish' ? 'finished' : 'failed');
              return;
            }
            case 'cancel': {
              const placed = pick([...model.running, ...model.waiting], next.which);
              if (!placed) return;
              placed.made.cancel();
              model.end(placed.id, 'cancelled');
              return;
            }
            case 'wait':
              await clock.advance(next.ms);
              model.passTime(clock.monotonic());
              return;
            case 'refuseQueued':
              limiter.refuseQueued(LEAVING);
              for (const { id } of [...model.waiting]) model.end(id, 'leaving');
          }
        };
        for (const next of steps) {
          await act(next);
          // In the very turn of the step, and when all that follows from it has come to rest.
          check();
          await settle();
          check();
          expect(server.running.map(({ call }) => call)).toEqual(model.running.map(({ made }) => made.call));
          expect(ends).toEqual(model.ends);
        }
        for (let left = arrived; left > 0; left--) await act({ does: 'finish', which: 0 });
        await settle();
        expect(ends).toEqual(model.ends);
        expect(ends.size).toBe(arrived);
        expect(limiter.counts).toMatchObject({ active: 0, queued: 0 });
        expect(limiter.counts.totalRejected).toBe([...ends.values()].filter((end) => /_/.test(end)).length);
        expect(clock.timers).toBe(0);
      },
    ),
    { numRuns: 150 },
  );
});
