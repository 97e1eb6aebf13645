import { createServer, type Server, type Socket } from 'node:net';

/** Counts a server's TCP connections and gives each its ordinal, from 1 in the order of arrival. */
export class Connections {
  readonly #ordinals = new WeakMap<Socket, number>();
  readonly #live = new Set<Socket>();
  /** Every TCP socket, also those that never finish a TLS handshake. */
  readonly #raw = new Set<Socket>();
  #opened = 0;
  #peak = 0;

  /** @param event - `secureConnection` for a TLS server, whose requests come on the TLS socket. */
  constructor(server: Server, event: 'connection' | 'secureConnection' = 'connection') {
    server.on('connection', (socket: Socket) => {
      this.#raw.add(socket);
      socket.on('close', () => this.#raw.delete(socket));
    });
    server.on(event, (socket: Socket) => {
      this.#opened += 1;
      this.#ordinals.set(socket, this.#opened);
      this.#live.add(socket);
      this.#peak = Math.max(this.#peak, this.#live.size);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#live.delete(socket));
    });
  }

  get opened(): number {
    return this.#opened;
  }

  /** Open at this moment. */
  get open(): number {
    return this.#live.size;
  }

  /** The most that were ever open at once. */
  get peak(): number {
    return this.#peak;
  }

  ordinal(socket: Socket): number {
    return this.#ordinals.get(socket) ?? 0;
  }

  destroyAll(): void {
    for (const socket of [...this.#live, ...this.#raw]) socket.destroy();
  }
}

/** Listens on a free loopback port. */
export async function listenOnLoopback(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/**
 * A port that was free a moment ago, for what must be told its port, or comes later than the one
 * who asks for it.
 */
export async function freePort(): Promise<number> {
  const probe = createServer();
  const port = await listenOnLoopback(probe);
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/**
 * A name that nothing resolves, not even a DNS that has an answer for every name: no label may be
 * as long as its first.
 */
export const NO_SUCH_HOST = `${'n'.repeat(64)}.invalid`;

/** Stops listening and cuts what is open. */
export async function shut(server: Server, connections: Connections): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  connections.destroyAll();
  await closed;
}
