import type { Id, Request } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import { TransientMap } from '../../core/time/transient-map.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { SettlementObserver } from '../exchange/pending-responses.ts';
import { CANCEL_GRACE_MS } from '../transport/http-attempt.ts';

/** The requests in flight on one session, each with its exchange; they observe their signal. */
export class SessionCalls {
  readonly #clock: Clock;
  readonly #calls = new TransientMap<Id, CarriedCall>();
  readonly #idleWaiters: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get idle(): boolean {
    return this.#calls.size === 0;
  }

  whenIdle(): Promise<void> {
    return this.idle ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** The exchange of a request in flight, or one that may still be cancelled. */
  findExchange(id: Id): Exchange | undefined {
    return this.#calls.get(id)?.exchange;
  }

  /** Registers the calls of one exchange, and observes their cancellation. */
  start(exchange: Exchange, calls: readonly Call[]): Promise<Reply>[] {
    const replies = calls.map((call) => this.#expect(exchange, call));
    // Only after all are registered: a member that is already cancelled must not end the exchange.
    for (const call of calls) this.#watch(exchange, call);
    return replies;
  }

  #expect(exchange: Exchange, { message, signal }: Call): Promise<Reply> {
    if (message.kind !== 'request') return Promise.resolve({ kind: 'accepted' });
    const entry = new CarriedCall(this, exchange, message, signal);
    this.#calls.set(message.id, entry);
    return exchange.expect(message, entry);
  }

  #watch(exchange: Exchange, { message, signal }: Call): void {
    const entry = message.kind === 'request' ? this.#calls.get(message.id) : undefined;
    if (entry?.exchange !== exchange) return;
    if (signal.aborted) entry.handleEvent();
    else signal.addEventListener('abort', entry, { once: true });
  }

  /** Called when a request has its answer or its error. */
  settled(entry: CarriedCall): void {
    const { signal } = entry;
    signal.removeEventListener('abort', entry);
    const forget = (): void => {
      this.#calls.remove(entry.request.id, entry);
      if (this.idle) for (const notify of this.#idleWaiters.splice(0)) notify();
    };
    // A cancelled call stays registered while its cancellation may still arrive.
    if (signal.aborted) this.#clock.schedule(CANCEL_GRACE_MS, forget, { keepAlive: false });
    else forget();
  }
}

/** Observes the end of its request, and its cancellation. */
class CarriedCall implements SettlementObserver {
  readonly #calls: SessionCalls;
  readonly exchange: Exchange;
  readonly request: Request;
  readonly signal: AbortSignal;

  constructor(calls: SessionCalls, exchange: Exchange, request: Request, signal: AbortSignal) {
    this.#calls = calls;
    this.exchange = exchange;
    this.request = request;
    this.signal = signal;
  }

  onSettled(): void {
    this.#calls.settled(this);
  }

  handleEvent(): void {
    this.exchange.abandon(this.request, this.signal.reason);
  }
}
