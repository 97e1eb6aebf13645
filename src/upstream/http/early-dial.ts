import type { Socket } from 'node:net';
import type { ConnectCallback, ConnectOptions, Connector } from './undici.ts';

/**
 * Opens the socket of one connection before its first request, so that the handshake overlaps with
 * another wait.
 */
export class EarlyDial {
  readonly #connector: Connector;
  #dialled: Dialled | undefined;

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** True while a socket waits for its first request. */
  get ready(): boolean {
    return this.#dialled?.usable ?? false;
  }

  /** Dials `origin` now. `onGone` runs if the socket fails or closes before a request takes it. */
  start(origin: string, onGone: () => void = () => undefined): void {
    if (this.#dialled) return;
    const dialled: Dialled = new Dialled(() => {
      if (this.#dialled === dialled) this.#dialled = undefined;
      onGone();
    });
    this.#dialled = dialled;
    this.#connector(optionsOf(origin), dialled.settle);
  }

  /** Closes a socket that no request has taken. */
  drop(): void {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    dialled?.drop();
  }

  /** The connector of the connection's client: hands over the dialled socket, or opens one. */
  readonly connect: Connector = (options, callback) => {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    if (dialled) dialled.take(callback);
    else this.#connector(options, callback);
  };
}

/** One socket from its dialling until a request takes it. */
class Dialled {
  readonly #onGone: () => void;
  #socket: Socket | undefined;
  #callback: ConnectCallback | undefined;
  #over = false;

  constructor(onGone: () => void) {
    this.#onGone = onGone;
  }

  get usable(): boolean {
    return this.#socket !== undefined && !this.#over;
  }

  readonly settle: ConnectCallback = (...outcome) => {
    const [error, socket] = outcome;
    if (this.#callback) this.#callback(...outcome);
    else if (this.#over) socket?.destroy();
    else if (error || !socket) this.#gone();
    else {
      this.#socket = socket;
      // The first readable event before any request is the server's FIN, or bytes that answer
      // nothing.
      socket.once('readable', this.#gone).once('close', this.#gone).once('error', this.#gone);
    }
  };

  take(callback: ConnectCallback): void {
    const socket = this.#socket;
    this.#over = true;
    if (!socket) {
      this.#callback = callback;
      return;
    }
    socket.off('readable', this.#gone).off('close', this.#gone).off('error', this.#gone);
    // undici ignores a connector that calls back before it returns.
    queueMicrotask(() => callback(null, socket));
  }

  drop(): void {
    this.#over = true;
    this.#socket?.destroy();
  }

  readonly #gone = (): void => {
    if (this.#over) return;
    this.drop();
    this.#onGone();
  };
}

/** The options that undici's client passes to its connector for the same origin. */
function optionsOf(origin: string): ConnectOptions {
  const { host, hostname, protocol, port } = new URL(origin);
  return { host, hostname: hostname.replace(/^\[|\]$/g, ''), protocol, port };
}
