import { isObject, type JsonObject, paramsOf } from '../../core/jsonrpc/message.ts';
import type { RequestHeaders } from '../../core/pipeline/call.ts';
import type { CallRecordOptions } from '../../core/pipeline/call-record.ts';
import { LABEL_CHARACTERS } from '../../core/pipeline/session-label.ts';
import type { Span, SpanPart } from '../../core/pipeline/span.ts';
import { newSpanId, newTraceId } from './ids.ts';
import { RecordedSpan, type SpanDeps } from './recorded-span.ts';
import type { Sampler } from './sampler.ts';
import type { RequestSource } from './semantic-conventions.ts';
import { carrierOf, readBaggage, readContext, type TraceContext } from './trace-context.ts';
import { UnrecordedSpan } from './unrecorded-span.ts';

const NO_FIELDS: JsonObject = {};

/** Begins the trace of each client request, or continues the client's. */
export class Tracer {
  readonly #deps: SpanDeps;
  readonly #sample: Sampler;

  constructor(deps: SpanDeps, sample: Sampler) {
    this.#deps = deps;
    this.#sample = sample;
  }

  /**
   * Begins the span of a client's request. The context in `params._meta` counts before that of the
   * HTTP request, which may carry several messages.
   * @param headers - of an HTTP client; names in lower case.
   */
  begin(traced: CallRecordOptions, headers: RequestHeaders | undefined): Span {
    const { propagators } = this.#deps;
    const { _meta } = paramsOf(traced.request);
    const fields = isObject(_meta) ? _meta : undefined;
    // Most clients of stdio send neither.
    if (!fields && !headers) return this.#beginWith(traced, NO_FIELDS, undefined, undefined);
    const sources = [fields ?? NO_FIELDS, headers ?? NO_FIELDS];
    const parent = readContext(sources, propagators);
    return this.#beginWith(traced, sources[0] ?? NO_FIELDS, parent, readBaggage(sources, propagators));
  }

  /** Begins a trace of the proxy's own work. */
  beginOwn(part: SpanPart): Span {
    const traceId = newTraceId();
    if (!this.#sample(traceId, undefined)) return this.#unrecorded(traceId, NO_FIELDS, undefined, undefined);
    return new RecordedSpan(this.#deps, this.#deps.descriptions.ofPart(part, 0), {
      traceId,
      spanId: newSpanId(),
      parent: undefined,
      tracestate: undefined,
      baggage: undefined,
    });
  }

  #beginWith(
    traced: CallRecordOptions,
    meta: JsonObject,
    parent: TraceContext | undefined,
    baggage: string | undefined,
  ): Span {
    const traceId = parent?.traceId ?? newTraceId();
    if (!this.#sample(traceId, parent?.sampled)) return this.#unrecorded(traceId, meta, parent, baggage);
    return new RecordedSpan(this.#deps, this.#deps.descriptions.ofRequest(traced.request, sourceOf(traced)), {
      traceId,
      spanId: newSpanId(),
      parent,
      tracestate: parent?.tracestate,
      baggage,
    });
  }

  /**
   * A context that is not sampled passes unchanged (W3C Trace Context, 3.4): no span here could be
   * its parent.
   */
  #unrecorded(
    traceId: string,
    meta: JsonObject,
    parent: TraceContext | undefined,
    baggage: string | undefined,
  ): Span {
    const isUnchanged = parent?.sampled === false;
    const spanId = isUnchanged ? parent.spanId : newSpanId();
    const context = { traceId, spanId, sampled: false, tracestate: parent?.tracestate };
    const carrier = carrierOf(context, baggage, this.#deps.propagators);
    const isInMessage = isUnchanged && Object.keys(carrier).every((name) => meta[name] === carrier[name]);
    return new UnrecordedSpan(traceId, spanId, carrier, isInMessage);
  }
}

const sourceOf = ({ transport, client }: CallRecordOptions): RequestSource => ({
  transport,
  address: client.address,
  session: client.inSession ? labelOfClient(client.id) : undefined,
  user: client.token,
});

/** The id of an HTTP client in a session is the hash of its session id. */
const labelOfClient = (id: string): string => id.replace(/^http-session-/, '').slice(0, LABEL_CHARACTERS);
