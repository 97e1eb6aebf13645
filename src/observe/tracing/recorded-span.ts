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

/** A span that is recorded, and sent when it has ended. */
export class RecordedSpan implements Span {
  readonly isRecorded = true;
  readonly traceId: string;
  readonly spanId = newSpanId();
  readonly attributes: Record<string, AttributeValue>;
  readonly #deps: SpanDeps;
  readonly #description: SpanDescription;
  readonly #parent: TraceContext | RecordedSpan | undefined;
  readonly #tracestate: string | undefined;
  readonly #baggage: string | undefined;
  readonly #startMs: number;
  #carrier: TraceCarrier | undefined;
  /** HTTP requests so far: a further one is a resend. */
  #requests = 0;
  /** The last error below, which tells more than the outcome of the whole call. */
  #cause: SpanOutcome | undefined;
  #ended = false;

  constructor(
    deps: SpanDeps,
    description: SpanDescription,
    {
      traceId,
      parent,
      tracestate,
      baggage,
    }: {
      readonly traceId: string;
      readonly parent: TraceContext | RecordedSpan | undefined;
      readonly tracestate: string | undefined;
      readonly baggage: string | undefined;
    },
  ) {
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
    const { traceId, spanId } = this;
    const context = { traceId, spanId, sampled: true, tracestate: this.#tracestate };
    this.#carrier ??= carrierOf(context, this.#baggage, this.#deps.propagators);
    return this.#carrier;
  }

  begin(part: SpanPart): Span {
    if (part.type === 'http') this.#describeSession(part);
    const description = describePart(part, this.#deps.server, this.#requests);
    if (part.type === 'http') this.#requests++;
    return new RecordedSpan(this.#deps, description, {
      traceId: this.traceId,
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

/** The span of a trace that is not recorded: it only passes the context on. */
export class UnrecordedSpan implements Span {
  readonly isRecorded = false;
  readonly traceId: string;
  readonly spanId = newSpanId();
  readonly #tracestate: string | undefined;
  readonly #baggage: string | undefined;
  readonly #propagators: ReadonlySet<Propagator>;
  #carrier: TraceCarrier | undefined;

  constructor(
    traceId: string,
    propagators: ReadonlySet<Propagator>,
    tracestate: string | undefined,
    baggage: string | undefined,
  ) {
    this.traceId = traceId;
    this.#propagators = propagators;
    this.#tracestate = tracestate;
    this.#baggage = baggage;
  }

  get carrier(): TraceCarrier {
    const { traceId, spanId } = this;
    const context = { traceId, spanId, sampled: false, tracestate: this.#tracestate };
    this.#carrier ??= carrierOf(context, this.#baggage, this.#propagators);
    return this.#carrier;
  }

  /** One span id serves all parts. */
  begin(): Span {
    return this;
  }

  end(): void {}
}
