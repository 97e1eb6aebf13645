import { causeText } from '../../core/errors/errors.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { Events, ProxyEvent } from '../../core/pipeline/events.ts';
import type { ExchangeMeter } from '../../core/pipeline/exchange-meter.ts';
import type { Span } from '../../core/pipeline/span.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ExchangeObserver } from '../http/connection.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';

/** The parts that the reports of one transport share. */
export interface ExchangeReportsDeps {
  readonly profile: string;
  readonly events: Events;
  readonly clock: Clock;
}

/** A request, as far as its report states it. */
export interface ReportedRequest {
  readonly method: string;
  readonly lane: string;
  readonly record?: CallRecord | undefined;
}

/** Shared by all transports: the number identifies the request in the process. */
let exchanges = 0;

/** Reports the HTTP requests of one transport to those that observe them. */
export class ExchangeReports {
  readonly #deps: ExchangeReportsDeps;
  #meters: readonly ExchangeMeter[] = [];
  /** Without a span, one object counts all requests. */
  #counted: CountedExchange | undefined;

  constructor({ profile, events, clock }: ExchangeReportsDeps) {
    this.#deps = { profile, events, clock };
  }

  /**
   * Reports that a request is about to be sent.
   * @param bytes - of its body.
   * @param span - ends with the head of the response.
   * @returns what observes the request; undefined where nothing does.
   */
  begin(
    request: ReportedRequest,
    bytes: number,
    isSigned: boolean,
    attempt: number,
    span: Span | undefined,
  ): ExchangeObserver | undefined {
    const { profile, events, clock } = this.#deps;
    // Metrics may begin while the proxy runs.
    if (events.meters !== this.#meters.length) {
      this.#meters = events.metersOf(profile);
      this.#counted = new CountedExchange(this.#meters, undefined);
    }
    const { method, lane, record } = request;
    for (const meter of this.#meters) meter.sent(method, lane, bytes, isSigned);
    const counted = span?.isRecorded ? new CountedExchange(this.#meters, span) : this.#counted;
    if (!events.observesExchanges) return counted;
    const facts = { profile, call: record?.number, method, lane, bytes, attempt, signed: isSigned };
    return new ReportedExchange(events, clock, facts, counted);
  }
}

/**
 * Counts a request, and ends its span with the head of its response: the body may last as long as
 * the call.
 */
class CountedExchange implements ExchangeObserver {
  readonly #meters: readonly ExchangeMeter[];
  readonly #span: Span | undefined;

  constructor(meters: readonly ExchangeMeter[], span: Span | undefined) {
    this.#meters = meters;
    this.#span = span;
  }

  responded({ status }: Incoming): void {
    this.#span?.end({ status });
  }

  ended({ status, receivedBytes }: Incoming, error: Error | undefined): void {
    for (const meter of this.#meters) meter.ended(status, receivedBytes, error !== undefined);
  }

  failed(error: Error): void {
    this.#span?.end({ errorType: 'connection-lost', message: causeText(error) });
    for (const meter of this.#meters) meter.ended(undefined, 0, true);
  }
}

type ExchangeFacts = Pick<
  Extract<ProxyEvent, { type: 'http.request' }>,
  'profile' | 'call' | 'method' | 'lane' | 'bytes' | 'attempt' | 'signed'
>;

/** Emits the events of one request: its begin, the head of its response, its end. */
class ReportedExchange implements ExchangeObserver {
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #profile: string;
  readonly #call: number | undefined;
  readonly #counted: ExchangeObserver | undefined;
  readonly #number = ++exchanges;
  readonly #since: number;

  constructor(events: Events, clock: Clock, facts: ExchangeFacts, counted: ExchangeObserver | undefined) {
    const { profile, call, method, lane, bytes, attempt, signed } = facts;
    this.#events = events;
    this.#clock = clock;
    this.#profile = profile;
    this.#call = call;
    this.#counted = counted;
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

  responded(incoming: Incoming): void {
    this.#counted?.responded(incoming);
    // Only the log tells more of it than its end does.
    if (!this.#events.detailed) return;
    const { status, headers } = incoming;
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

  ended(incoming: Incoming, error: Error | undefined): void {
    this.#counted?.ended(incoming, error);
    this.#end(incoming.status, incoming.receivedBytes, error);
  }

  failed(error: Error): void {
    this.#counted?.failed(error);
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
