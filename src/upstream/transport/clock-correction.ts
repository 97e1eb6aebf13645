import { isCorrectable } from '../../auth/clock-skew.ts';
import type { RefusalKind } from '../../endpoint/aws-errors.ts';

/** Smaller differences are latency, not clock error. */
const SKEW_WORTH_CORRECTING_MS = 60_000;

export interface RefusedTime {
  readonly kind: RefusalKind;
  readonly skewMs: number | undefined;
  /** The correction that the refused signature was made with. */
  readonly usedMs: number;
}

export interface Correction {
  readonly offsetMs: number;
  /** Whether to re-sign and re-send the request, which did not run. */
  readonly retry: boolean;
}

/** Refusals that a wrong time can cause without naming it. */
const MAY_BE_TIME: ReadonlySet<RefusalKind> = new Set(['signature', 'other']);

/** Returns the new correction after a refusal; undefined where it stays. Pure. */
export function correctionAfter({ kind, skewMs, usedMs }: RefusedTime): Correction | undefined {
  if (kind === 'clock') {
    const differs = skewMs !== undefined && Math.abs(skewMs - usedMs) >= SKEW_WORTH_CORRECTING_MS;
    if (differs && isCorrectable(skewMs)) return { offsetMs: skewMs, retry: true };
    return usedMs === 0 ? undefined : { offsetMs: 0, retry: true };
  }
  return usedMs !== 0 && MAY_BE_TIME.has(kind) ? { offsetMs: 0, retry: false } : undefined;
}
