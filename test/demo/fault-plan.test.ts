import { expect, it } from 'vitest';
import { type DemoFault, fateOf } from '../../src/demo/fault-plan.ts';

const refusals = (...faults: DemoFault[]) =>
  [1, 2, 3, 4, 5, 6].map((count) => fateOf(count, new Set(faults)).refusal ?? 'none');

it.each<[faults: DemoFault[], expected: string[]]>([
  [[], ['none', 'none', 'none', 'none', 'none', 'none']],
  [['throttling'], ['none', 'none', 'throttled', 'none', 'none', 'throttled']],
  [['expired-sessions'], ['none', 'none', 'none', 'none', 'session-expired', 'none']],
  [
    ['throttling', 'expired-sessions'],
    ['none', 'none', 'throttled', 'none', 'session-expired', 'throttled'],
  ],
])('with the faults %j the first six calls of the demo meet %j', (faults, expected) => {
  expect(refusals(...faults)).toEqual(expected);
});

it('only slow tools delay the calls of the demo', () => {
  expect(fateOf(1, new Set(['slow-tools']))).toEqual({ refusal: undefined, delayMs: 5_000 });
  expect(fateOf(1, new Set(['throttling'])).delayMs).toBe(0);
});
