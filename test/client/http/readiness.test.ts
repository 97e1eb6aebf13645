import { describe, expect, it } from 'vitest';
import { Readiness } from '../../../src/client/http/readiness.ts';
import { FakeClock } from '../../support/fake-clock.ts';

interface Run {
  pass(): void;
  fail(message: string): void;
  readonly signal: AbortSignal;
}

/** A readiness with checks that the test ends. */
function rig(...reasons: string[]) {
  const clock = new FakeClock();
  const runs: Run[] = [];
  const changes: (string | undefined)[] = [];
  const readiness = new Readiness({
    clock,
    onChange: (reason, cause) => changes.push(reason && `${reason}: ${cause}`),
    checks: reasons.map((reason) => ({
      reason,
      run: (signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          runs.push({ pass: () => resolve(undefined), fail: (text) => reject(new Error(text)), signal });
        }),
    })),
  });
  return { readiness, clock, runs, changes };
}

describe('readiness', () => {
  it('readiness checks nothing before the first probe, and once for concurrent probes', async () => {
    const { readiness, runs, clock } = rig('a');
    expect(runs.length).toBe(0);
    const asked = [readiness.reason(), readiness.reason(), readiness.reason()];
    await clock.advance(0);
    expect(runs.length).toBe(1);
    runs[0]?.pass();
    expect(await Promise.all(asked)).toEqual([undefined, undefined, undefined]);
  });

  it('readiness keeps the result of a check for five seconds', async () => {
    const { readiness, runs, clock, changes } = rig('a');
    const first = readiness.reason();
    await clock.advance(0);
    runs[0]?.fail('no login');
    expect(await first).toBe('a');
    await clock.advance(4_999);
    expect(await readiness.reason()).toBe('a');
    expect(runs.length).toBe(1);
    await clock.advance(1);
    const second = readiness.reason();
    await clock.advance(0);
    runs[1]?.pass();
    expect(await second).toBeUndefined();
    expect(changes).toEqual(['a: no login', undefined]);
  });

  it('readiness names the first check that fails, and reports each change once', async () => {
    const { readiness, runs, clock, changes } = rig('a', 'b');
    for (const round of [0, 1]) {
      const asked = readiness.reason();
      await clock.advance(0);
      runs[round * 2]?.pass();
      await clock.advance(0);
      runs[round * 2 + 1]?.fail('refused');
      expect(await asked).toBe('b');
      await clock.advance(5_000);
    }
    expect(changes).toEqual(['b: refused']);
  });

  it('readiness answers a probe in time if the check is slow: with the earlier result, or not ready', async () => {
    const { readiness, runs, clock } = rig('a');
    const first = readiness.reason();
    await clock.advance(800);
    expect(await first).toBe('the first check is not over yet');
    runs[0]?.pass();
    await clock.advance(0);
    expect(await readiness.reason()).toBeUndefined();
    await clock.advance(5_000);
    const slow = readiness.reason();
    await clock.advance(800);
    expect(await slow).toBeUndefined();
    runs.at(-1)?.fail('gone');
    await clock.advance(0);
    expect(await readiness.reason()).toBe('a');
  });

  it('readiness aborts a check that hangs, and checks again', async () => {
    const { readiness, runs, clock } = rig('a');
    const first = readiness.reason();
    await clock.advance(30_000);
    await first;
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(await readiness.reason()).toBe('a');
    await clock.advance(5_000);
    void readiness.reason();
    await clock.advance(0);
    expect(runs.length).toBe(2);
    runs[1]?.pass();
  });
});
