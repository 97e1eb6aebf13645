import { SessionPoolError } from './errors.ts';

/**
 * A borrowed session. No other caller uses it until it is returned: by `release`, or by `await
 * using`.
 */
export interface PoolLease<C> {
  /**
   * The client of the SDK. @throws SessionPoolError returned: the session may serve another caller.
   */
  readonly client: C;
  /** The session: twelve hexadecimal digits. */
  readonly sessionId: string;
  /** Seconds that the borrow took. */
  readonly waitSeconds: number;
  /**
   * Returns the session.
   * @param options.discard - true closes it: its state must not reach another caller.
   * @throws SessionPoolError returned, where it was returned before or `shutdown` has closed it.
   */
  release(options?: { readonly discard?: boolean }): void;
  /** Returns the session, unless it was returned before. */
  [Symbol.asyncDispose](): Promise<void>;
}

export class BorrowedSession<C> implements PoolLease<C> {
  readonly waitSeconds: number;
  readonly sessionId: string;
  readonly #client: C;
  /** Returns false where the pool has closed the session before. */
  #giveBack: ((discard: boolean) => boolean) | undefined;

  constructor(
    { id, client }: { readonly id: string; readonly client: C },
    waitSeconds: number,
    giveBack: (discard: boolean) => boolean,
  ) {
    this.sessionId = id;
    this.#client = client;
    this.waitSeconds = waitSeconds;
    this.#giveBack = giveBack;
  }

  get client(): C {
    if (!this.#giveBack) throw returnedTwice('used');
    return this.#client;
  }

  release({ discard = false }: { readonly discard?: boolean } = {}): void {
    const giveBack = this.#giveBack;
    if (!giveBack) throw returnedTwice('returned');
    this.#giveBack = undefined;
    if (giveBack(discard)) return;
    throw new SessionPoolError(
      'returned',
      'release',
      'The lease was returned after shutdown had closed its session: its last calls may have been cut. Raise drainTimeout, or return sessions before.',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.(false);
  }
}

const returnedTwice = (what: string): SessionPoolError =>
  new SessionPoolError(
    'returned',
    'release',
    `The lease was ${what} after it had been returned: borrow another session.`,
  );
