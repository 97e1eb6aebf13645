import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { Span } from '../../core/pipeline/span.ts';

/** Calls in flight that are remembered: more are rarely in flight. */
const MAX_CALLS = 4_096;
/** Calls that have ended and are remembered: the events of a failure come right after the end. */
const MAX_ENDED = 64;

/** Finds the span of a call by its number. */
export class RecentCalls {
  /** By number modulo the length: a Map would have to find its oldest key for each call. */
  readonly #records: (CallRecord | undefined)[] = [];
  /** The last that ended, in turn: what is kept for long costs the garbage collector. */
  readonly #ended: (CallRecord | undefined)[] = new Array(MAX_ENDED).fill(undefined);
  #turn = 0;

  add(record: CallRecord): void {
    this.#records[record.number % MAX_CALLS] = record;
  }

  /** Forgets the call once as many others have ended as are kept. */
  end(record: CallRecord): void {
    this.#turn = (this.#turn + 1) % MAX_ENDED;
    const oldest = this.#ended[this.#turn];
    if (oldest && this.#find(oldest.number)) this.#records[oldest.number % MAX_CALLS] = undefined;
    this.#ended[this.#turn] = record;
  }

  /** The span that the work at hand of a call is a part of; undefined where it is not traced. */
  spanOf(number: number): Span | undefined {
    return this.#find(number)?.span;
  }

  #find(number: number): CallRecord | undefined {
    const record = this.#records[number % MAX_CALLS];
    return record?.number === number ? record : undefined;
  }
}
