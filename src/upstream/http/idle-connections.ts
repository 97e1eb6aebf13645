import type { Clock } from '../../core/time/clock.ts';
import type { Connection } from './connection.ts';
import { type IdleTime, isExpired, mayReuse, type ReuseLimits } from './reuse.ts';

export interface IdleConnectionsOptions extends ReuseLimits {
  /** Idle connections kept open; 0 closes each after its response. */
  readonly maxIdle: number;
  readonly clock: Clock;
}

interface IdleConnection extends IdleTime {
  readonly connection: Connection;
}

/** The open connections of a pool that carry no request. */
export class IdleConnections {
  readonly #options: IdleConnectionsOptions;
  /**
   * Last in, first out: the surplus of a burst stays unused and falls to the keep-alive limit or
   * its timeout.
   */
  readonly #kept: IdleConnection[] = [];
  /** A connection opened ahead of its request; at most one, not counted as kept. */
  #dialled: IdleConnection | undefined;
  #dialledUntil: NodeJS.Timeout | undefined;

  constructor(options: IdleConnectionsOptions) {
    this.#options = options;
  }

  /** Connections that have carried a request before. */
  get size(): number {
    return this.#kept.length;
  }

  /** True where one is ready, or being opened ahead of its request. */
  get hasAny(): boolean {
    return this.#kept.length > 0 || this.#dialled !== undefined;
  }

  /**
   * The most recently used connection that is still usable.
   * @param maxIdleMs - the longest idle time that the request accepts; undefined = no own limit.
   */
  take(maxIdleMs?: number): Connection | undefined {
    for (let idle = this.#kept.pop(); idle; idle = this.#kept.pop()) {
      const usable = this.#usable(idle, maxIdleMs);
      if (usable) return usable;
    }
    return undefined;
  }

  /** Keeps a connection after its response; the one that is unused for longest has to leave. */
  keep(connection: Connection): void {
    this.#kept.push(this.#toIdle(connection, connection.openedAt));
    while (this.#kept.length > this.#options.maxIdle) this.#kept.shift()?.connection.destroy();
  }

  /** Forgets a connection that has closed. */
  remove(connection: Connection): void {
    const at = this.#kept.findIndex((idle) => idle.connection === connection);
    if (at >= 0) this.#kept.splice(at, 1);
  }

  /** Opens this connection ahead of its request. */
  dial(connection: Connection): void {
    const { clock, keepAliveTimeoutMs } = this.#options;
    const drop = (): void => {
      if (this.#dialled?.connection === connection) this.takeDialled();
      connection.destroy();
    };
    this.#dialled = this.#toIdle(connection, clock.monotonic());
    // An unused one is closed like any idle connection.
    this.#dialledUntil = setTimeout(drop, keepAliveTimeoutMs).unref();
    connection.dial(drop);
  }

  takeDialled(maxIdleMs?: number): Connection | undefined {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    clearTimeout(this.#dialledUntil);
    return dialled && this.#usable(dialled, maxIdleMs);
  }

  /** True where the connection is older than its lifetime. */
  isExpired({ open, openedAt }: Connection): boolean {
    const { clock, lifetimeMs } = this.#options;
    return lifetimeMs > 0 && open && isExpired(openedAt, clock.monotonic(), this.#options);
  }

  /** Closes connections that have been idle since then (monotonic). */
  close(since: number): void {
    if (this.#dialled && this.#dialled.idleSince <= since) this.takeDialled()?.destroy();
    const resting = this.#kept.filter(({ idleSince }) => idleSince <= since);
    for (const idle of resting) {
      this.#kept.splice(this.#kept.indexOf(idle), 1);
      idle.connection.destroy();
    }
  }

  #toIdle(connection: Connection, openedAt: number): IdleConnection {
    const { clock } = this.#options;
    return { connection, openedAt, idleSince: clock.monotonic(), idleSinceWall: clock.now() };
  }

  #usable(idle: IdleConnection, maxIdleMs?: number): Connection | undefined {
    const { clock } = this.#options;
    const now = { monotonic: clock.monotonic(), wall: clock.now() };
    if (mayReuse(idle, now, this.#options, maxIdleMs)) return idle.connection;
    idle.connection.destroy();
    return undefined;
  }
}
