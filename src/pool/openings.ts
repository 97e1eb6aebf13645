import type { SessionOpenReason } from '../core/pipeline/events.ts';
import { CallController } from '../core/time/call-signal.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

/** An opening continues this long without callers: another one may need the session. */
const UNWANTED_OPENING_MS = 1_000;

/** The outcome of an opening; `abandoned` if it ended because no caller waited. */
export type OpeningResult<T> =
  | { readonly item: T; readonly stale: boolean }
  | { readonly error: unknown; readonly abandoned: boolean };

interface Opening {
  readonly controller: CallController;
  readonly done: Promise<void>;
  /** It replaces an item, so no caller waits for it. */
  readonly renews: boolean;
  /** Timer that runs while no caller wants the item. */
  unwanted: Timer | undefined;
  /** A drain began after it did. */
  stale: boolean;
  /** It was aborted, and no caller counts on it any more. */
  ended: boolean;
}

/** The items of a pool that are being opened. */
export class Openings<T> {
  readonly #clock: Clock;
  readonly #open: (signal: AbortSignal, reason: SessionOpenReason) => Promise<T>;
  readonly #running = new Set<Opening>();

  constructor(clock: Clock, open: (signal: AbortSignal, reason: SessionOpenReason) => Promise<T>) {
    this.#clock = clock;
    this.#open = open;
  }

  /** Those that callers may count on. */
  get pending(): number {
    let pending = 0;
    for (const { ended } of this.#running) if (!ended) pending++;
    return pending;
  }

  /** All that have not settled; an aborted one may still leave an item at the server. */
  get size(): number {
    return this.#running.size;
  }

  start(reason: SessionOpenReason, renews: boolean, onSettled: (result: OpeningResult<T>) => void): void {
    const controller = new CallController();
    const forget = (): void => {
      opening.unwanted?.cancel();
      this.#running.delete(opening);
    };
    // Deferred by one microtask, so that `open` cannot call back while the pool decides.
    const done = Promise.resolve()
      .then(() => this.#open(controller.signal, reason))
      .then(
        (item) => {
          forget();
          onSettled({ item, stale: opening.stale });
        },
        (error: unknown) => {
          forget();
          onSettled({ error, abandoned: opening.ended });
        },
      );
    const opening: Opening = { controller, done, renews, unwanted: undefined, stale: false, ended: false };
    this.#running.add(opening);
  }

  /** Marks the items that are being opened for replacement. */
  markStale(): void {
    for (const opening of this.#running) opening.stale = true;
  }

  /**
   * Ends what is being opened for callers, because the last one has left.
   * @param atOnce - true where nothing is open: the next caller must not join a hanging attempt.
   */
  endUnwanted(atOnce: boolean, onEnded: () => void): void {
    // A copy: `onEnded` may start another.
    for (const opening of [...this.#running]) {
      if (opening.renews || opening.ended) continue;
      const end = (): void => {
        opening.unwanted?.cancel();
        opening.ended = true;
        opening.controller.abort(new Error('no caller waits for it any more'));
        onEnded();
      };
      if (atOnce) end();
      else opening.unwanted ??= this.#clock.schedule(UNWANTED_OPENING_MS, end, { keepAlive: false });
    }
  }

  abort(reason: unknown): void {
    for (const { controller, unwanted } of this.#running) {
      unwanted?.cancel();
      controller.abort(reason);
    }
  }

  async whenSettled(): Promise<void> {
    await Promise.all([...this.#running].map(({ done }) => done));
  }
}
