import type { Socket } from 'node:net';
import { isLoopback } from '../../core/http/loopback.ts';

/**
 * Connections without an admitted request, in addition to --max-clients. They keep health checks
 * and refusals possible when all clients are busy.
 */
export const MAX_UNADMITTED = 64;
/** The same for one address that has reached its limit. */
const MAX_UNADMITTED_OF_FULL_ADDRESS = 8;

export interface ConnectionLimits {
  readonly maxClients: number;
  /** Limit for one address; undefined where the option was not given. */
  readonly maxClientsPerAddress: number | undefined;
}

interface TrackedConnection {
  readonly socket: Socket;
  readonly address: string;
  readonly group: AddressGroup;
  admitted: boolean;
}

/** The connections of one address. */
interface AddressGroup {
  readonly limit: number;
  /** The oldest first. */
  readonly admitted: Set<TrackedConnection>;
  readonly unadmitted: Set<TrackedConnection>;
}

/** The limit that an additional client would exceed. */
export type ExceededLimit = 'clients' | 'address';

/**
 * The open connections of the listener. A connection counts as a client when its first request is
 * admitted. Connections without one are closed first, oldest first, when the limits are reached.
 * Sockets are closed by the `close` callback only, so that tests need none.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #close: (socket: Socket, address: string) => void;
  readonly #isIdle: (socket: Socket) => boolean;
  readonly #tracked = new Map<Socket, TrackedConnection>();
  readonly #groups = new Map<string, AddressGroup>();
  /** The oldest first. */
  readonly #admitted = new Set<TrackedConnection>();
  readonly #unadmitted = new Set<TrackedConnection>();

  /**
   * @param isIdle - returns whether no request is under way on a connection: an idle connection
   * makes room for one with a request.
   */
  constructor(
    limits: ConnectionLimits,
    isIdle: (socket: Socket) => boolean,
    close: (socket: Socket, address: string) => void,
  ) {
    this.#limits = limits;
    this.#isIdle = isIdle;
    this.#close = close;
  }

  get size(): number {
    return this.#tracked.size;
  }

  get sockets(): readonly Socket[] {
    return [...this.#tracked.keys()];
  }

  addressOf(socket: Socket): string {
    return this.#tracked.get(socket)?.address ?? '';
  }

  add(socket: Socket, remoteAddress: string | undefined): void {
    const address = plainAddress(remoteAddress);
    const group = this.#groupOf(address);
    const added: TrackedConnection = { socket, address, group, admitted: false };
    this.#tracked.set(socket, added);
    this.#unadmitted.add(added);
    group.unadmitted.add(added);
    const { maxClients } = this.#limits;
    while (
      group.admitted.size + group.unadmitted.size > group.limit &&
      group.unadmitted.size > MAX_UNADMITTED_OF_FULL_ADDRESS
    ) {
      this.#evict(group.unadmitted);
    }
    while (this.#tracked.size > maxClients && this.#unadmitted.size > MAX_UNADMITTED) {
      this.#evict(this.#unadmitted);
    }
  }

  /**
   * Call this for each admitted request: it counts the connection as a client.
   * @returns the limit that is exceeded, or undefined.
   */
  admit(socket: Socket): ExceededLimit | undefined {
    const tracked = this.#tracked.get(socket);
    if (!tracked || tracked.admitted) return undefined;
    const { group } = tracked;
    if (group.admitted.size >= group.limit && !this.#evictIdle(group.admitted)) return 'address';
    if (this.#admitted.size >= this.#limits.maxClients && !this.#evictIdle(this.#admitted)) return 'clients';
    tracked.admitted = true;
    this.#unadmitted.delete(tracked);
    group.unadmitted.delete(tracked);
    this.#admitted.add(tracked);
    group.admitted.add(tracked);
    return undefined;
  }

  /** Call this when the socket closes. Harmless when it was closed here. */
  remove(socket: Socket): void {
    const tracked = this.#tracked.get(socket);
    if (!tracked) return;
    const { group } = tracked;
    this.#tracked.delete(socket);
    for (const set of [this.#admitted, this.#unadmitted, group.admitted, group.unadmitted])
      set.delete(tracked);
    const key = groupKey(tracked.address);
    if (group.admitted.size + group.unadmitted.size === 0) this.#groups.delete(key);
  }

  #evict(among: ReadonlySet<TrackedConnection>): void {
    for (const { socket, address } of among) {
      this.remove(socket);
      this.#close(socket, address);
      return;
    }
  }

  #evictIdle(among: ReadonlySet<TrackedConnection>): boolean {
    for (const { socket, address } of among) {
      if (!this.#isIdle(socket)) continue;
      this.remove(socket);
      this.#close(socket, address);
      return true;
    }
    return false;
  }

  #groupOf(address: string): AddressGroup {
    const key = groupKey(address);
    const found = this.#groups.get(key);
    if (found) return found;
    const limit = addressLimit(address, this.#limits);
    const group: AddressGroup = { limit, admitted: new Set(), unadmitted: new Set() };
    this.#groups.set(key, group);
    return group;
  }
}

/**
 * The limit for one address: three quarters of all, so that no address can take all connections.
 * Loopback addresses have no such limit, because all local clients, or those of a reverse proxy,
 * share one. Infinity where only --max-clients applies. Pure.
 */
export function addressLimit(
  address: string,
  { maxClients, maxClientsPerAddress }: ConnectionLimits,
): number {
  const shared = address === '' || isLoopback(address);
  const limit = maxClientsPerAddress ?? (shared ? maxClients : Math.ceil((maxClients * 3) / 4));
  return limit < maxClients ? limit : Number.POSITIVE_INFINITY;
}

/** Removes the IPv6 prefix of a mapped IPv4 address. */
export const plainAddress = (address = ''): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

/** Groups IPv6 addresses by /64, because one host owns such a network. Pure. */
export function groupKey(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('%', 1)[0]?.split('::', 2) ?? [];
  const before = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::')
    ? Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0')
    : [];
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`;
}
