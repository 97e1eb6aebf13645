import type { Clock, Timer } from '../core/clock.ts';
import { unsentReason } from '../core/errors.ts';

interface Waiter<L> {
  readonly resolve: (lease: L) => void;
  readonly reject: (error: unknown) => void;
  /** It has waited its time, and stays only while something is being opened for it. */
  overdue: boolean;
}

/** Callers that wait for an item with room, longest waiting first. Each leaves once: served, refused, or by its own signal. */
export class Waiting<L> {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #queue: Waiter<L>[] = [];

  constructor(clock: Clock, waitMs: number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** @param changed - called when this caller has left, or has waited its time. */
  join(signal: AbortSignal, changed: () => void): Promise<L> {
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const settled = (): void => {
        timer?.cancel();
        signal.removeEventListener('abort', leave);
      };
      const waiter: Waiter<L> = {
        overdue: this.#waitMs === 0,
        resolve: (lease) => {
          settled();
          resolve(lease);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        waiter.reject(unsentReason(signal.reason));
        changed();
      };
      signal.addEventListener('abort', leave, { once: true });
      if (this.#waitMs > 0) {
        timer = this.#clock.schedule(this.#waitMs, () => {
          waiter.overdue = true;
          changed();
        });
      }
      this.#queue.push(waiter);
    });
  }

  /** Serves the one that has waited longest. */
  serve(lease: L): void {
    this.#queue.shift()?.resolve(lease);
  }

  /** Refuses those who have waited their time, but for the first `covered`: something is on its way for them. */
  refuseOverdue(covered: number, error: () => unknown): void {
    for (let at = this.#queue.length - 1; at >= covered; at--) {
      const waiter = this.#queue[at];
      if (!waiter?.overdue) continue;
      this.#queue.splice(at, 1);
      waiter.reject(error());
    }
  }

  refuseAll(error: () => unknown): void {
    for (const waiter of this.#queue.splice(0)) waiter.reject(error());
  }
}
