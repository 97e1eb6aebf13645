import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/time/clock.ts';

describe('the system clock', () => {
  it('the system clock does not run at once a timer that is too long for Node', async () => {
    const fired: string[] = [];
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    const long = systemClock.schedule(Number.MAX_SAFE_INTEGER, () => fired.push('long'));
    await new Promise<void>((resolve) => systemClock.schedule(2, resolve));
    expect(fired).toEqual([]);
    expect(warnings).toEqual([]);
    long.cancel();
    process.off('warning', warned);
  });

  it('the system clock runs overdue timers, and no cancelled ones', async () => {
    const fired: string[] = [];
    systemClock.schedule(0, () => fired.push('cancelled')).cancel();
    await new Promise<void>((resolve) => systemClock.schedule(-5, resolve));
    expect(fired).toEqual([]);
  });

  it('the system clock has monotonic time, wall-clock time and random numbers in [0, 1)', () => {
    expect(systemClock.monotonic()).toBeLessThanOrEqual(systemClock.monotonic());
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(60_000);
    expect(systemClock.random()).toBeLessThan(1);
  });
});
