import type { Span, SpanOutcome, SpanPart, TraceCarrier } from '../../core/pipeline/span.ts';
import type { AttributeValue, FinishedSpan } from './finished-span.ts';
import { newSpanId } from './ids.ts';
import { describePart, errorTypeOf, type SpanDescription } from './semantic-conventions.ts';
import { carrierOf, type Propagator, type TraceContext } from './trace-context.ts';

/** Characters of an error message in a span's status: the server chooses them. */
const MAX_STATUS_MESSAGE = 500;

/** The parts that all spans of a process share. */
export interface SpanDeps {
  readonly server: { readonly url: string; readonly address: string; readonly port: number };
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

/** A span that is recorded, and sent when it has ended. */
export class RecordedSpan implements Span {
  readonly isRecorded = true;
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: Record<string, AttributeValue>;
  readonly #deps: SpanDeps;
  readonly #description: SpanDescription;
  readonly #parent: TraceContext | RecordedSpan | undefined;
  readonly #tracestate: string | undefined;
  readonly #baggage: string | undefined;
  readonly #startMs: number;
  #carrier: TraceCarrier | undefined;
  /** The id of the call's span, from `carrierOfCall` until it begins. */
  #callId: string | undefined;
  /** HTTP requests so far: a further one is a resend. */
  #requests = 0;
  /** The last error below, which tells more than the outcome of the whole call. */
  #cause: SpanOutcome | undefined;
  #ended = false;

  constructor(
    deps: SpanDeps,
    description: SpanDescription,
    { traceId, spanId, parent, tracestate, baggage }: SpanContext,
  ) {
    this.spanId = spanId;
    this.#deps = deps;
    this.#description = description;
    this.attributes = description.attributes;
    this.traceId = traceId;
    this.#parent = parent;
    this.#tracestate = tracestate;
    this.#baggage = baggage;
    this.#startMs = deps.now();
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
    const context = { traceId: this.traceId, spanId, sampled: true, tracestate: this.#tracestate };
    return carrierOf(context, this.#baggage, this.#deps.propagators);
  }

  begin(part: SpanPart): Span {
    if (part.type === 'http') this.#describeSession(part);
    const description = describePart(part, this.#deps.server, this.#requests);
    if (part.type === 'http') this.#requests++;
    const reserved = part.type === 'call' ? this.#callId : undefined;
    if (reserved !== undefined) this.#callId = undefined;
    return new RecordedSpan(this.#deps, description, {
      traceId: this.traceId,
      spanId: reserved ?? newSpanId(),
      parent: this,
      tracestate: this.#tracestate,
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
    const { attributes } = this;
    if (outcome.status !== undefined) attributes['http.response.status_code'] = outcome.status;
    const errorType = errorTypeOf(outcome);
    if (errorType !== undefined) attributes['error.type'] = errorType;
    if (outcome.code !== undefined) attributes['rpc.response.status_code'] = String(outcome.code);
    const message = outcome.message ?? this.#cause?.message ?? errorType ?? '';
    const parent = this.#parent;
    if (parent instanceof RecordedSpan && errorType !== undefined) parent.#cause = outcome;
    const { name, kind } = this.#description;
    this.#deps.onEnd({
      name,
      kind,
      traceId: this.traceId,
      spanId: this.spanId,
      tracestate: this.#tracestate,
      parentSpanId: parent?.spanId,
      parentIsRemote: parent !== undefined && !(parent instanceof RecordedSpan),
      startMs: this.#startMs,
      endMs: this.#deps.now(),
      attributes,
      error:
        errorType === undefined
          ? undefined
          : { message: this.#deps.clean(message).slice(0, MAX_STATUS_MESSAGE) },
    });
  }
}
