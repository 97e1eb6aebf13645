import type { BucketLimit } from './rate-bucket.ts';
import { type FleetView, MIN_PART } from './replica-table.ts';

/**
 * The part of a rate that connected replicas share while others are missing. A missing replica may
 * use its share, and one of its turns may fall into any second; both are subtracted. Pure.
 */
export function connectedLimit(
  limit: BucketLimit,
  { missing, missingShare }: Pick<FleetView, 'missing' | 'missingShare'>,
): BucketLimit {
  if (missing === 0) return limit;
  const { ratePerSecond, burst } = limit;
  const left = ratePerSecond * (1 - missingShare);
  const least = ratePerSecond * MIN_PART;
  // Turns of all missing replicas are at least one interval of the rate apart.
  const extra = Math.min(missing, ratePerSecond * Math.max(0, 1 - missingShare) + 1);
  const saved = burst - extra;
  return {
    ratePerSecond: Math.max(least, left - Math.max(0, 1 - saved)),
    burst: Math.max(1, saved),
  };
}

/**
 * The leases that connected replicas share while others are missing: each may run one call. Pure.
 */
export function connectedLeases(
  limit: number,
  { missing, missingShare }: Pick<FleetView, 'missing' | 'missingShare'>,
): number {
  return missing === 0 ? limit : Math.max(1, limit - Math.max(missing, Math.floor(limit * missingShare)));
}

/**
 * The turns of one replica that cannot use the store: at fixed times, one per `period`. The times
 * of all replicas interleave, so that together they send evenly. In milliseconds.
 */
export interface LocalTurns {
  readonly period: number;
  /** The time of one turn, from which the others follow. */
  readonly phase: number;
}

/** The first turn at `time` or later. Pure. */
export const turnFrom = (time: number, { period, phase }: LocalTurns): number =>
  Math.ceil((time - phase) / period - 1e-9) * period + phase;
