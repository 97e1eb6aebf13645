import { unsentReason } from '../errors/errors.ts';
import { CallController } from './call-signal.ts';

export interface JoinOptions {
  /** The error for a caller that leaves. Default: the "not sent" form of its signal's reason. */
  readonly toError?: (reason: unknown) => unknown;
  /** True: the last caller that leaves receives the work's failure, which knows how far it got. */
  readonly lastAwaitsEnd?: boolean;
}

/**
 * One run of work that several callers share. It has a signal of its own, and ends early only when
 * its last caller has left.
 */
export class Flight<T> {
  /** Settles as the work does. Awaiting it does not count as a caller: `join` does. */
  readonly outcome: Promise<T>;
  /** Resolves when the work has settled. */
  readonly ended: Promise<void>;
  readonly #controller = new CallController();
  #callers = 0;
  #over = false;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    const markOver = (): void => {
      this.#over = true;
    };
    // Over before any caller continues, so that the next one starts another run.
    this.outcome = work(this.#controller.signal).finally(markOver);
    this.ended = this.outcome.then(
      () => undefined,
      () => undefined,
    );
  }

  get over(): boolean {
    return this.#over;
  }

  /** True once nobody wants the result: the last caller has left, or `abandon` was called. */
  get abandoned(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Callers that wait. */
  get callers(): number {
    return this.#callers;
  }

  /** Waits for the work. A caller that leaves is rejected at once. */
  join(signal: AbortSignal, { toError = unsentReason, lastAwaitsEnd = false }: JoinOptions = {}): Promise<T> {
    if (signal.aborted) return Promise.reject(toError(signal.reason));
    this.#callers++;
    return new Promise((resolve, reject) => {
      let waits = true;
      const leave = (): void => {
        waits = false;
        const isLast = --this.#callers === 0;
        if (isLast) this.abandon(signal.reason);
        if (!isLast || !lastAwaitsEnd) reject(toError(signal.reason));
      };
      const settled = (): void => {
        signal.removeEventListener('abort', leave);
        if (waits) this.#callers--;
      };
      signal.addEventListener('abort', leave, { once: true });
      this.outcome.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: unknown) => {
          settled();
          reject(error);
        },
      );
    });
  }

  /** Aborts the work, whoever waits. */
  abandon(reason: unknown): void {
    this.#controller.abort(reason);
  }
}

/** Runs work once for all who need its result while it runs. A failure is not kept. */
export class SingleFlight<T> {
  #latest: Flight<T> | undefined;

  /** The run that the next caller joins; undefined where it would start another. */
  get current(): Flight<T> | undefined {
    const flight = this.#latest;
    return flight && !flight.over && !flight.abandoned ? flight : undefined;
  }

  /** The current run, or else a new one of this work. */
  run(work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const { current } = this;
    if (current) return current;
    this.#latest = new Flight(work);
    return this.#latest;
  }

  /** The current run goes on for its callers, but the next caller starts another. */
  detach(): void {
    this.#latest = undefined;
  }

  /** Aborts the current run; the next caller starts another. */
  abandon(reason: unknown): void {
    this.current?.abandon(reason);
    this.#latest = undefined;
  }
}
