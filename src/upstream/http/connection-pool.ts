import { shuttingDown } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { Connection, type ConnectionOptions, type OutgoingRequest, TransportFailure } from './connection.ts';
import { FairQueue, type Share } from './fair-queue.ts';
import type { Incoming } from './incoming.ts';
import { type IdleTime, isExpired, mayReuse, type ReuseLimits } from './reuse.ts';

export interface ConnectionPoolOptions extends Omit<ConnectionOptions, 'onOpen' | 'onClose'> {
  /** Connections in use at once; further callers wait in order. */
  readonly max: number;
  /** Idle connections kept open; 0 closes each after its response. */
  readonly maxIdle: number;
  /**
   * Milliseconds after which a returned connection is closed, so that DNS is resolved again; 0 = no
   * limit.
   */
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly onOpen: () => void;
  readonly onClose: () => void;
  /** Called whenever a caller begins to wait. */
  readonly onWait?: () => void;
}

/** Responses to slow clients beyond --max-connections. Each costs a connection and buffers. */
const MAX_SLOW_ANSWERS = 32;

interface IdleConnection extends IdleTime {
  readonly connection: Connection;
}

/** Which connection a request accepts. */
export interface Wanted {
  /** A connection that has carried nothing yet, for what a kept one has just failed. */
  readonly fresh?: boolean | undefined;
  /** An open connection that has been idle for longer is replaced by a new one. */
  readonly maxIdleMs?: number | undefined;
}

interface ConnectionWaiter {
  readonly maxIdleMs: number | undefined;
  readonly grant: (connection: Connection) => void;
  readonly refuse: (error: Error) => void;
}

