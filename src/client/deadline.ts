import type { Deadline } from '../core/pipeline/call.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

/** A countdown with less than this left is over: the sums of the clock are not exact. */
const TOLERANCE_MS = 0.01;

/**
 * The running countdowns of one limit. That which was started first ends first, so one timer serves
 * all of them, and no restart needs one.
 */
class CountdownQueue {
  readonly clock: Clock;
  readonly ms: number;
  #first: Countdown | undefined;
  #last: Countdown | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, ms: number) {
    this.clock = clock;
    this.ms = ms;
  }

  push(countdown: Countdown): void {
    countdown.previous = this.#last;
    if (this.#last) this.#last.next = countdown;
    else this.#first = countdown;
    this.#last = countdown;
    if (!this.#timer) this.#arm(this.ms);
  }

  remove(countdown: Countdown): void {
    const { previous, next } = countdown;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    countdown.previous = undefined;
    countdown.next = undefined;
    if (this.#first) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(ms: number): void {
    this.#timer = this.clock.schedule(ms, this.#endFirst);
  }

  readonly #endFirst = (): void => {
    this.#timer = undefined;
    for (let first = this.#first; first; first = this.#first) {
      const { remainingMs } = first;
      if (remainingMs > TOLERANCE_MS) {
        // A countdown that ended may have started another one.
        if (!this.#timer) this.#arm(remainingMs);
        return;
      }
      first.end();
    }
  };
}

/** Called when the time of a countdown is over. An object takes the place of a closure per call. */
export interface ExpiryObserver {
  onExpired(): void;
}

/** By clock and limit: a process has few of either. */
const queues = new WeakMap<Clock, Map<number, CountdownQueue>>();

function queueOf(clock: Clock, ms: number): CountdownQueue {
  let ofClock = queues.get(clock);
  if (!ofClock) {
    ofClock = new Map();
    queues.set(clock, ofClock);
  }
  let queue = ofClock.get(ms);
  if (!queue) {
    queue = new CountdownQueue(clock, ms);
    ofClock.set(ms, queue);
  }
  return queue;
}

/**
 * The time limit of one call. `hold` stops the countdown and keeps what remains; `restart` sets it
 * to the full limit.
 */
export class Countdown implements Deadline {
  readonly #queue: CountdownQueue;
  readonly #expire: ExpiryObserver | (() => void);
  #state: 'queued' | 'timed' | 'stopped' | 'over' = 'stopped';
  #left: number;
  #since = 0;
  /** For the rest of a limit: only whole ones end in the order of their start. */
  #timer: Timer | undefined;
  #holds = 0;
  /** Its place in the queue, which alone writes both. */
  previous: Countdown | undefined = undefined;
  next: Countdown | undefined = undefined;

  /** @param ms - milliseconds; 0 = no limit. */
  constructor(clock: Clock, ms: number, expire: ExpiryObserver | (() => void)) {
    this.#queue = queueOf(clock, ms);
    this.#left = ms;
    this.#expire = expire;
    this.#run();
  }

  #run(): void {
    const { ms, clock } = this.#queue;
    if (this.#state !== 'stopped' || this.#holds > 0 || ms === 0) return;
    this.#since = clock.monotonic();
    if (this.#left === ms) {
      this.#state = 'queued';
      this.#queue.push(this);
      return;
    }
    this.#state = 'timed';
    this.#timer = clock.schedule(this.#left, () => this.end());
  }

  #leave(): void {
    if (this.#state === 'queued') this.#queue.remove(this);
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Milliseconds since it was last started. */
  get #passed(): number {
    return this.#queue.clock.monotonic() - this.#since;
  }

  #pause(): void {
    if (this.#state !== 'queued' && this.#state !== 'timed') return;
    this.#leave();
    this.#state = 'stopped';
    this.#left = Math.max(0, this.#left - this.#passed);
  }

  get remainingMs(): number {
    if (this.#queue.ms === 0) return Number.POSITIVE_INFINITY;
    const isRunning = this.#state === 'queued' || this.#state === 'timed';
    return isRunning ? Math.max(0, this.#left - this.#passed) : this.#left;
  }

  hold(): () => void {
    if (this.#holds++ === 0) this.#pause();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holds === 0) this.#run();
    };
  }

  restart(): void {
    this.#pause();
    this.#left = this.#queue.ms;
    this.#run();
  }

  stop(): void {
    this.#leave();
    this.#state = 'over';
  }

  /** Called when the time is over. */
  end(): void {
    this.#left = 0;
    this.stop();
    if (typeof this.#expire === 'function') this.#expire();
    else this.#expire.onExpired();
  }
}
