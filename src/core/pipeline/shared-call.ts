import { Flight, type JoinOptions } from '../time/single-flight.ts';
import { type Call, NO_DEADLINE } from './call.ts';

/** The shared work may have been sent, so callers that leave keep the reason of their signal. */
const LEAVING: JoinOptions = { toError: (reason) => reason, lastAwaitsEnd: true };

/** One request that answers several calls. It ends early only when the last of them leaves. */
export class SharedCall<T> {
  /** The call whose message is sent. */
  readonly leader: Call;
  readonly #flight: Flight<T>;
  readonly #waiting = new Set<Call>();

  /**
   * @param work - receives the leader's call, with a signal and an `emit` shared by all waiting
   * calls.
   */
  constructor(leader: Call, work: (call: Call) => Promise<T>) {
    this.leader = leader;
    this.#flight = new Flight((signal) =>
      work({
        ...leader,
        signal,
        // A cancelled leader no longer emits, so another waiting call does.
        emit: (message, origin) => {
          const [listening = leader] = this.#listeners();
          return listening.emit(message, origin);
        },
        deadline: NO_DEADLINE,
      }),
    );
  }

  /** Resolves when the work has settled. */
  get ended(): Promise<void> {
    return this.#flight.ended;
  }

  /** True once the last call has left: no one wants the result. */
  get abandoned(): boolean {
    return this.#flight.abandoned;
  }

  /** True where calls other than the leader wait. */
  get shared(): boolean {
    return this.#listeners().some((call) => call !== this.leader);
  }

  async join(call: Call): Promise<T> {
    this.#waiting.add(call);
    try {
      return await this.#flight.join(call.signal, LEAVING);
    } finally {
      this.#waiting.delete(call);
    }
  }

  #listeners(): Call[] {
    return [...this.#waiting].filter(({ signal }) => !signal.aborted);
  }
}
