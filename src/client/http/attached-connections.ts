import type { Socket } from 'node:net';
import { type ExceededLimit, plainAddress } from './connections.ts';

/**
 * The connections of a server of the program that have carried an MCP request. They are the
 * server's to limit: they may carry requests of others, so none is closed to make room.
 */
export class AttachedConnections {
  readonly #addresses = new Map<Socket, string>();

  get size(): number {
    return this.#addresses.size;
  }

  get sockets(): readonly Socket[] {
    return [...this.#addresses.keys()];
  }

  has(socket: Socket): boolean {
    return this.#addresses.has(socket);
  }

  addressOf(socket: Socket): string {
    return this.#addresses.get(socket) ?? '';
  }

  add(socket: Socket, remoteAddress: string | undefined): void {
    this.#addresses.set(socket, plainAddress(remoteAddress));
  }

  admit(_socket: Socket): ExceededLimit | undefined {
    return undefined;
  }

  remove(socket: Socket): void {
    this.#addresses.delete(socket);
  }
}
