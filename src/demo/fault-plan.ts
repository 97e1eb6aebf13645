/** The faults that the demo endpoint simulates on request. */
export type DemoFault = 'throttling' | 'expired-sessions' | 'slow-tools';

/** Two calls of three pass, so that retries succeed and are still seen. */
const THROTTLE_EVERY = 3;
const EXPIRE_EVERY = 5;
/** Long enough for progress, waits and time limits to be seen. */
const SLOW_MS = 5_000;

/** The fate of one tools/call. */
export interface CallFate {
  readonly refusal: 'throttled' | 'session-expired' | undefined;
  readonly delayMs: number;
}

/**
 * Decides on the faults of one call. Pure.
 * @param count - how many calls the endpoint received, with this one.
 */
export function fateOf(count: number, faults: ReadonlySet<DemoFault>): CallFate {
  const expires = faults.has('expired-sessions') && count % EXPIRE_EVERY === 0;
  const throttles = faults.has('throttling') && count % THROTTLE_EVERY === 0;
  return {
    refusal: expires ? 'session-expired' : throttles ? 'throttled' : undefined,
    delayMs: faults.has('slow-tools') ? SLOW_MS : 0,
  };
}
