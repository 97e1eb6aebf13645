import { type Message, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';

/** A server that is slow to accept one notification must not hold up all that follow. */
const NOTIFICATION_WAIT_MS = 1_000;
/**
 * Servers accept `initialized` at once; one that does not must not use up the time of the first
 * calls.
 */
const INITIALIZED_WAIT_MS = 10_000;

/**
 * The order of messages to the server. Clients need not wait for the handshake, and servers reject
 * what arrives before it. So every message waits for an earlier `initialize` and `initialized`,
 * notifications wait for each other, and nothing else waits.
 */
export class Order {
  readonly #clock: Clock;
  #handshake: Promise<void> | undefined;
  #notifications: Promise<unknown> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True for a request that waits for no other message, and that no other waits for. */
  isFree(request: Request): boolean {
    return statedVersion(request) !== undefined || (!this.#handshake && request.method !== 'initialize');
  }

  /** Runs `send` when the message's turn comes; at once where nothing precedes it. */
  schedule<T>(message: Message, send: () => Promise<T>): Promise<T> {
    if (message.kind === 'response' || statedVersion(message) !== undefined) return send();
    if (message.method === 'notifications/cancelled') return send();
    const before = message.kind === 'notification' ? this.#beforeNotification() : this.#handshake;
    const done = before ? before.then(send) : send();
    if (message.kind === 'request' && message.method !== 'initialize') return done;
    const settled = done.then(
      () => undefined,
      () => undefined,
    );
    if (message.method === 'initialize') this.#setBarrier(settled);
    else if (message.method === 'notifications/initialized') {
      this.#setBarrier(settleWithin(this.#clock, INITIALIZED_WAIT_MS, settled));
    }
    if (message.kind === 'notification') this.#notifications = settled;
    return done;
  }

  #beforeNotification(): Promise<unknown> | undefined {
    const last = this.#notifications;
    if (!last) return this.#handshake;
    return Promise.all([this.#handshake, settleWithin(this.#clock, NOTIFICATION_WAIT_MS, last)]);
  }

  #setBarrier(settled: Promise<void>): void {
    const barrier = settled.then(() => {
      if (this.#handshake === barrier) this.#handshake = undefined;
    });
    this.#handshake = barrier;
  }
}
