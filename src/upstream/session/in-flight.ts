import { type Id, idKey } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import { TransientMap } from '../../core/time/transient-map.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { CANCEL_GRACE_MS } from '../transport/http-attempt.ts';

/** The requests in flight on one session, each with its exchange. */
export class SessionCalls {
  readonly #clock: Clock;
  readonly #exchanges = new TransientMap<string, Exchange>();
  readonly #idleWaiters: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get idle(): boolean {
    return this.#exchanges.size === 0;
  }

  /** Resolves when no request is in flight. */
  whenIdle(): Promise<void> {
    return this.idle ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** The exchange of a request in flight, or one that may still be cancelled. */
  findExchange(id: Id): Exchange | undefined {
    return this.#exchanges.get(idKey(id));
  }

  /**
   * Registers the call with the exchange. @returns with `watch`, which makes the exchange observe
   * the call's cancellation.
   */
  expect(exchange: Exchange, call: Call): { reply: Promise<Reply>; watch: () => void } {
    const { message, signal } = call;
    if (message.kind !== 'request') {
      return { reply: Promise.resolve({ kind: 'accepted' }), watch: () => undefined };
    }
    const key = idKey(message.id);
    const leave = (): void => exchange.abandon(message, signal.reason);
    const settled = (): void => {
      signal.removeEventListener('abort', leave);
      // A cancelled call stays registered while its cancellation may still arrive.
      const forget = (): void => {
        if (this.#exchanges.get(key) === exchange) this.#exchanges.delete(key);
        if (this.idle) for (const notify of this.#idleWaiters.splice(0)) notify();
      };
      if (signal.aborted) this.#clock.schedule(CANCEL_GRACE_MS, forget, { keepAlive: false });
      else forget();
    };
    this.#exchanges.set(key, exchange);
    const reply = exchange.expect(message);
    reply.then(settled, settled);
    const watch = (): void => {
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    };
    return { reply, watch };
  }
}
