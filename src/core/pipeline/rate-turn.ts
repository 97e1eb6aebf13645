import type { Clock } from '../time/clock.ts';
import type { Call } from './call.ts';
import type { Events } from './events.ts';

export interface RateTurnDeps {
  readonly events: Events;
  readonly clock: Clock;
  /** The rate that delays the call: --rate-limit, or what the server accepts. */
  readonly by: 'option' | 'server';
  /** How many wait now. */
  readonly waiting: () => number;
}

/**
 * Waits for the turn of a call, and reports the wait and how it ended.
 * @param turn - resolves with false where nothing delayed it but the question for it.
 */
export async function awaitTurn(
  turn: Promise<unknown>,
  { profile, signal, record }: Call,
  { events, clock, by, waiting }: RateTurnDeps,
): Promise<void> {
  const since = clock.monotonic();
  let outcome: 'waited' | 'refused' | 'cancelled' | undefined;
  try {
    if ((await turn) !== false) outcome = 'waited';
  } catch (error) {
    outcome = signal.aborted ? 'cancelled' : 'refused';
    throw error;
  } finally {
    const ms = clock.monotonic() - since;
    if (record) record.rateMs += ms;
    if (outcome) events.emit({ type: 'rate.limited', profile, by, outcome, ms, waiting: waiting() });
  }
}
