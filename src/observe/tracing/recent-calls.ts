import type { CallRecord } from '../core/pipeline/call-record.ts';
import type { ProxyEvent } from '../core/pipeline/events.ts';

/**
 * Calls whose trace is remembered: more are rarely in flight, and few events come after the end.
 */
const MAX_RECENT_CALLS = 4_096;

/** The span of an event, under the names that OpenTelemetry gives them in logs. */
export interface SpanIds {
  readonly trace_id?: string;
  readonly span_id?: string;
}

/** Finds the span of the call that an event belongs to. */
export class RecentCalls {
  /** By number modulo the length: a Map would have to find its oldest key for each call. */
  readonly #records: (CallRecord | undefined)[] = [];

  add(record: CallRecord): void {
    this.#records[record.number % MAX_RECENT_CALLS] = record;
  }

  /** The ids for a line about an event; empty where its call is not traced. */
  idsOf(event: ProxyEvent): SpanIds {
    const record = 'record' in event ? event.record : 'call' in event ? this.#find(event.call) : undefined;
    return record?.span ? { trace_id: record.span.traceId, span_id: record.span.spanId } : {};
  }

  #find(number: number | undefined): CallRecord | undefined {
    const record = number === undefined ? undefined : this.#records[number % MAX_RECENT_CALLS];
    return record?.number === number ? record : undefined;
  }
}
