import { unsentReason } from '../core/errors/errors.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

/** A shorter limit could never succeed: opening takes several round trips, TLS included. */
export const MIN_OPENING_WAIT_MS = 1_000;

interface SessionWaiter<L> {
  readonly resolve: (lease: L) => void;
  readonly reject: (error: unknown) => void;
  /** On the monotonic clock. */
  readonly since: number;
  /** It no longer waits for an item in use, only for one that is being opened. */
  overdue: boolean;
}

export interface WaitQueueDeps {
  readonly clock: Clock;
  /**
   * Longest wait, at least MIN_OPENING_WAIT_MS for an item that is being opened; 0 = only for such
   * an item.
   */
  readonly waitMs: number;
  /** The error for a caller whose wait is over. */
  readonly refusal: (waitedMs: number) => unknown;
  /** Called when a caller leaves without an item. */
  readonly onLeave: () => void;
  /** Called when a caller's wait is over. */
  readonly onChange: () => void;
}

/**
 * Callers that wait for an item, longest waiting first. Each leaves once: served, refused or
 * cancelled.
 */
export class WaitQueue<L> {
  readonly #deps: WaitQueueDeps;
  readonly #queue: SessionWaiter<L>[] = [];

  constructor(deps: WaitQueueDeps) {
    this.#deps = deps;
  }

  get length(): number {
    return this.#queue.length;
  }

  join(signal: AbortSignal): Promise<L> {
    const { clock, waitMs, refusal, onLeave, onChange } = this.#deps;
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const settled = (): void => {
        timer?.cancel();
        signal.removeEventListener('abort', cancelled);
      };
      const waiter: SessionWaiter<L> = {
        since: clock.monotonic(),
        overdue: waitMs === 0,
        resolve: (lease) => {
          settled();
          resolve(lease);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const leave = (error: () => unknown): void => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        waiter.reject(error());
        onLeave();
      };
      const cancelled = (): void => leave(() => unsentReason(signal.reason));
      signal.addEventListener('abort', cancelled, { once: true });
      this.#queue.push(waiter);
      const refused = (): void => leave(() => refusal(this.#waited(waiter)));
      const waited = (): void => {
        waiter.overdue = true;
        timer = clock.schedule(MIN_OPENING_WAIT_MS - waitMs, refused);
        onChange();
      };
      if (waitMs > 0) timer = clock.schedule(waitMs, waitMs < MIN_OPENING_WAIT_MS ? waited : refused);
    });
  }

  /** Serves the one that has waited longest. */
  serve(lease: L): void {
    this.#queue.shift()?.resolve(lease);
  }

  /**
   * Refuses overdue callers except the first `covered`, for each of which an item is being opened.
   */
  refuseOverdue(covered: number): void {
    for (let at = this.#queue.length - 1; at >= covered; at--) {
      const waiter = this.#queue[at];
      if (!waiter?.overdue) continue;
      this.#queue.splice(at, 1);
      waiter.reject(this.#deps.refusal(this.#waited(waiter)));
    }
  }

  refuseAll(error: () => unknown): void {
    for (const waiter of this.#queue.splice(0)) waiter.reject(error());
  }

  #waited({ since }: SessionWaiter<L>): number {
    return this.#deps.clock.monotonic() - since;
  }
}
