import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A request in flight on a connection; pipelining clients have several. */
export interface ActiveRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Name of the token that the request presented. */
  readonly token: string | undefined;
  /** Ends it. Needed because Node emits no event for a queued response whose connection breaks. */
  readonly end: () => void;
}

/** The requests in flight on each connection of a listener. */
export class ActiveRequests {
  readonly #active = new WeakMap<Socket, ActiveRequest[]>();
  /** Connections whose last response was sent. */
  readonly #ending = new WeakSet<Socket>();
  /** `bytesRead` after the last response. While unchanged, the connection is idle. */
  readonly #bytesWhenIdle = new WeakMap<Socket, number>();
  readonly #onIdle: (socket: Socket) => void;

  /** @param onIdle - called after each response that has ended. */
  constructor(onIdle: (socket: Socket) => void) {
    this.#onIdle = onIdle;
  }

  on(socket: Socket): ActiveRequest[] {
    const known = this.#active.get(socket);
    if (known) return known;
    const none: ActiveRequest[] = [];
    this.#active.set(socket, none);
    return none;
  }

  /**
   * Records a request until its response has closed.
   * @param ended - called at its end, once.
   * @returns what ends it before.
   */
  track(
    request: IncomingMessage,
    response: ServerResponse,
    token?: string,
    ended: () => void = ignore,
  ): () => void {
    const { socket } = request;
    const all = this.on(socket);
    const over = (): void => {
      const at = all.indexOf(active);
      if (at < 0) return;
      all.splice(at, 1);
      ended();
      this.markIdle(socket);
    };
    const active: ActiveRequest = { request, response, token, end: over };
    all.push(active);
    response.on('close', over);
    return over;
  }

  /** Ends all requests of a connection that has closed. */
  endAll(socket: Socket): void {
    for (const { end } of [...(this.#active.get(socket) ?? [])]) end();
  }

  isBusy(socket: Socket): boolean {
    return this.on(socket).length > 0;
  }

  /** Records that a response has ended: further bytes belong to the next request. */
  markIdle(socket: Socket): void {
    this.#bytesWhenIdle.set(socket, socket.bytesRead);
    this.#onIdle(socket);
  }

  /** True for a connection without a request or a part of one. */
  isIdle(socket: Socket): boolean {
    return !this.isBusy(socket) && this.#bytesWhenIdle.get(socket) === socket.bytesRead;
  }

  /** Makes the response the last one on its connection. */
  markLast(request: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive = false;
    this.#ending.add(request.socket);
  }

  /** True after the last response: further requests are ignored (RFC 9112, 9.6). */
  isEnding(socket: Socket): boolean {
    return this.#ending.has(socket);
  }

  /** Whether bytes written now would be read as part of the response to a valid request. */
  isMidResponse(socket: Socket): boolean {
    return this.on(socket).some(({ request, response }) => request.complete || response.headersSent);
  }
}

const ignore = (): void => undefined;
