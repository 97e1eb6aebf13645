import { WaitQueue } from '../../core/time/wait-queue.ts';
import { abortable } from '../../core/time/waits.ts';

/**
 * Calls for credentials at once in one process. STS permits 600 per second and account, and answers
 * in about 0.1 s: a thousand identities that begin together use a quarter of that.
 */
export const MAX_CREDENTIAL_CALLS = 16;

/** Bounds the calls to one kind of service. Others wait in turn. */
export class CallSlots {
  #free: number;
  readonly #waiting = new WaitQueue<void>();

  constructor(size: number) {
    this.#free = size;
  }

  /**
   * Runs `work` when its turn comes.
   * @throws the reason of the signal as soon as it aborts, while it waits and while it runs.
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#waiting.wait(signal, undefined);
    try {
      return await abortable(work(), signal);
    } finally {
      if (!this.#waiting.serve(() => undefined)) this.#free++;
    }
  }
}

/** All profiles and identities of a process call the same STS. */
export const stsSlots = new CallSlots(MAX_CREDENTIAL_CALLS);
