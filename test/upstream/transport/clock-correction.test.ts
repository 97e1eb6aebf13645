import { describe, expect, it } from 'vitest';
import { MAX_CLOCK_CORRECTION_MS } from '../../../src/auth/clock-skew.ts';
import type { RefusalKind } from '../../../src/endpoint/aws-errors.ts';
import { correctionAfter } from '../../../src/upstream/transport/clock-correction.ts';

const HOUR = 3_600_000;

describe('the correction of the signing clock', () => {
  it.each<[RefusalKind, number | undefined, number, ReturnType<typeof correctionAfter>]>([
    ['clock', HOUR, 0, { offsetMs: HOUR, retry: true }],
    ['clock', -14 * HOUR, 0, { offsetMs: -14 * HOUR, retry: true }],
    ['clock', MAX_CLOCK_CORRECTION_MS + 1, 0, undefined],
    ['clock', -MAX_CLOCK_CORRECTION_MS - 1, 0, undefined],
    ['clock', 59_999, 0, undefined],
    ['clock', undefined, 0, undefined],
    ['clock', HOUR, HOUR, { offsetMs: 0, retry: true }],
    ['clock', undefined, HOUR, { offsetMs: 0, retry: true }],
    ['clock', 10 * 8_760 * HOUR, HOUR, { offsetMs: 0, retry: true }],
    ['clock', 2 * HOUR, HOUR, { offsetMs: 2 * HOUR, retry: true }],
    ['signature', HOUR, HOUR, { offsetMs: 0, retry: false }],
    ['other', undefined, HOUR, { offsetMs: 0, retry: false }],
    ['signature', HOUR, 0, undefined],
    ['denied', HOUR, HOUR, undefined],
    ['expired', HOUR, HOUR, undefined],
  ])(
    'the clock correction after a refusal %s with a skew of %s and a correction of %s',
    (kind, skewMs, usedMs, expected) => {
      expect(correctionAfter({ kind, skewMs, usedMs })).toEqual(expected);
    },
  );
});
