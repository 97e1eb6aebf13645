import { unsentReason } from '../errors/errors.ts';
import { Chain, type Removable } from './chain.ts';
import type { Clock, Timer } from './clock.ts';

/** Decides which waiter is next. */
export interface ServingOrder<V extends object, P> {
  readonly size: number;
  add(value: V, place: P): Removable;
  /** Removes and returns the next value. */
  shift(): V | undefined;
  /** A copy in serving order, so that values may be removed while it is iterated. */
  values(): V[];
}

/** First in, first out. */
export class FifoOrder<V extends object> implements ServingOrder<V, unknown> {
  readonly #chain = new Chain<V>();

  get size(): number {
    return this.#chain.size;
  }

  add(value: V): Removable {
    return this.#chain.push(value);
  }

  shift(): V | undefined {
    return this.#chain.shift();
  }

  values(): V[] {
    return this.#chain.values();
  }
}

export interface WaitQueueOptions<T, P> {
  /** Default: first in, first out. */
  readonly order?: ServingOrder<Waiter<T, P>, P>;
  /** Called when a caller has left because of its signal or its limit. */
  readonly onLeave?: () => void;
  /** The error for a caller whose signal aborts. Default: the "not sent" form of its reason. */
  readonly toError?: (reason: unknown) => unknown;
}

/** The longest wait of one caller. */
export interface WaitLimit {
  readonly clock: Clock;
  readonly ms: number;
  /** Creates the error; called when the caller has left the queue. */
  readonly refusal: () => unknown;
}

/**
 * Callers that wait for something of which there is not enough. All decisions are synchronous: with
 * an awaited semaphore, a cancellation between request and grant would lose what was granted.
 */
export class WaitQueue<T, P = undefined> {
  readonly #order: ServingOrder<Waiter<T, P>, P>;
  readonly #onLeave: (() => void) | undefined;
  readonly #toError: (reason: unknown) => unknown;

  constructor({ order = new FifoOrder(), onLeave, toError = unsentReason }: WaitQueueOptions<T, P> = {}) {
    this.#order = order;
    this.#onLeave = onLeave;
    this.#toError = toError;
  }

  get size(): number {
    return this.#order.size;
  }

  /** Waits in turn. Rejects as soon as the signal aborts, the limit is over, or at `refuse`. */
  wait(signal: AbortSignal, place: P, limit?: WaitLimit): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(this.#toError(signal.reason));
        return;
      }
      const waiter = new Waiter(place, resolve, reject, signal, this);
      waiter.link = this.#order.add(waiter, place);
      signal.addEventListener('abort', waiter, { once: true });
      if (limit) waiter.timer = limit.clock.schedule(limit.ms, () => this.leave(waiter, limit));
    });
  }

  /** The caller leaves because its limit is over, or else because its signal has aborted. */
  leave(waiter: Waiter<T, P>, limit?: WaitLimit): void {
    waiter.link?.remove();
    waiter.reject(limit ? limit.refusal() : this.#toError(waiter.reason));
    this.#onLeave?.();
  }

  /**
   * Serves the next caller.
   * @param valueFor - called only where a caller waits.
   * @returns false if no caller waits.
   */
  serve(valueFor: (place: P) => T): boolean {
    const waiter = this.#order.shift();
    waiter?.resolve(valueFor(waiter.place));
    return waiter !== undefined;
  }

  /**
   * Refuses callers, in serving order.
   * @param errorFor - undefined keeps the caller; `position` counts those before it that stay.
   */
  refuse(errorFor: (place: P, position: number) => unknown): void {
    let position = 0;
    for (const waiter of this.#order.values()) {
      const error = errorFor(waiter.place, position);
      if (error === undefined) position++;
      else waiter.reject(error);
    }
  }
}

/**
 * One caller in the queue. It leaves once: served or refused. It is its own abort listener, because
 * thousands of callers may wait.
 */
export class Waiter<T, P> {
  /** The facts that the caller stated when it joined. */
  readonly place: P;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #signal: AbortSignal;
  readonly #queue: WaitQueue<T, P>;
  timer: Timer | undefined = undefined;
  /** Its place in the order. */
  link: Removable | undefined = undefined;

  constructor(
    place: P,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal,
    queue: WaitQueue<T, P>,
  ) {
    this.place = place;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#queue = queue;
  }

  get reason(): unknown {
    return this.#signal.reason;
  }

  resolve(value: T): void {
    this.#settled();
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.link?.remove();
    this.#settled();
    this.#reject(error);
  }

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.#queue.leave(this);
  }

  #settled(): void {
    this.timer?.cancel();
    this.#signal.removeEventListener('abort', this);
  }
}
