import { shuttingDown } from '../../core/errors/errors.ts';
import { FairQueue, type Share } from '../../core/pipeline/fair-queue.ts';
import type { Clock } from '../../core/time/clock.ts';
import { WaitQueue } from '../../core/time/wait-queue.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { IdleConnections } from './idle-connections.ts';
import { Lease, type LeaseOwner } from './lease.ts';

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

/** Which connection a request accepts. */
export interface Wanted {
  /** A connection that has carried nothing yet, for what a kept one has just failed. */
  readonly fresh?: boolean | undefined;
  /** An open connection that has been idle for longer is replaced by a new one. */
  readonly maxIdleMs?: number | undefined;
}

/** The place that a caller requests. */
export interface ConnectionPlace extends Wanted {
  /** The share in the queue; callers without one share one. */
  readonly share?: Share | undefined;
}

/**
 * A bounded connection pool with a queue. Decisions are synchronous: in undici's Pool a waiting
 * request could not be cancelled, and idle connections not be counted.
 */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  /** Shared by all connections: each one would hold its own. */
  readonly #connectionOptions: ConnectionOptions;
  readonly #idle: IdleConnections;
  readonly #busy = new Set<Connection>();
  /** Connections outside the limit on which a request still runs. */
  readonly #detached = new Set<Connection>();
  /** Connections outside the limit whose clients read slowly. */
  readonly #detachedSlow = new Set<Connection>();
  /** Leases of slow clients that still count, because no caller has needed them; longest first. */
  readonly #slow = new Set<Lease>();
  readonly #waiting = new WaitQueue<Lease, ConnectionPlace>({
    order: new FairQueue(({ share }) => share),
    // The caller knows what it has waited for, and whether anything was sent.
    toError: (reason) => reason,
  });
  /** The methods that leases call on their pool. */
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
    this.#idle = new IdleConnections(options);
    const { clock, onOpen, onClose } = options;
    this.#connectionOptions = {
      ...options,
      onOpen: (connection) => {
        connection.openedAt = clock.monotonic();
        onOpen();
      },
      onClose: (connection) => {
        this.#idle.remove(connection);
        onClose();
      },
    };
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get active(): number {
    return this.#busy.size;
  }

  get idle(): number {
    return this.#idle.size;
  }

  /** Takes a lease if one is free. Most calls need not wait, and so need no promise. */
  tryLease(wanted: Wanted = {}): Lease | undefined {
    if (this.#closed) return undefined;
    if (this.#busy.size >= this.#options.max) this.#makeRoom();
    // A caller that waited longer may have taken it.
    if (this.#busy.size >= this.#options.max) return undefined;
    return this.#grant(this.#pick(this.#idle.take(wanted.maxIdleMs), wanted));
  }

  /**
   * Takes an idle connection for work that yields to any request; undefined if all are in use.
   */
  tryYieldingLease(): Lease | undefined {
    if (this.#idle.size === 0 || this.#busy.size >= this.#options.max) return undefined;
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
    return this.#idle.hasAny ? this.tryLease(wanted) : undefined;
  }

  /** Opens one connection ahead of its request, unless one is ready. */
  dial(): void {
    if (this.#closed || this.#idle.hasAny) return;
    if (this.#busy.size < this.#options.max) this.#idle.dial(this.#open());
  }

  /** Takes a lease, waiting in turn. Rejects with the signal's reason as soon as it aborts. */
  lease(signal: AbortSignal, place: ConnectionPlace = {}): Promise<Lease> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#closed) return Promise.reject(shuttingDown());
    const free = this.tryLease(place) ?? (this.#displaceSlow() ? this.tryLease(place) : undefined);
    if (free) return Promise.resolve(free);
    const turn = this.#waiting.wait(signal, place);
    this.#options.onWait?.();
    return turn;
  }

  #pick(kept: Connection | undefined, { fresh = false, maxIdleMs }: Wanted): Connection {
    if (kept && !fresh) return kept;
    kept?.destroy();
    return (fresh ? undefined : this.#idle.takeDialled(maxIdleMs)) ?? this.#open();
  }

  #open(): Connection {
    return new Connection(this.#connectionOptions);
  }

  /**
   * Closes connections that have been idle since then (monotonic), after one of them turned out to
   * be dead.
   */
  closeIdle(since = Number.POSITIVE_INFINITY): void {
    this.#idle.close(since);
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
    if (!reusable || this.#closed || this.#idle.isExpired(connection)) {
      connection.destroy();
      this.#serveNext(undefined);
      return;
    }
    this.#serveNext(connection);
  }

  #serveNext(free: Connection | undefined): void {
    const served =
      !this.#closed &&
      this.#waiting.serve((wanted) => {
        const connection = free ?? this.#idle.take(wanted.maxIdleMs);
        return this.#grant(this.#pick(connection, wanted));
      });
    if (served) return;
    if (!free) return;
    // A lease returned unused may have opened no socket; keeping it would displace an open one.
    if (!free.open) {
      free.destroy();
      return;
    }
    this.#idle.keep(free);
  }

  /** Closes all connections and refuses waiting callers, now and later. */
  close(): void {
    this.#closed = true;
    this.#waiting.refuse(shuttingDown);
    for (const connection of [...this.#busy, ...this.#detached, ...this.#detachedSlow]) connection.destroy();
    this.closeIdle();
  }
}
