import { type Call, NO_DEADLINE } from './call.ts';

/**
 * Work that several calls wait for. One that leaves does not end it for the others; it ends when
 * nobody waits any more.
 */
export class SingleFlight<T> {
  /** Whose message it carries. */
  readonly leader: Call;
  /** Resolves when the work has ended, however it did. */
  readonly over: Promise<void>;
  readonly #controller = new AbortController();
  readonly #waiting = new Set<Call>();
  readonly #outcome: Promise<T>;

  /**
   * @param work - gets the leader's call, with a signal and a way down that belong to all who wait.
   */
  constructor(leader: Call, work: (call: Call) => Promise<T>) {
    this.leader = leader;
    this.#outcome = work({
      ...leader,
      signal: this.#controller.signal,
      // Whoever has been cancelled hears no more, and with it what the server tells everybody would
      // be lost.
      emit: (message, origin) => {
        const [listening = leader] = this.#waiting;
        return listening.emit(message, origin);
      },
      deadline: NO_DEADLINE,
    });
    this.over = this.#outcome.then(
      () => undefined,
      () => undefined,
    );
  }

  /** True once the last has left: what comes of it is for nobody. */
  get abandoned(): boolean {
    return this.#controller.signal.aborted;
  }

  /** True where somebody else than its leader waits. */
  get shared(): boolean {
    return this.#waiting.size > (this.#waiting.has(this.leader) ? 1 : 0);
  }

  join(call: Call): Promise<T> {
    const { signal } = call;
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#waiting.add(call);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(call);
        if (this.#waiting.size > 0) reject(signal.reason);
        // The work's own failure knows how far it got.
        else this.#controller.abort(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#outcome.then(resolve, reject).finally(() => {
        signal.removeEventListener('abort', leave);
        this.#waiting.delete(call);
      });
    });
  }
}
