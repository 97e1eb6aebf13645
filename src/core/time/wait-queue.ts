import { unsentReason } from '../errors/errors.ts';
import type { Clock, Timer } from './clock.ts';
import { TransientMap } from './transient-map.ts';

/** Decides which waiter is next. */
export interface ServingOrder<V extends object, P> {
  readonly size: number;
  /** @returns removes the value; harmless where it has left. */
  add(value: V, place: P): () => void;
  /** Removes and returns the next value. */
  shift(): V | undefined;
  /** A copy in serving order, so that values may be removed while it is iterated. */
  values(): V[];
}

/** First in, first out. */
export class FifoOrder<V extends object, P> implements ServingOrder<V, P> {
  readonly #values = new TransientMap<number, V>();
  #ticket = 0;

  get size(): number {
    return this.#values.size;
  }

  add(value: V, _place: P): () => void {
    const ticket = this.#ticket++;
    this.#values.set(ticket, value);
    return () => void this.#values.delete(ticket);
  }

  shift(): V | undefined {
    return this.#values.shift();
  }

  values(): V[] {
    return this.#values.values();
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
      const waiter = new Waiter<T, P>(place, { resolve, reject, signal, leave: this.#leave });
      waiter.remove = this.#order.add(waiter, place);
      signal.addEventListener('abort', waiter, { once: true });
      if (limit) waiter.timer = limit.clock.schedule(limit.ms, () => this.#leave(waiter, limit));
    });
  }

  /** The caller leaves because its limit is over, or else because its signal has aborted. */
  readonly #leave = (waiter: Waiter<T, P>, limit?: WaitLimit): void => {
    waiter.remove();
    waiter.reject(limit ? limit.refusal() : this.#toError(waiter.reason));
    this.#onLeave?.();
  };

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

interface WaiterDeps<T, P> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
  readonly leave: (waiter: Waiter<T, P>) => void;
}

/**
 * One caller in the queue. It leaves once: served or refused. It is its own abort listener, because
 * thousands of callers may wait.
 */
export class Waiter<T, P> {
  /** The facts that the caller stated when it joined. */
  readonly place: P;
  readonly #deps: WaiterDeps<T, P>;
  timer: Timer | undefined;
  /** Removes it from the order. */
  remove: () => void = () => undefined;

  constructor(place: P, deps: WaiterDeps<T, P>) {
    this.place = place;
    this.#deps = deps;
  }

  get reason(): unknown {
    return this.#deps.signal.reason;
  }

  resolve(value: T): void {
    this.#settled();
    this.#deps.resolve(value);
  }

  reject(error: unknown): void {
    this.remove();
    this.#settled();
    this.#deps.reject(error);
  }

  /** Called when the signal aborts. */
  handleEvent(): void {
    this.#deps.leave(this);
  }

  #settled(): void {
    this.timer?.cancel();
    this.#deps.signal.removeEventListener('abort', this);
  }
}
