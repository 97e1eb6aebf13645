import type { Clock } from '../core/time/clock.ts';
import type { SendMessage, ToWorker } from './messages.ts';

const PING_MS = 1_000;
/**
 * Far more than a large body or a garbage collection blocks a worker, and short enough for calls
 * that wait at one that hangs.
 */
const MAX_SILENT_PINGS = 15;
/** A ping that is later is not counted: the machine was paused, or the primary process was busy. */
const MAX_LATE_MS = PING_MS / 2;

/** How long a worker may be silent, in milliseconds. */
export const MAX_SILENCE_MS = PING_MS * MAX_SILENT_PINGS;

/** The place of a worker, which answers `ping` with `pong` unless it hangs. */
interface Watched {
  readonly process: { readonly send: SendMessage<ToWorker> } | undefined;
}

/** Finds workers whose event loop is blocked, and workers that are stopped. */
export class WorkerWatch<T extends Watched> {
  readonly #clock: Clock;
  readonly #slots: readonly T[];
  readonly #onHung: (slot: T) => void;
  /** The slots with an unanswered ping, and how many further pings were due since. */
  readonly #silent = new Map<T, number>();

  /** @param onHung - called once when a worker has been silent for `MAX_SILENCE_MS`. */
  constructor(clock: Clock, slots: readonly T[], onHung: (slot: T) => void) {
    this.#clock = clock;
    this.#slots = slots;
    this.#onHung = onHung;
  }

  /** Pings all workers once per second from now on. */
  start(): void {
    const due = this.#clock.monotonic() + PING_MS;
    const ping = (): void => {
      this.#pingAll(this.#clock.monotonic() - due > MAX_LATE_MS);
      this.start();
    };
    this.#clock.schedule(PING_MS, ping, { keepAlive: false });
  }

  /** The worker has answered, or has ended. */
  receive(slot: T): void {
    this.#silent.delete(slot);
  }

  /** @param isLate - the workers may have been paused too, and their answers may be unread. */
  #pingAll(isLate: boolean): void {
    for (const slot of this.#slots) {
      const pings = this.#silent.get(slot);
      if (pings === undefined) {
        if (slot.process?.send({ type: 'ping' })) this.#silent.set(slot, 0);
      } else if (!isLate) {
        this.#silent.set(slot, pings + 1);
        if (pings + 1 === MAX_SILENT_PINGS) this.#onHung(slot);
      }
    }
  }
}
