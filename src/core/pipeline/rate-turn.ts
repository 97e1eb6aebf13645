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

/** Waits for the turn of a call, and reports the wait and how it ended. */
export async function awaitTurn(
  turn: Promise<void>,
  { profile, signal, record }: Call,
  { events, clock, by, waiting }: RateTurnDeps,
): Promise<void> {
  const since = clock.monotonic();
  let outcome: 'waited' | 'refused' | 'cancelled' = 'waited';
  try {
    await turn;
  } catch (error) {
    outcome = signal.aborted ? 'cancelled' : 'refused';
    throw error;
  } finally {
    const ms = clock.monotonic() - since;
    if (record) record.rateMs += ms;
    events.emit({ type: 'rate.limited', profile, by, outcome, ms, waiting: waiting() });
  }
}
