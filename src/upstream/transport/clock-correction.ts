import { isCorrectable } from '../../auth/clock-skew.ts';
import type { RefusalKind } from '../../endpoint/aws-errors.ts';

/**
 * A smaller difference is the way and the work between two honest clocks, not an error of either.
 */
const SKEW_WORTH_CORRECTING_MS = 60_000;

export interface RefusedTime {
  readonly kind: RefusalKind;
  readonly skewMs: number | undefined;
  /** The correction that the refused signature was made with. */
  readonly usedMs: number;
}

export interface Correction {
  readonly offsetMs: number;
  /** Whether the request, which did not run, is worth another signature. */
  readonly retry: boolean;
}

/** Refusals that a wrong time may be behind, though they do not name it. */
const MAY_BE_TIME: ReadonlySet<RefusalKind> = new Set(['signature', 'other']);

/** What the correction is from now on, after a refusal; undefined where it stays. Pure. */
export function correctionAfter({ kind, skewMs, usedMs }: RefusedTime): Correction | undefined {
  if (kind === 'clock') {
    const differs = skewMs !== undefined && Math.abs(skewMs - usedMs) >= SKEW_WORTH_CORRECTING_MS;
    if (differs && isCorrectable(skewMs)) return { offsetMs: skewMs, retry: true };
    return usedMs === 0 ? undefined : { offsetMs: 0, retry: true };
  }
  return usedMs !== 0 && MAY_BE_TIME.has(kind) ? { offsetMs: 0, retry: false } : undefined;
}
