import { isObject, type JsonObject, paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { RequestHeaders } from '../../core/pipeline/call.ts';
import type { Span } from '../../core/pipeline/span.ts';
import { newTraceId } from './ids.ts';
import { RecordedSpan, type SpanDeps, UnrecordedSpan } from './recorded-span.ts';
import type { Sampler } from './sampler.ts';
import { describeRequest, type RequestSource } from './semantic-conventions.ts';
import { readBaggage, readContext } from './trace-context.ts';

const NO_FIELDS: JsonObject = {};

/** A request of a client, as far as a trace needs it. */
export interface TracedRequest extends RequestSource {
  readonly request: Request;
  /** The headers of an HTTP client; names in lower case. */
  readonly headers?: RequestHeaders | undefined;
}

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
   */
  begin({ request, headers = {}, ...source }: TracedRequest): Span {
    const { propagators } = this.#deps;
    const { _meta } = paramsOf(request);
    const sources = [isObject(_meta) ? _meta : NO_FIELDS, headers];
    const parent = readContext(sources, propagators);
    const baggage = readBaggage(sources, propagators);
    const traceId = parent?.traceId ?? newTraceId();
    const tracestate = parent?.tracestate;
    if (!this.#sample(traceId, parent?.sampled)) {
      return new UnrecordedSpan(traceId, propagators, tracestate, baggage);
    }
    const description = describeRequest(request, source);
    return new RecordedSpan(this.#deps, description, { traceId, parent, tracestate, baggage });
  }
}
