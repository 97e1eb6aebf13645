import { ProxyError } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { Connection, type ConnectionOptions, type OutgoingRequest, TransportFailure } from './connection.ts';
import { FairQueue, type Share } from './fair-queue.ts';
import type { Incoming } from './incoming.ts';
import { type IdleTime, isExpired, mayReuse, type ReuseLimits } from './reuse.ts';

export interface ConnectionPoolOptions extends Omit<ConnectionOptions, 'onOpen' | 'onClose'> {
  /** Connections that may carry something at once; more callers wait in order. */
  readonly max: number;
  /** Idle connections kept open, exactly; 0 closes each after its answer. */
  readonly maxIdle: number;
  /**
   * Milliseconds after which a connection that comes back is closed, so that the name is resolved
   * again; 0 = no end.
   */
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly onOpen: () => void;
  readonly onClose: () => void;
  /** Runs each time that a caller begins to wait for a connection. */
  readonly onWait?: () => void;
}

/**
 * Answers that slow clients read beside --max-connections. Each costs a connection and some
 * buffers; without a bound, clients that read a byte now and then would collect both.
 */
const MAX_SLOW_ANSWERS = 32;

interface IdleConnection extends IdleTime {
  readonly connection: Connection;
}

interface ConnectionWaiter {
  readonly grant: (connection: Connection) => void;
  readonly refuse: (error: Error) => void;
}

