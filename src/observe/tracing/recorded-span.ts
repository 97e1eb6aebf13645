import type { Span, SpanOutcome, SpanPart, TraceCarrier } from '../../core/pipeline/span.ts';
import type { AttributeValue, FinishedSpan, SpanTemplate } from './finished-span.ts';
import { newSpanId } from './ids.ts';
import { errorTypeOf, type SpanDescription, type SpanDescriptions } from './semantic-conventions.ts';
import { carrierOf, type Propagator, type TraceContext } from './trace-context.ts';

/** Characters of an error message in a span's status: the server chooses them. */
const MAX_STATUS_MESSAGE = 500;

/** The parts that all spans of a process share. */
export interface SpanDeps {
  readonly descriptions: SpanDescriptions;
  readonly propagators: ReadonlySet<Propagator>;
  /** Wall clock with the precision of the monotonic one. */
  readonly now: () => number;
  /** Removes secrets from the text of an error. */
  readonly clean: (text: string) => string;
  readonly onEnd: (span: FinishedSpan) => void;
}

/** The place of a span in its trace. */
interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: TraceContext | RecordedSpan | undefined;
  readonly tracestate: string | undefined;
  readonly baggage: string | undefined;
}

/** A recorded span. It is exported itself, without a copy, when it has ended. */
export class RecordedSpan implements Span, FinishedSpan {
  readonly isRecorded = true;
  readonly traceId: string;
  readonly spanId: string;
  readonly tracestate: string | undefined;
  readonly template: SpanTemplate;
  readonly attributes: Record<string, AttributeValue>;
  readonly startMs: number;
  endMs = 0;
  error: string | undefined;
  readonly #deps: SpanDeps;
  readonly #parent: TraceContext | RecordedSpan | undefined;
  readonly #baggage: string | undefined;
  #carrier: TraceCarrier | undefined;
  /** The id of the call's span, from `carrierOfCall` until it begins. */
  #callId: string | undefined;
  /** The number of HTTP requests so far; a further one is a resend. */
  #requests = 0;
  /** The last error of a child span, which is more specific than the outcome of the call. */
  #cause: SpanOutcome | undefined;
  #ended = false;

  constructor(
    deps: SpanDeps,
    { template, attributes }: SpanDescription,
    { traceId, spanId, parent, tracestate, baggage }: SpanContext,
  ) {
    this.traceId = traceId;
    this.spanId = spanId;
    this.tracestate = tracestate;
    this.template = template;
    this.attributes = attributes;
    this.#deps = deps;
    this.#parent = parent;
    this.#baggage = baggage;
    this.startMs = deps.now();
  }

  get parentSpanId(): string | undefined {
    return this.#parent?.spanId;
  }

  get parentIsRemote(): boolean {
    return this.#parent !== undefined && !(this.#parent instanceof RecordedSpan);
  }

  get carrier(): TraceCarrier {
    this.#carrier ??= this.#carrierOf(this.spanId);
    return this.#carrier;
  }

  carrierOfCall(): TraceCarrier {
    this.#callId = newSpanId();
    return this.#carrierOf(this.#callId);
  }

  #carrierOf(spanId: string): TraceCarrier {
    const context = { traceId: this.traceId, spanId, sampled: true, tracestate: this.tracestate };
    return carrierOf(context, this.#baggage, this.#deps.propagators);
  }

  begin(part: SpanPart): Span {
    if (part.type === 'http') this.#describeSession(part);
    const description = this.#deps.descriptions.ofPart(part, this.#requests);
    if (part.type === 'http') this.#requests++;
    const reserved = part.type === 'call' ? this.#callId : undefined;
    if (reserved !== undefined) this.#callId = undefined;
    return new RecordedSpan(this.#deps, description, {
      traceId: this.traceId,
      spanId: reserved ?? newSpanId(),
      parent: this,
      tracestate: this.tracestate,
      baggage: this.#baggage,
    });
  }

  /** Session and revision are known only when the first request is sent. */
  #describeSession({ session, protocolVersion }: SpanPart & { readonly type: 'http' }): void {
    if (session !== undefined) this.attributes['mcp.session.id'] = session;
    if (protocolVersion !== undefined) this.attributes['mcp.protocol.version'] ??= protocolVersion;
  }

  end(outcome: SpanOutcome = {}): void {
    if (this.#ended) return;
    this.#ended = true;
    this.endMs = this.#deps.now();
    const { attributes } = this;
    if (outcome.status !== undefined) attributes['http.response.status_code'] = outcome.status;
    const errorType = errorTypeOf(outcome);
    if (errorType !== undefined) this.#fail(errorType, outcome);
    this.#deps.onEnd(this);
  }

  #fail(errorType: string, outcome: SpanOutcome): void {
    this.attributes['error.type'] = errorType;
    if (outcome.code !== undefined) this.attributes['rpc.response.status_code'] = String(outcome.code);
    if (this.#parent instanceof RecordedSpan) this.#parent.#cause = outcome;
    const message = outcome.message ?? this.#cause?.message ?? errorType;
    this.error = this.#deps.clean(message).slice(0, MAX_STATUS_MESSAGE);
  }
}
