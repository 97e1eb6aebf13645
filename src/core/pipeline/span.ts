import type { Request } from '../jsonrpc/message.ts';

/** The fields that carry a trace context, in `params._meta` and in HTTP headers alike (SEP-414). */
export type TraceCarrier = Readonly<Record<string, string>>;

/** A piece of a call's work that has a span of its own. */
export type SpanPart =
  /** The client's request on its way to the server, retries included. */
  | { readonly type: 'call'; readonly request: Request; readonly profile: string }
  /** One HTTP request. `session` is a hash of the session id. */
  | {
      readonly type: 'http';
      readonly method: string;
      readonly lane: string;
      readonly session: string | undefined;
      readonly protocolVersion: string | undefined;
    }
  | { readonly type: 'session'; readonly profile: string; readonly reason: string }
  | {
      readonly type: 'session-close';
      readonly profile: string;
      readonly reason: string;
      /** A hash of the session id. */
      readonly session: string;
    }
  | { readonly type: 'borrow'; readonly profile: string }
  | { readonly type: 'credentials'; readonly profile: string };

/** How a span ended; each field is absent where it does not apply. */
export interface SpanOutcome {
  /** The status of an HTTP response. */
  readonly status?: number;
  /** A short class of the error, as `error.type` of OpenTelemetry. */
  readonly errorType?: string;
  /** The JSON-RPC error code. */
  readonly code?: number | undefined;
  readonly message?: string;
}

/** Begins spans: of a trace, or each as a trace of its own. */
export interface SpanParent {
  begin(part: SpanPart): Span | undefined;
}

/** A span of the trace that a call belongs to. Exists only where tracing is on. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** False where the trace is not recorded: only its context is passed on. */
  readonly isRecorded: boolean;
  /** The context with which the receiver of a message continues the trace. */
  readonly carrier: TraceCarrier;
  /**
   * The context to write into the message of a call, before the span of that call begins; undefined
   * where the message carries it already.
   */
  carrierOfCall(): TraceCarrier | undefined;
  begin(part: SpanPart): Span;
  /** Ends the span; later calls have no effect. */
  end(outcome?: SpanOutcome): void;
}

/**
 * True where the context is written together with the metadata, so that the message is edited once.
 * A list may be answered from memory or be several requests, and each recorded one has a span of
 * its own.
 */
export const hasEarlyContext = ({ method }: Request, span: Span): boolean =>
  span.isRecorded ? method === 'tools/call' : method !== 'initialize';
