import type { Span, TraceCarrier } from '../../core/pipeline/span.ts';

/** The span of a trace that is not recorded. It only propagates the context. */
export class UnrecordedSpan implements Span {
  readonly isRecorded = false;
  readonly traceId: string;
  readonly spanId: string;
  readonly carrier: TraceCarrier;
  readonly #isInMessage: boolean;

  /** @param isInMessage - the client's message carries the same context. */
  constructor(traceId: string, spanId: string, carrier: TraceCarrier, isInMessage: boolean) {
    this.traceId = traceId;
    this.spanId = spanId;
    this.carrier = carrier;
    this.#isInMessage = isInMessage;
  }

  carrierOfCall(): TraceCarrier | undefined {
    return this.#isInMessage ? undefined : this.carrier;
  }

  /** One span id serves all parts. */
  begin(): Span {
    return this;
  }

  end(): void {}
}
