import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { Span } from '../../core/pipeline/span.ts';

/** The maximum number of calls in flight that are kept; more are rare. */
const MAX_CALLS = 4_096;
/** Ended calls that are kept, because the events of a failure follow right after the end. */
const MAX_ENDED = 64;

/** Finds the span of a call by its number. */
export class RecentCalls {
  /** By number modulo the length: a Map would have to find its oldest key for each call. */
  readonly #records: (CallRecord | undefined)[] = [];
  /** The calls that ended last, as a ring: objects that live long cost the garbage collector. */
  readonly #ended: (CallRecord | undefined)[] = new Array(MAX_ENDED).fill(undefined);
  #turn = 0;

  add(record: CallRecord): void {
    this.#records[record.number % MAX_CALLS] = record;
  }

  /** Keeps the call until `MAX_ENDED` others have ended. */
  end(record: CallRecord): void {
    this.#turn = (this.#turn + 1) % MAX_ENDED;
    const oldest = this.#ended[this.#turn];
    if (oldest && this.#find(oldest.number)) this.#records[oldest.number % MAX_CALLS] = undefined;
    this.#ended[this.#turn] = record;
  }

  /** The parent span for the current work of a call; undefined if it is not traced. */
  spanOf(number: number): Span | undefined {
    return this.#find(number)?.span;
  }

  #find(number: number): CallRecord | undefined {
    const record = this.#records[number % MAX_CALLS];
    return record?.number === number ? record : undefined;
  }
}
