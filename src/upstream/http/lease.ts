import { type Connection, type OutgoingRequest, TransportFailure } from './connection.ts';
import type { Incoming } from './incoming.ts';

/** The methods that a lease calls on its pool. */
export interface LeaseOwner {
  giveBack(connection: Connection, reusable: boolean): void;
  leave(connection: Connection, slow: boolean): void;
  slow(lease: Lease): void;
  over(lease: Lease): void;
  another(): Lease | undefined;
  renew(connection: Connection): Lease | undefined;
}

/**
 * One slot of a pool, for one request. Returned once: when the response is complete, or by
 * `cancel`.
 */
export class Lease {
  readonly #connection: Connection;
  readonly #owner: LeaseOwner;
  #state: 'held' | 'sending' | 'left' | 'over' = 'held';
  #unlink: (() => void) | undefined;

  constructor(connection: Connection, places: LeaseOwner) {
    this.#connection = connection;
    this.#owner = places;
  }

  get warm(): boolean {
    return this.#connection.warm;
  }

  get justAnswered(): boolean {
    return this.#connection.justAnswered;
  }

  /** True where the connection's socket is open. */
  get open(): boolean {
    return this.#connection.open;
  }

  dial(): void {
    if (this.#state === 'held') this.#connection.dial();
  }

  /** True once the slot is returned. */
  get over(): boolean {
    return this.#state === 'over';
  }

  /** @throws TransportFailure */
  send(request: OutgoingRequest): Promise<Incoming> {
    if (this.#state !== 'held') {
      const failure = new TransportFailure(new Error('the place was given back'), 'no', false);
      request.observer?.failed(failure);
      return Promise.reject(failure);
    }
    this.#state = 'sending';
    return this.#connection.send(request, (reusable) => this.#finish(reusable));
  }

  /** Cancels the request when the signal aborts. */
  cancelOn(signal: AbortSignal): void {
    const cut = (): void =>
      this.cancel(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    this.#unlink?.();
    this.#unlink = () => signal.removeEventListener('abort', cut);
    signal.addEventListener('abort', cut, { once: true });
  }

  #finish(reusable: boolean): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#unlink?.();
    this.#owner.over(this);
    this.#owner.giveBack(this.#connection, reusable);
  }

  /**
   * Call this when a client reads the response slowly: the next waiting caller takes the slot while
   * the response goes on.
   */
  markSlow(): void {
    if (this.#state === 'sending') this.#owner.slow(this);
  }

  /**
   * Gives the slot to the next caller now; the request goes on, and its connection closes
   * afterwards.
   */
  detach({ slow = false }: { slow?: boolean } = {}): void {
    if (this.#state === 'held') this.#finish(true);
    else if (this.#state === 'sending') {
      this.#state = 'left';
      this.#owner.over(this);
      this.#owner.leave(this.#connection, slow);
    }
  }

  /** As `detach`; false where nothing was sent yet, or all is over. */
  yield(): boolean {
    if (this.#state !== 'sending') return false;
    this.detach();
    return true;
  }

  /** A lease on a new connection of the same pool, if one is free. */
  leaseAnother(): Lease | undefined {
    return this.#owner.another();
  }

  /**
   * Cuts the request and takes its slot with a new connection; undefined where the slot was
   * returned.
   */
  replaceConnection(reason: Error): Lease | undefined {
    if (this.#state !== 'sending') return undefined;
    this.#state = 'over';
    this.#unlink?.();
    this.#owner.over(this);
    this.#connection.destroy(reason);
    return this.#owner.renew(this.#connection);
  }

  /** Cuts the request and returns the slot. Harmless when all is over. */
  cancel(reason: Error): void {
    if (this.#state === 'held') this.#finish(true);
    else if (this.#state !== 'over') {
      this.#connection.destroy(reason);
      this.#finish(false);
    }
  }
}
