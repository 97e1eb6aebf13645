import type { Clock } from '../core/time/clock.ts';
import type { Question } from './messages.ts';
import type { WorkerSlot } from './supervisor.ts';

/** A worker that is busy for longer keeps its former report. */
const ANSWER_MS = 1_000;

/** The questions of the primary process that its workers have not answered yet. */
export class WorkerQuestions {
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
  ask(slot: WorkerSlot, what: Question): Promise<unknown> {
    return new Promise((resolve) => {
      const id = this.#next++;
      const settle = (value: unknown): void => {
        this.#open.delete(id);
        late.cancel();
        resolve(value);
      };
      const late = this.#clock.schedule(ANSWER_MS, () => settle(undefined), { keepAlive: false });
      this.#open.set(id, { slot, settle });
      if (!slot.process?.send({ type: 'ask', id, what })) settle(undefined);
    });
  }

  receive(id: number, value: unknown): void {
    this.#open.get(id)?.settle(value);
  }

  /** A worker has ended: it answers nothing more. */
  forget(slot: WorkerSlot): void {
    for (const question of this.#open.values()) if (question.slot === slot) question.settle(undefined);
  }
}
