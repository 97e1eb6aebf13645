import { expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { Events } from '../../src/core/pipeline/events.ts';
import { Breaker, breaker } from '../../src/layers/breaker.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { HeldHandler } from '../support/held-handler.ts';
import { type MadeCall, makeCall, requestOf, settle } from '../support/make-call.ts';
import { fc } from '../support/property.ts';

type End = 'succeed' | 'fail' | 'cancel' | 'forbid';
type Step =
  | { readonly does: 'ask' }
  | { readonly does: 'wait'; readonly ms: number }
  | { readonly does: End; readonly which: number };

const RESET_MS = 100;
const end = fc.constantFrom<End>('succeed', 'fail', 'fail', 'fail', 'cancel', 'forbid');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Step>({ does: 'ask' }) },
  { weight: 4, arbitrary: fc.tuple(end, fc.nat(9)).map(([does, which]): Step => ({ does, which })) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 120 }).map((ms): Step => ({ does: 'wait', ms })) },
);

const DOWN = new ProxyError('connection-lost', 'down', { sent: 'maybe' });
const FORBIDDEN = new ProxyError('auth-rejected', 'forbidden', { sent: 'refused' });

/** The same rules once more, with plain variables: who may go, and what an end changes. */
class Model {
  failures = 0;
  /** Undefined while closed. */
  opensAt: number | undefined;
  probe: MadeCall | undefined;
  readonly threshold: number;

  constructor(threshold: number) {
    this.threshold = threshold;
  }

  asks(made: MadeCall, now: number): boolean {
    if (this.opensAt === undefined) return true;
    if (now < this.opensAt) return false;
    this.probe = made;
    this.opensAt = now + RESET_MS;
    return true;
  }

  ends(made: MadeCall, how: End, now: number): void {
    const mine = this.probe === made;
    if (how === 'succeed') {
      this.failures = 0;
      this.opensAt = undefined;
      this.probe = undefined;
      return;
    }
    if (this.opensAt !== undefined && !mine) return;
    if (mine) this.probe = undefined;
    if (how !== 'fail') {
      if (mine) this.opensAt = now;
      return;
    }
    this.failures++;
    if (mine || this.failures >= this.threshold) this.opensAt = now + RESET_MS;
  }
}

it('the circuit breaker lets exactly the right calls through, and never blocks for ever', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 60 }),
      async (threshold, steps) => {
        const clock = new FakeClock();
        const circuit = new Breaker({
          threshold,
          resetMs: RESET_MS,
          clock,
          profile: '',
          events: new Events(),
        });
        const server = new HeldHandler();
        const handler = breaker(circuit)(server.handle);
        const model = new Model(threshold);
        const running: MadeCall[] = [];
        const ask = async (): Promise<boolean> => {
          const made = makeCall(requestOf('initialize', {}, running.length));
          const before = server.begun.length;
          const answer = handler(made.call).catch((error: unknown) => error);
          const admitted = server.begun.length > before;
          expect(admitted).toBe(model.asks(made, clock.monotonic()));
          if (admitted) running.push(made);
          else expect(await answer).toMatchObject({ reason: 'circuit-open', sent: 'no' });
          return admitted;
        };
        const finish = async (made: MadeCall, how: End): Promise<void> => {
          running.splice(running.indexOf(made), 1);
          const held = server.running.find(({ call }) => call === made.call);
          if (how === 'succeed') held?.finish();
          if (how === 'fail') held?.fail(DOWN);
          if (how === 'forbid') held?.fail(FORBIDDEN);
          if (how === 'cancel') made.cancel();
          await settle();
          model.ends(made, how, clock.monotonic());
        };
        for (const next of steps) {
          if (next.does === 'ask') await ask();
          else if (next.does === 'wait') await clock.advance(next.ms);
          else {
            const made = running[next.which % Math.max(1, running.length)];
            if (made) await finish(made, next.does);
          }
          const { state } = circuit;
          expect(state.failures).toBe(model.failures);
          expect(state.is).toBe(
            model.opensAt === undefined ? 'closed' : model.probe === undefined ? 'open' : 'half-open',
          );
          if (state.is !== 'closed') expect(state.until).toBe(model.opensAt);
        }
        for (const made of [...running]) await finish(made, 'cancel');
        await clock.advance(RESET_MS);
        expect(await ask()).toBe(true);
        for (const made of [...running]) await finish(made, 'succeed');
        expect(circuit.state).toEqual({ is: 'closed', failures: 0 });
        expect(clock.timers).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});
