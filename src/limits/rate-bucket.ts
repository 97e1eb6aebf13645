/**
 * The token bucket that replicas share, as a pure function. The script in `redis-scripts.ts` does
 * the same inside Redis with Redis's clock; a test compares the two. Times are in microseconds.
 */
export interface BucketState {
  /** Below zero: that many turns are reserved. */
  readonly tokens: number;
  /** The time of `tokens`. */
  readonly at: number;
  /** The end of a pause. */
  readonly until: number;
  /** How much later pauses have made the reserved turns, in total. */
  readonly shift: number;
}

export interface BucketLimit {
  readonly ratePerSecond: number;
  readonly burst: number;
}

export type RateCommand =
  /**
   * Takes up to `count` turns, or reserves the next one. `rejoin`: no saved turns are used, and the
   * next one is as far away as the share of one in so many processes; 0 = none of this.
   */
  | { readonly name: 'take'; readonly count: number; readonly maxWaitUs: number; readonly rejoin: number }
  /** Takes a reserved turn, unless a pause has made it later. */
  | { readonly name: 'claim'; readonly reserved: Reservation; readonly maxWaitUs: number }
  | { readonly name: 'refund'; readonly count: number }
  | { readonly name: 'pause'; readonly us: number };

export interface Reservation {
  readonly readyAt: number;
  readonly shift: number;
}

export interface RateAnswer {
  readonly granted: number;
  /** Until the reserved turn, or until the turn that was not reserved because it is too late. */
  readonly waitUs: number;
  readonly reserved: Reservation | undefined;
}

/** Tolerance for rounding of fractional tokens. */
const ROUNDING = 1e-6;
const SECOND_US = 1_000_000;

/**
 * A new bucket may replace one that Redis has lost: it starts with one turn, so that the loss
 * allows no second burst.
 */
export const newBucket = (now: number, tokens = 1): BucketState => ({ tokens, at: now, until: 0, shift: 0 });

/** Applies one command. Pure. */
export function applyRate(
  before: BucketState,
  { ratePerSecond, burst }: BucketLimit,
  command: RateCommand,
  now: number,
): { readonly state: BucketState; readonly answer: RateAnswer } {
  // The clock goes back at a failover to another machine: no time has passed then.
  const since = Math.max(Math.min(before.at, now), Math.min(before.until, now));
  const refilled = before.tokens + ((now - since) / SECOND_US) * ratePerSecond;
  let tokens = Math.min(burst, refilled);
  let { until, shift } = before;
  const base = Math.max(now, until);
  let answer: RateAnswer = { granted: 0, waitUs: 0, reserved: undefined };
  switch (command.name) {
    case 'take': {
      const { rejoin } = command;
      if (rejoin > 0) tokens = Math.min(tokens, 0);
      const whole = Math.floor(tokens + ROUNDING);
      if (until <= now && whole >= 1) {
        const granted = Math.min(command.count, whole);
        tokens -= granted;
        answer = { granted, waitUs: 0, reserved: undefined };
        break;
      }
      const pace = ratePerSecond / Math.max(1, rejoin);
      const readyAt = base + Math.ceil((Math.max(0, 1 - tokens) / pace) * SECOND_US);
      const waitUs = readyAt - now;
      if (waitUs <= command.maxWaitUs) tokens -= 1;
      const reserved = waitUs <= command.maxWaitUs ? { readyAt, shift } : undefined;
      answer = { granted: 0, waitUs, reserved };
      break;
    }
    case 'claim': {
      const readyAt = command.reserved.readyAt + shift - command.reserved.shift;
      const waitUs = Math.max(0, readyAt - now);
      // The state was lost, or the clock has jumped: the turn has to be taken anew.
      const isVoid = shift < command.reserved.shift || waitUs > command.maxWaitUs;
      if (isVoid) answer = { granted: 0, waitUs: 0, reserved: undefined };
      else if (waitUs === 0) answer = { granted: 1, waitUs: 0, reserved: undefined };
      else answer = { granted: 0, waitUs, reserved: { readyAt, shift } };
      break;
    }
    case 'refund':
      tokens = Math.min(burst, tokens + command.count);
      break;
    case 'pause': {
      const end = now + command.us;
      if (end > base) {
        shift += end - base;
        until = end;
        // A burst right after the pause would be throttled again.
        tokens = Math.min(tokens, 1);
      }
    }
  }
  return { state: { tokens, at: now, until, shift }, answer };
}
