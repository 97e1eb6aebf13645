import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ProxyError } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';

/**
 * A connection without a request for this long is quiet: a client that sends one at this moment is
 * unlikely. It is also the time that busy connections get to learn that they close.
 */
export const QUIET_MS = 1_000;

/**
 * Decides which response is the last on a connection of a listener that leaves.
 *
 * A load balancer without health checks notices a leaving replica by a refused connection only. If
 * each response closed its connection during --drain-delay, it would open a connection for each
 * request, and the system resets those that arrive while the listening socket closes. So busy
 * connections are kept until no new ones are accepted, and only quiet ones close before.
 */
export class Leaving {
  readonly #clock: Clock;
  readonly #idleSince = new WeakMap<Socket, number>();
  #closesAll = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  markIdle(socket: Socket): void {
    this.#idleSince.set(socket, this.#clock.monotonic());
  }

  /**
   * From now on, each response is the last on its connection.
   * @returns false where that was so before.
   */
  closeAll(): boolean {
    const isFirst = !this.#closesAll;
    this.#closesAll = true;
    return isFirst;
  }

  /** Whether the response to the request that has just arrived is the last. */
  isLast(socket: Socket): boolean {
    if (this.#closesAll) return true;
    const since = this.#idleSince.get(socket);
    return since !== undefined && this.#clock.monotonic() - since >= QUIET_MS;
  }
}

/**
 * Makes a response in flight the last one on its connection.
 * @param socket - undefined where the connection belongs to the program.
 */
export function endAfter(response: ServerResponse, socket: Socket | undefined): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
  // The head did not announce it: the connection ends together with the body.
  else if (socket) response.once('finish', () => socket.destroySoon());
}

/** By then, another replica or the next process serves the address. */
const RETRY_AFTER_MS = 1_000;

const unsent = (text: string): ProxyError =>
  new ProxyError('shutting-down', `The proxy is ending. ${text} It was not sent: send it again.`, {
    sent: 'no',
    retryAfterMs: RETRY_AFTER_MS,
  });

export const refusedAtEnd = unsent('It accepts no new requests.');
export const waitedUntilEnd = unsent('The request still waited at the end of --drain-timeout.');
