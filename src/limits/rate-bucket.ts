/**
 * The token bucket that replicas share, as a pure function. The script in `redis-scripts.ts` does
 * the same inside Redis with Redis's clock; a test compares the two. Times are in microseconds.
 */
export interface BucketState {
  /**
   * The turns that nobody has reserved; below zero, reserved turns are in the future. With `open`:
   * the turns that may be used now, at most the burst. A reserved turn is used when it is claimed.
   */
  readonly tokens: number;
  /** The time of `tokens`. */
  readonly at: number;
  /** The end of a pause. */
  readonly until: number;
  /** How much later pauses have made the reserved turns, in total. */
  readonly shift: number;
  /** How many reserved turns are not claimed yet, and the time of the last one. */
  readonly open: number;
  readonly last: number;
  /** When the bucket was created: turns of one that the store has lost are void. */
  readonly born: number;
}

export interface BucketLimit {
  readonly ratePerSecond: number;
  readonly burst: number;
}

export type RateCommand =
  /** Takes up to `count` turns, or reserves the next one. */
  | { readonly name: 'take'; readonly count: number; readonly maxWaitUs: number }
  /** Takes a reserved turn, unless a pause has made it later or the claim is too late. */
  | {
      readonly name: 'claim';
      readonly reserved: Reservation;
      readonly maxWaitUs: number;
      /** A turn that is used later than this would meet the turns of a later second. */
      readonly maxLateUs: number;
    }
  /** Returns turns of the bucket that was created at `born`. */
  | {
      readonly name: 'refund';
      readonly count: number;
      readonly born: number;
      /** Whether the turns were reserved and not claimed. */
      readonly reserved: boolean;
    }
  | { readonly name: 'pause'; readonly us: number };

export interface Reservation {
  readonly readyAt: number;
  readonly shift: number;
  readonly born: number;
}

export interface RateAnswer {
  readonly granted: number;
  /** Until the reserved turn, or until the turn that was not reserved because it is too late. */
  readonly waitUs: number;
  readonly reserved: Reservation | undefined;
  /** When the bucket was created. */
  readonly born: number;
}

/** Tolerance for rounding of fractional tokens. */
const ROUNDING = 1e-6;
const SECOND_US = 1_000_000;
/** Tolerance for the sum of many rounded tokens, in turns. */
export const CLAIM_ROUNDING = 1e-3;
/** A reserved turn is never used later than this. */
export const MAX_CLAIM_DELAY_US = 1_000_000;

/**
 * A new bucket may replace one that Redis has lost a moment ago. It starts without turns, so that
 * the loss allows no second burst; a slow rate has its first turn after one second.
 */
export const newBucket = (
  now: number,
  { ratePerSecond }: Pick<BucketLimit, 'ratePerSecond'>,
  tokens = Math.max(0, 1 - ratePerSecond),
): BucketState => ({ tokens, at: now, until: 0, shift: 0, open: 0, last: 0, born: now });

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
  let { until, shift, open, last } = before;
  let tokens = Math.min(Math.max(0, burst - open), refilled);
  if (now > last + MAX_CLAIM_DELAY_US) {
    // The process that has reserved them has ended.
    tokens += open;
    open = 0;
  }
  const giveBack = (count: number): void => {
    tokens = Math.min(Math.max(0, burst - open), tokens + count);
  };
  const { born } = before;
  const base = Math.max(now, until);
  let answer: RateAnswer = { granted: 0, waitUs: 0, reserved: undefined, born };
  switch (command.name) {
    case 'take': {
      const whole = Math.floor(tokens + ROUNDING);
      if (until <= now && whole >= 1) {
        const granted = Math.min(command.count, whole);
        tokens -= granted;
        answer = { ...answer, granted };
        break;
      }
      const readyAt = base + Math.ceil((Math.max(0, 1 - tokens) / ratePerSecond) * SECOND_US);
      const waitUs = readyAt - now;
      answer = { ...answer, waitUs };
      if (waitUs > command.maxWaitUs) break;
      tokens -= 1;
      open += 1;
      last = Math.max(last, readyAt);
      answer = { ...answer, reserved: { readyAt, shift, born } };
      break;
    }
    case 'claim': {
      const { reserved } = command;
      const readyAt = reserved.readyAt + shift - reserved.shift;
      const waitUs = Math.max(0, readyAt - now);
      // The state was lost, or the clock has jumped: the turn has to be taken anew.
      if (born !== reserved.born || shift < reserved.shift || waitUs > command.maxWaitUs) break;
      if (waitUs > 0) {
        answer = { ...answer, waitUs, reserved: { readyAt, shift, born } };
        break;
      }
      const missing = 1 - (tokens + open);
      if (now - readyAt > command.maxLateUs) {
        if (open === 0) break;
        open -= 1;
        giveBack(1);
      } else if (open > 0 && missing > CLAIM_ROUNDING) {
        // The rate was higher when the turn was reserved.
        const laterUs = Math.ceil((missing / ratePerSecond) * SECOND_US);
        last = Math.max(last, now + laterUs);
        answer = { ...answer, waitUs: laterUs, reserved: { readyAt: now + laterUs, shift, born } };
      } else if (open > 0) {
        open -= 1;
        answer = { ...answer, granted: 1 };
      }
      break;
    }
    case 'refund':
      if (born !== command.born || (command.reserved && open === 0)) break;
      if (command.reserved) open -= 1;
      giveBack(command.count);
      break;
    case 'pause': {
      const end = now + command.us;
      if (end > base) {
        shift += end - base;
        last += end - base;
        until = end;
        // A burst right after the pause would be throttled again.
        tokens = Math.min(tokens, Math.max(0, 1 - open));
      }
    }
  }
  return { state: { tokens, at: now, until, shift, open, last, born }, answer };
}
