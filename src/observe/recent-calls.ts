import type { CallRecord } from '../core/pipeline/call-record.ts';
import type { ProxyEvent } from '../core/pipeline/events.ts';

/**
 * Calls whose trace is remembered: more are rarely in flight, and a few events come after the end.
 */
const MAX_RECENT_CALLS = 4_096;

/** The span of an event, under the names that OpenTelemetry gives them in logs. */
export interface SpanIds {
  readonly trace_id?: string;
  readonly span_id?: string;
}

/** Finds the span of the call that an event belongs to. */
export class RecentCalls {
  readonly #records = new Map<number, CallRecord>();

  add(record: CallRecord): void {
    this.#records.set(record.number, record);
    const [oldest] = this.#records.keys();
    if (this.#records.size > MAX_RECENT_CALLS && oldest !== undefined) this.#records.delete(oldest);
  }

  /** The ids for a line about an event; empty where its call is not traced. */
  idsOf(event: ProxyEvent): SpanIds {
    const span =
      'record' in event
        ? event.record.span
        : 'call' in event && event.call !== undefined
          ? this.#records.get(event.call)?.span
          : undefined;
    return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
  }
}
