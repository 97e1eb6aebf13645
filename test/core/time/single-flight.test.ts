import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { SingleFlight } from '../../../src/core/time/single-flight.ts';

const REASON = new ProxyError('timeout', 'It may have run.', { sent: 'maybe', ifUnsent: 'It did not run.' });

interface Run {
  readonly signal: AbortSignal;
  readonly resolve: (value: number) => void;
  readonly reject: (error: Error) => void;
}

/** A flight whose runs the test ends. */
function rig() {
  const flight = new SingleFlight<number>();
  const runs: Run[] = [];
  const run = () =>
    flight.run((signal) => new Promise((resolve, reject) => void runs.push({ signal, resolve, reject })));
  return { flight, runs, run };
}

describe('a single flight', () => {
  it('a single flight runs once for all callers, and again after its end', async () => {
    const { flight, runs, run } = rig();
    const { signal } = new AbortController();
    const waits = [run().join(signal), run().join(signal)];
    expect(flight.current?.callers).toBe(2);
    runs[0]?.resolve(0);
    expect(await Promise.all(waits)).toEqual([0, 0]);
    expect(flight.current).toBeUndefined();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    run();
    expect(runs).toHaveLength(2);
  });

  it('a single flight does not keep a failure: a caller that continues after it starts another run', async () => {
    const { runs, run } = rig();
    const { signal } = new AbortController();
    const retried = run()
      .join(signal)
      .catch(() => run().join(signal));
    runs[0]?.reject(new Error('down'));
    await new Promise(setImmediate);
    expect(runs).toHaveLength(2);
    runs[1]?.resolve(-1);
    expect(await retried).toBe(-1);
  });

  it('a single flight goes on when one caller leaves, who is rejected at once with the unsent reason', async () => {
    const { runs, run } = rig();
    const leaving = new AbortController();
    const left = run().join(leaving.signal);
    const stayed = run().join(new AbortController().signal);
    leaving.abort(REASON);
    await expect(left).rejects.toMatchObject({ sent: 'no', message: 'It did not run.' });
    expect(runs[0]?.signal.aborted).toBe(false);
    runs[0]?.resolve(1);
    expect(await stayed).toBe(1);
  });

  it('a single flight aborts its work when the last caller leaves, and the next caller starts another run', async () => {
    const { flight, runs, run } = rig();
    const leaving = new AbortController();
    const left = run().join(leaving.signal);
    leaving.abort(REASON);
    expect(runs[0]?.signal.reason).toBe(REASON);
    expect(flight.current).toBeUndefined();
    run();
    expect(runs).toHaveLength(2);
    await expect(left).rejects.toThrow('It did not run.');
  });

  it('a single flight can let its last caller wait for the failure of the work', async () => {
    const { runs, run } = rig();
    const leaving = new AbortController();
    const left = run().join(leaving.signal, { lastAwaitsEnd: true });
    leaving.abort(REASON);
    runs[0]?.reject(new Error('it ran half'));
    await expect(left).rejects.toThrow('it ran half');
  });

  it('a single flight is not joined by a caller that has left before', async () => {
    const { flight, run } = rig();
    const flown = run();
    await expect(flown.join(AbortSignal.abort(REASON))).rejects.toMatchObject({ sent: 'no' });
    expect([flown.callers, flown.abandoned, flight.current]).toEqual([0, false, flown]);
  });

  it('a detached single flight goes on for its callers, and the next caller starts another', async () => {
    const { flight, runs, run } = rig();
    const first = run().join(new AbortController().signal);
    flight.detach();
    const second = run().join(new AbortController().signal);
    expect(runs[0]?.signal.aborted).toBe(false);
    runs[0]?.resolve(0);
    expect(await first).toBe(0);
    expect(flight.current?.over).toBe(false);
    runs[1]?.resolve(1);
    expect(await second).toBe(1);
  });

  it('a single flight can be abandoned whoever waits', async () => {
    const { flight, runs, run } = rig();
    const flown = run();
    flight.abandon(REASON);
    expect([runs[0]?.signal.reason, flown.abandoned, flight.current]).toEqual([REASON, true, undefined]);
    runs[0]?.reject(new Error('cut'));
    await flown.ended;
    expect(flown.over).toBe(true);
  });
});
