import type { Clock } from '../core/time/clock.ts';
import type { WorkerQuery } from './messages.ts';
import type { WorkerSlot } from './supervisor.ts';

/** Longest wait for an answer; after it, the last report of the worker stays in use. */
const ANSWER_MS = 1_000;

/** The queries of the primary process that its workers have not answered yet. */
export class WorkerQueries {
  readonly #clock: Clock;
  readonly #open = new Map<
    number,
    { readonly slot: WorkerSlot; readonly settle: (value: unknown) => void }
  >();
  #next = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns the answer, or undefined where none comes in time. */
  query(slot: WorkerSlot, what: WorkerQuery): Promise<unknown> {
    return new Promise((resolve) => {
      const id = this.#next++;
      const settle = (value: unknown): void => {
        this.#open.delete(id);
        late.cancel();
        resolve(value);
      };
      const late = this.#clock.schedule(ANSWER_MS, () => settle(undefined), { keepAlive: false });
      this.#open.set(id, { slot, settle });
      if (!slot.process?.send({ type: 'query', id, what })) settle(undefined);
    });
  }

  receive(id: number, value: unknown): void {
    this.#open.get(id)?.settle(value);
  }

  /** Settles all queries of a worker that has ended. */
  forget(slot: WorkerSlot): void {
    for (const query of this.#open.values()) if (query.slot === slot) query.settle(undefined);
  }
}
