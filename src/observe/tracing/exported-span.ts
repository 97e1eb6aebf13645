import type { HrTime, SpanContext, TraceState } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { attributesOf, type FinishedSpan } from './finished-span.ts';

const KINDS = { internal: 0, server: 1, client: 2 } as const;
const UNSET = 0;
const ERROR = 2;
const SAMPLED = 1;
const NONE: [] = [];

export const toHrTime = (ms: number): HrTime => {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
};

/** A finished span as the console exporter prints it. */
export const describedSpan = (span: FinishedSpan): object => ({
  name: span.template.name,
  kind: span.template.kind,
  traceId: span.traceId,
  spanId: span.spanId,
  tracestate: span.tracestate,
  parentSpanId: span.parentSpanId,
  parentIsRemote: span.parentIsRemote,
  startMs: span.startMs,
  endMs: span.endMs,
  attributes: attributesOf(span),
  error: span.error === undefined ? undefined : { message: span.error },
});

/** A finished span as the SDK reads it. Most members are read for JSON only. */
export class ExportedSpan implements ReadableSpan {
  readonly span: FinishedSpan;
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan['instrumentationScope'];

  constructor(span: FinishedSpan, resource: Resource, scope: ReadableSpan['instrumentationScope']) {
    this.span = span;
    this.resource = resource;
    this.instrumentationScope = scope;
  }

  get name(): string {
    return this.span.template.name;
  }

  get kind(): number {
    return KINDS[this.span.template.kind];
  }

  get attributes(): ReadableSpan['attributes'] {
    return attributesOf(this.span);
  }

  get startTime(): HrTime {
    return toHrTime(this.span.startMs);
  }

  get endTime(): HrTime {
    return toHrTime(this.span.endMs);
  }

  get duration(): HrTime {
    return toHrTime(this.span.endMs - this.span.startMs);
  }

  get status(): ReadableSpan['status'] {
    const { error } = this.span;
    return error === undefined ? { code: UNSET } : { code: ERROR, message: error };
  }

  /** Undefined for a root, which the type cannot express for a getter. */
  get parentSpanContext(): SpanContext {
    const { traceId, parentSpanId: spanId, parentIsRemote: isRemote } = this.span;
    const parent = spanId === undefined ? undefined : { traceId, spanId, traceFlags: SAMPLED, isRemote };
    return parent as SpanContext;
  }

  get ended(): boolean {
    return true;
  }

  get events(): [] {
    return NONE;
  }

  get links(): [] {
    return NONE;
  }

  get droppedAttributesCount(): number {
    return 0;
  }

  get droppedEventsCount(): number {
    return 0;
  }

  get droppedLinksCount(): number {
    return 0;
  }

  spanContext(): SpanContext {
    const { traceId, spanId, tracestate } = this.span;
    const traceState = tracestate === undefined ? undefined : ({ serialize: () => tracestate } as TraceState);
    return { traceId, spanId, traceFlags: SAMPLED, ...(traceState ? { traceState } : {}) };
  }
}
