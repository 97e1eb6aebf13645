import { type Call, NO_DEADLINE } from './call.ts';

/** Work that several calls share. It ends early only when the last of them has left. */
export class SingleFlight<T> {
  /** The call whose message is sent. */
  readonly leader: Call;
  /** Resolves when the work has settled. */
  readonly over: Promise<void>;
  readonly #controller = new AbortController();
  readonly #waiting = new Set<Call>();
  readonly #outcome: Promise<T>;

  /**
   * @param work - receives the leader's call, with a signal and an `emit` shared by all waiting
   * calls.
   */
  constructor(leader: Call, work: (call: Call) => Promise<T>) {
    this.leader = leader;
    this.#outcome = work({
      ...leader,
      signal: this.#controller.signal,
      // A cancelled leader no longer emits, so another waiting call does.
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

  /** True once the last call has left: no one wants the result. */
  get abandoned(): boolean {
    return this.#controller.signal.aborted;
  }

  /** True where calls other than the leader wait. */
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