/**
 * A bounded set of connections with a first-come queue of its own. The decision is a count and a
 * list, taken in one step: inside undici's Pool a waiting request could not be cancelled, and idle
 * connections could not be counted.
 */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  /**
   * Last in, first out: the surplus of a burst stays unused and falls to the keep-alive limit or
   * its timeout.
   */
  readonly #idle: IdleConnection[] = [];
  readonly #limits: ReuseLimits;
  readonly #busy = new Set<Connection>();
  /** Opened ahead of the request that will need it; at most one, and not counted as idle. */
  #dialled: IdleConnection | undefined;
  #dialledUntil: NodeJS.Timeout | undefined;
  /** Connections that gave their place back while something still runs on them. */
  readonly #detached = new Set<Connection>();
  /** Answers that their clients read slowly, and that gave their place to another caller. */
  readonly #detachedSlow = new Set<Connection>();
  /**
   * Leases of such answers that still have their place, because nobody has needed it so far; the
   * longest first.
   */
  readonly #slow = new Set<Lease>();
  readonly #waiting = new FairQueue<ConnectionWaiter>();
  /** What every lease does with its place. */
  readonly #leaseOwner: LeaseOwner = {
    giveBack: (connection, reusable) => {
      const left = this.#detached.delete(connection) || this.#detachedSlow.delete(connection);
      if (left) connection.destroy();
      else this.#giveBack(connection, reusable);
    },
    leave: (connection, slow) =>
      slow
        ? this.#detach(connection, this.#detachedSlow, MAX_SLOW_ANSWERS)
        : this.#detach(connection, this.#detached, this.#options.max),
    slow: (lease) => {
      this.#slow.add(lease);
      if (this.#waiting.size > 0) this.#displaceSlow();
    },
    over: (lease) => {
      this.#slow.delete(lease);
      this.#yieldingLeases.delete(lease);
    },
    another: () => this.tryLease({ fresh: true }),
    renew: (connection) => {
      this.#busy.delete(connection);
      return this.#closed ? undefined : this.#grant(this.#open());
    },
  };
  /** Those that give their place up as soon as a request needs it, longest held first. */
  readonly #yieldingLeases = new Set<Lease>();
  #closed = false;

  /** The reason for a wait, as a clause for a person. */
  readonly busyText: string;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
    this.busyText = `every connection was busy (--max-connections ${options.max})`;
    const { lifetimeMs, keepAliveTimeoutMs } = options;
    this.#limits = { lifetimeMs, keepAliveTimeoutMs };
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get active(): number {
    return this.#busy.size;
  }

  /**
   * Takes a place if there is one now, as `lease` would: most calls need not wait, and so need no
   * promise.
   */
  tryLease({ fresh = false }: { fresh?: boolean } = {}): Lease | undefined {
    if (this.#closed) return undefined;
    if (this.#busy.size >= this.#options.max) this.#makeRoom();
    // A caller that has waited longer may have taken that place.
    if (this.#busy.size >= this.#options.max) return undefined;
    return this.#grant(this.#pick(this.#takeIdle(), fresh));
  }

  /** Takes an idle connection for what no request may wait for; undefined where there is none. */
  tryYieldingLease(): Lease | undefined {
    if (this.#idle.length === 0 || this.#busy.size >= this.#options.max) return undefined;
    const lease = this.tryOpenLease();
    if (!lease) return undefined;
    this.#yieldingLeases.add(lease);
    return lease;
  }

  /**
   * Frees the place of a lease that yields. What runs there goes on, and its connection closes
   * afterwards.
   */
  #makeRoom(): void {
    for (const lease of this.#yieldingLeases) {
      if (lease.yield()) return;
    }
  }

  /** Takes a place on a connection that is open already; undefined where there is none. */
  tryOpenLease(): Lease | undefined {
    const kept = this.#idle.length > 0 || this.#dialled !== undefined;
    return kept ? this.tryLease() : undefined;
  }

  /**
   * Opens one connection ahead of the request that will need it. Nothing happens where one is
   * ready.
   */
  dial(): void {
    if (this.#closed || this.#dialled || this.#idle.length > 0) return;
    if (this.#busy.size >= this.#options.max) return;
    const connection = this.#open();
    const drop = (): void => {
      if (this.#dialled?.connection === connection) this.#takeDialled();
      connection.destroy();
    };
    this.#dialled = this.#toIdle(connection, this.#options.clock.monotonic());
    // Unused for as long as an idle connection may be kept, it would only occupy the server.
    this.#dialledUntil = setTimeout(drop, this.#options.keepAliveTimeoutMs).unref();
    connection.dial(drop);
  }

  #takeDialled(): Connection | undefined {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    clearTimeout(this.#dialledUntil);
    return dialled && this.#usable(dialled);
  }

  /**
   * Takes a place, waiting in turn for one. Rejects with the signal's reason the moment it aborts.
   * @param options.fresh - a connection that has carried nothing yet, for what a kept one has just
   * failed.
   * @param options.share - whose turn is waited for; callers without one have a share together.
   */
  lease(
    signal: AbortSignal,
    { fresh = false, share }: { fresh?: boolean; share?: Share | undefined } = {},
  ): Promise<Lease> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#closed) {
        reject(signal.aborted ? signal.reason : shuttingDown());
        return;
      }
      const free = this.tryLease({ fresh }) ?? (this.#displaceSlow() ? this.tryLease({ fresh }) : undefined);
      if (free) {
        resolve(free);
        return;
      }
      const leave = (): void => {
        forget();
        reject(signal.reason);
      };
      const waiter: ConnectionWaiter = {
        grant: (connection) => {
          signal.removeEventListener('abort', leave);
          resolve(this.#grant(this.#pick(connection, fresh)));
        },
        refuse: (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      const forget = this.#waiting.add(waiter, share);
      this.#options.onWait?.();
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #pick(kept: Connection | undefined, fresh: boolean): Connection {
    if (kept && !fresh) return kept;
    kept?.destroy();
    return (fresh ? undefined : this.#takeDialled()) ?? this.#open();
  }

  #open(): Connection {
    const { clock, onOpen, onClose } = this.#options;
    const connection: Connection = new Connection({
      ...this.#options,
      onOpen: () => {
        connection.openedAt = clock.monotonic();
        onOpen();
      },
      onClose: () => {
        const at = this.#idle.findIndex((idle) => idle.connection === connection);
        if (at >= 0) this.#idle.splice(at, 1);
        onClose();
      },
    });
    return connection;
  }

  /** The idle connection that was used last, of those that may still be used. */
  #takeIdle(): Connection | undefined {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      const usable = this.#usable(idle);
      if (usable) return usable;
    }
    return undefined;
  }

  #toIdle(connection: Connection, openedAt: number): IdleConnection {
    const { clock } = this.#options;
    return { connection, openedAt, idleSince: clock.monotonic(), idleSinceWall: clock.now() };
  }

  #usable(idle: IdleConnection): Connection | undefined {
    const { clock } = this.#options;
    const now = { monotonic: clock.monotonic(), wall: clock.now() };
    if (mayReuse(idle, now, this.#limits)) return idle.connection;
    idle.connection.destroy();
    return undefined;
  }

  /**
   * Closes the connections that have carried nothing since then (monotonic): one like them has
   * turned out to be dead.
   */
  closeIdle(since = Number.POSITIVE_INFINITY): void {
    if (this.#dialled && this.#dialled.idleSince <= since) this.#takeDialled()?.destroy();
    const resting = this.#idle.filter(({ idleSince }) => idleSince <= since);
    for (const idle of resting) {
      this.#idle.splice(this.#idle.indexOf(idle), 1);
      idle.connection.destroy();
    }
  }

  #grant(connection: Connection): Lease {
    this.#busy.add(connection);
    return new Lease(connection, this.#leaseOwner);
  }

  /**
   * Takes the place of the answer that its client has read slowly for longest; false where there is
   * none.
   */
  #displaceSlow(): boolean {
    const [slow] = this.#slow;
    slow?.detach({ slow: true });
    return slow !== undefined;
  }

  #detach(connection: Connection, leaving: Set<Connection>, max: number): void {
    leaving.add(connection);
    // A server that never ends its streams, or clients that never read, would otherwise collect
    // sockets without end.
    if (leaving.size > max) {
      const [longest] = leaving;
      longest?.destroy(new Error('cut, because too many like it are still open'));
    }
    this.#busy.delete(connection);
    this.#serveNext(undefined);
  }

  #giveBack(connection: Connection, reusable: boolean): void {
    this.#busy.delete(connection);
    if (!reusable || this.#closed || this.#isExpired(connection)) {
      connection.destroy();
      this.#serveNext(undefined);
      return;
    }
    this.#serveNext(connection);
  }

  #isExpired({ open, openedAt }: Connection): boolean {
    return open && isExpired(openedAt, this.#options.clock.monotonic(), this.#limits);
  }

  #serveNext(free: Connection | undefined): void {
    const oldest = this.#closed ? undefined : this.#waiting.shift();
    if (oldest) {
      oldest.grant(free ?? this.#takeIdle() ?? this.#takeDialled() ?? this.#open());
      return;
    }
    if (!free) return;
    // A place that was given back unused has opened nothing: kept, it would take the room of a
    // connection that is open.
    if (!free.open) {
      free.destroy();
      return;
    }
    this.#idle.push(this.#toIdle(free, free.openedAt));
    while (this.#idle.length > this.#options.maxIdle) this.#idle.shift()?.connection.destroy();
  }

  /** Cuts everything, refuses who waits, and leases nothing afterwards. */
  close(): void {
    this.#closed = true;
    for (const { refuse } of this.#waiting.values()) refuse(shuttingDown());
    this.#waiting.clear();
    for (const connection of [...this.#busy, ...this.#detached, ...this.#detachedSlow]) connection.destroy();
    this.closeIdle();
  }
}

const shuttingDown = (): ProxyError =>
  new ProxyError('shutting-down', 'The proxy is shutting down; the call was not sent.', { sent: 'no' });

interface LeaseOwner {
  giveBack(connection: Connection, reusable: boolean): void;
  leave(connection: Connection, slow: boolean): void;
  slow(lease: Lease): void;
  over(lease: Lease): void;
  another(): Lease | undefined;
  renew(connection: Connection): Lease | undefined;
}

/**
 * One place in a lane, for one request. Given back once, by itself when the answer is complete, or
 * by `cancel`.
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

  /** Opens the socket ahead of the request. */
  dial(): void {
    if (this.#state === 'held') this.#connection.dial();
  }

  /** True once the place is given back: nothing runs here any more. */
  get over(): boolean {
    return this.#state === 'over';
  }

  /** @throws TransportFailure */
  send(request: OutgoingRequest): Promise<Incoming> {
    if (this.#state !== 'held') {
      return Promise.reject(new TransportFailure(new Error('the place was given back'), 'no', false));
    }
    this.#state = 'sending';
    return this.#connection.send(request, (reusable) => this.#finish(reusable));
  }

  /** Cancels when the signal aborts, for as long as something runs here. */
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
   * To be called when a client reads the answer so slowly that the place would carry nothing for
   * long: the next caller that has to wait takes it, while the answer goes on beside.
   */
  markSlow(): void {
    if (this.#state === 'sending') this.#owner.slow(this);
  }

  /**
   * Gives the place to the next caller now, while what runs here goes on; its connection closes
   * when it is through.
   */
  detach({ slow = false }: { slow?: boolean } = {}): void {
    if (this.#state === 'held') this.#finish(true);
    else if (this.#state === 'sending') {
      this.#state = 'left';
      this.#owner.over(this);
      this.#owner.leave(this.#connection, slow);
    }
  }

  /**
   * As `leave`, where something runs here: false where nothing has been sent yet, or all is over.
   */
  yield(): boolean {
    if (this.#state !== 'sending') return false;
    this.detach();
    return true;
  }

  /** A place on a new connection of the same lane, if there is one now. */
  leaseAnother(): Lease | undefined {
    return this.#owner.another();
  }

  /**
   * Cuts what runs here, and takes its place with a new connection; undefined where the place was
   * given back already.
   */
  replaceConnection(reason: Error): Lease | undefined {
    if (this.#state !== 'sending') return undefined;
    this.#state = 'over';
    this.#unlink?.();
    this.#owner.over(this);
    this.#connection.destroy(reason);
    return this.#owner.renew(this.#connection);
  }

  /**
   * Cuts what runs here, and gives the place back if that was not done. Harmless when all is over.
   */
  cancel(reason: Error): void {
    if (this.#state === 'held') this.#finish(true);
    else if (this.#state !== 'over') {
      this.#connection.destroy(reason);
      this.#finish(false);
    }
  }
}