/**
 * A bounded connection pool with a queue. Decisions are synchronous: in undici's Pool a waiting
 * request could not be cancelled, and idle connections not be counted.
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
  /** A connection opened ahead of its request; at most one, not counted as idle. */
  #dialled: IdleConnection | undefined;
  #dialledUntil: NodeJS.Timeout | undefined;
  /** Connections outside the limit on which a request still runs. */
  readonly #detached = new Set<Connection>();
  /** Connections outside the limit whose clients read slowly. */
  readonly #detachedSlow = new Set<Connection>();
  /** Leases of slow clients that still count, because no caller has needed them; longest first. */
  readonly #slow = new Set<Lease>();
  readonly #waiting = new FairQueue<ConnectionWaiter>();
  /** What leases call on their pool. */
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
  /** Leases that yield as soon as a request needs them, oldest first. */
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

  /** Takes a lease if one is free. Most calls need not wait, and so need no promise. */
  tryLease({ fresh = false, maxIdleMs }: Wanted = {}): Lease | undefined {
    if (this.#closed) return undefined;
    if (this.#busy.size >= this.#options.max) this.#makeRoom();
    // A caller that waited longer may have taken it.
    if (this.#busy.size >= this.#options.max) return undefined;
    return this.#grant(this.#pick(this.#takeIdle(maxIdleMs), fresh, maxIdleMs));
  }

  /**
   * Takes an idle connection for work that yields to any request; undefined if all are in use.
   */
  tryYieldingLease(): Lease | undefined {
    if (this.#idle.length === 0 || this.#busy.size >= this.#options.max) return undefined;
    const lease = this.tryOpenLease();
    if (!lease) return undefined;
    this.#yieldingLeases.add(lease);
    return lease;
  }

  /**
   * Frees the slot of a yielding lease. Its request goes on, and its connection closes afterwards.
   */
  #makeRoom(): void {
    for (const lease of this.#yieldingLeases) {
      if (lease.yield()) return;
    }
  }

  /** Takes a lease on an open connection; undefined if none is open and idle. */
  tryOpenLease(wanted?: Wanted): Lease | undefined {
    const kept = this.#idle.length > 0 || this.#dialled !== undefined;
    return kept ? this.tryLease(wanted) : undefined;
  }

  /** Opens one connection ahead of its request, unless one is ready. */
  dial(): void {
    if (this.#closed || this.#dialled || this.#idle.length > 0) return;
    if (this.#busy.size >= this.#options.max) return;
    const connection = this.#open();
    const drop = (): void => {
      if (this.#dialled?.connection === connection) this.#takeDialled();
      connection.destroy();
    };
    this.#dialled = this.#toIdle(connection, this.#options.clock.monotonic());
    // An unused one is closed like any idle connection.
    this.#dialledUntil = setTimeout(drop, this.#options.keepAliveTimeoutMs).unref();
    connection.dial(drop);
  }

  #takeDialled(maxIdleMs?: number): Connection | undefined {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    clearTimeout(this.#dialledUntil);
    return dialled && this.#usable(dialled, maxIdleMs);
  }

  /**
   * Takes a lease, waiting in turn. Rejects with the signal's reason as soon as it aborts.
   * @param options.share - whose turn is waited for; callers without one have a share together.
   */
  lease(
    signal: AbortSignal,
    { fresh = false, maxIdleMs, share }: Wanted & { share?: Share | undefined } = {},
  ): Promise<Lease> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#closed) {
        reject(signal.aborted ? signal.reason : shuttingDown());
        return;
      }
      const wanted = { fresh, maxIdleMs };
      const free = this.tryLease(wanted) ?? (this.#displaceSlow() ? this.tryLease(wanted) : undefined);
      if (free) {
        resolve(free);
        return;
      }
      const leave = (): void => {
        forget();
        reject(signal.reason);
      };
      const waiter: ConnectionWaiter = {
        maxIdleMs,
        grant: (connection) => {
          signal.removeEventListener('abort', leave);
          resolve(this.#grant(this.#pick(connection, fresh, maxIdleMs)));
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

  #pick(kept: Connection | undefined, fresh: boolean, maxIdleMs: number | undefined): Connection {
    if (kept && !fresh) return kept;
    kept?.destroy();
    return (fresh ? undefined : this.#takeDialled(maxIdleMs)) ?? this.#open();
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

  /** The most recently used idle connection that is still usable. */
  #takeIdle(maxIdleMs: number | undefined): Connection | undefined {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      const usable = this.#usable(idle, maxIdleMs);
      if (usable) return usable;
    }
    return undefined;
  }

  #toIdle(connection: Connection, openedAt: number): IdleConnection {
    const { clock } = this.#options;
    return { connection, openedAt, idleSince: clock.monotonic(), idleSinceWall: clock.now() };
  }

  #usable(idle: IdleConnection, maxIdleMs: number | undefined): Connection | undefined {
    const { clock } = this.#options;
    const now = { monotonic: clock.monotonic(), wall: clock.now() };
    if (mayReuse(idle, now, this.#limits, maxIdleMs)) return idle.connection;
    idle.connection.destroy();
    return undefined;
  }

  /**
   * Closes connections that have been idle since then (monotonic), after one of them turned out to
   * be dead.
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
   * Detaches the response that its client has read slowly for longest; false without a slow one.
   */
  #displaceSlow(): boolean {
    const [slow] = this.#slow;
    slow?.detach({ slow: true });
    return slow !== undefined;
  }

  #detach(connection: Connection, leaving: Set<Connection>, max: number): void {
    leaving.add(connection);
    // Bounds the sockets of servers that never end streams and of clients that never read.
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
      const { maxIdleMs } = oldest;
      oldest.grant(free ?? this.#takeIdle(maxIdleMs) ?? this.#takeDialled(maxIdleMs) ?? this.#open());
      return;
    }
    if (!free) return;
    // A lease returned unused may have opened no socket; keeping it would displace an open one.
    if (!free.open) {
      free.destroy();
      return;
    }
    this.#idle.push(this.#toIdle(free, free.openedAt));
    while (this.#idle.length > this.#options.maxIdle) this.#idle.shift()?.connection.destroy();
  }

  /** Closes all connections and refuses waiting callers, now and later. */
  close(): void {
    this.#closed = true;
    for (const { refuse } of this.#waiting.values()) refuse(shuttingDown());
    this.#waiting.clear();
    for (const connection of [...this.#busy, ...this.#detached, ...this.#detachedSlow]) connection.destroy();
    this.closeIdle();
  }
}

interface LeaseOwner {
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
      return Promise.reject(new TransportFailure(new Error('the place was given back'), 'no', false));
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
