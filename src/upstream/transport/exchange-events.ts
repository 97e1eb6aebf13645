import { causeText } from '../../core/errors/errors.ts';
import type { Events, ProxyEvent } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';

export interface ExchangeEventsDeps {
  readonly events: Events;
  readonly clock: Clock;
  readonly profile: string;
  /** The number of the call that the request belongs to. */
  readonly call: number | undefined;
}

/** Reports one HTTP request: its begin, the head of its response, its end. */
export interface ObservedExchange {
  begin(
    facts: Pick<
      Extract<ProxyEvent, { type: 'http.request' }>,
      'method' | 'lane' | 'bytes' | 'attempt' | 'signed'
    >,
  ): void;
  readonly responded: (response: Incoming) => Incoming;
  /** @throws the error. */
  readonly failed: (error: unknown) => never;
}

/** Shared by all transports: the number identifies the request in the process. */
let exchanges = 0;

/** Creates the reporter of one HTTP request. Only where an observer wants calls. */
export function observeExchange({ events, clock, profile, call }: ExchangeEventsDeps): ObservedExchange {
  const exchange = ++exchanges;
  const started = clock.monotonic();
  const end = (
    status: number | undefined,
    bytes: number,
    error: unknown,
    ms = clock.monotonic() - started,
  ): void =>
    events.emitOfCall({
      type: 'http.ended',
      profile,
      exchange,
      call,
      status,
      bytes,
      ms,
      error: error === undefined ? undefined : causeText(error),
    });
  return {
    begin: ({ method, lane, bytes, attempt, signed }) =>
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
      }),
    responded: (response) => {
      const { status, headers } = response;
      const ms = clock.monotonic() - started;
      events.emitOfCall({
        type: 'http.response',
        profile,
        exchange,
        call,
        status,
        ms,
        contentType: headerOf(headers, 'content-type'),
        date: headerOf(headers, 'date'),
      });
      if (response.ended) end(status, response.receivedBytes, undefined, ms);
      else response.onOver = (error) => end(status, response.receivedBytes, error);
      return response;
    },
    failed: (error) => {
      end(undefined, 0, error);
      throw error;
    },
  };
}
