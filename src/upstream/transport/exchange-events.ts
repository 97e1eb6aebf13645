import { causeText } from '../../core/errors/errors.ts';
import type { Events, ProxyEvent } from '../../core/pipeline/events.ts';
import type { Span } from '../../core/pipeline/span.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ExchangeObserver } from '../http/connection.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';

/** A request, as far as its events state it. */
export type ExchangeFacts = Pick<
  Extract<ProxyEvent, { type: 'http.request' }>,
  'profile' | 'call' | 'method' | 'lane' | 'bytes' | 'attempt' | 'signed'
>;

/** Shared by all transports: the number identifies the request in the process. */
let exchanges = 0;

/**
 * Reports one HTTP request: its begin, the head of its response, its end. Created only where an
 * observer wants calls. A class, because closures would be created per request.
 */
export class ReportedExchange implements ExchangeObserver {
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #profile: string;
  readonly #call: number | undefined;
  readonly #span: Span | undefined;
  readonly #number = ++exchanges;
  readonly #since: number;

  /** @param span - ends with the head of the response. */
  constructor(events: Events, clock: Clock, facts: ExchangeFacts, span: Span | undefined) {
    const { profile, call, method, lane, bytes, attempt, signed } = facts;
    this.#events = events;
    this.#clock = clock;
    this.#profile = profile;
    this.#call = call;
    this.#span = span;
    this.#since = clock.monotonic();
    const exchange = this.#number;
    events.emitOfCall({
      type: 'http.request',
      profile,
      exchange,
      call,
      method,
      lane,
      bytes,
      attempt,
      signed,
    });
  }

  responded({ status, headers }: Incoming): void {
    endWithStatus(this.#span, status);
    // Only the log tells more of it than its end does.
    if (!this.#events.detailed) return;
    this.#events.emitOfCall({
      type: 'http.response',
      profile: this.#profile,
      exchange: this.#number,
      call: this.#call,
      status,
      ms: this.#clock.monotonic() - this.#since,
      contentType: headerOf(headers, 'content-type'),
      date: headerOf(headers, 'date'),
    });
  }

  ended({ status, receivedBytes }: Incoming, error: Error | undefined): void {
    this.#end(status, receivedBytes, error);
  }

  failed(error: Error): void {
    endUnanswered(this.#span, error);
    this.#end(undefined, 0, error);
  }

  #end(status: number | undefined, bytes: number, error: Error | undefined): void {
    this.#events.emitOfCall({
      type: 'http.ended',
      profile: this.#profile,
      exchange: this.#number,
      call: this.#call,
      status,
      bytes,
      ms: this.#clock.monotonic() - this.#since,
      error: error === undefined ? undefined : causeText(error),
    });
  }
}

/**
 * Ends the span of a request with the head of its response: the body may last as long as the call.
 */
export class SpannedExchange implements ExchangeObserver {
  readonly #span: Span;

  constructor(span: Span) {
    this.#span = span;
  }

  responded({ status }: Incoming): void {
    endWithStatus(this.#span, status);
  }

  ended(): void {}

  failed(error: Error): void {
    endUnanswered(this.#span, error);
  }
}

const endWithStatus = (span: Span | undefined, status: number): void => span?.end({ status });

const endUnanswered = (span: Span | undefined, error: Error): void =>
  span?.end({ errorType: 'connection-lost', message: causeText(error) });
