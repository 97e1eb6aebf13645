import type { Attributes, AttributeValue, FinishedSpan, SpanTemplate } from './finished-span.ts';
import { ProtobufWriter } from './protobuf-writer.ts';

/** The process that spans come from. */
export interface SpanOrigin {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: { readonly name: string; readonly version: string };
}

// The numbers of fields in opentelemetry/proto/collector/trace/v1 and opentelemetry/proto/trace/v1.
const REQUEST = { resourceSpans: 1 } as const;
const RESOURCE_SPANS = { resource: 1, scopeSpans: 2 } as const;
const RESOURCE = { attributes: 1 } as const;
const SCOPE_SPANS = { scope: 1, spans: 2 } as const;
const SCOPE = { name: 1, version: 2 } as const;
const SPAN = {
  traceId: 1,
  spanId: 2,
  traceState: 3,
  parentSpanId: 4,
  name: 5,
  kind: 6,
  start: 7,
  end: 8,
  attributes: 9,
  status: 15,
} as const;
const STATUS = { message: 2, code: 3 } as const;
const KEY_VALUE = { key: 1, value: 2 } as const;
const VALUE = { text: 1, boolean: 2, integer: 3, double: 4 } as const;

/** The length of nearly all attributes takes one byte. */
const SHORT = 1;

const KINDS: Readonly<Record<SpanTemplate['kind'], number>> = { internal: 1, server: 2, client: 3 };
const STATUS_ERROR = 2;
/** The field `flags`, number 16, whose tag takes two bytes: type fixed32. */
const FLAGS_TAG = [0x85, 0x01] as const;
const SAMPLED = 0x01;
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

const flagsOf = (isRemote: boolean): Uint8Array => {
  const flags = SAMPLED | HAS_IS_REMOTE | (isRemote ? IS_REMOTE : 0);
  return Uint8Array.of(...FLAGS_TAG, flags & 0xff, flags >>> 8, 0, 0);
};
const LOCAL_FLAGS = flagsOf(false);
const REMOTE_FLAGS = flagsOf(true);

/**
 * An ExportTraceServiceRequest of OTLP that grows by spans. The SDK's serializer takes ten times as
 * long, because it encodes the common part of all spans of a tool for each span.
 */
export class EncodedSpans {
  readonly #writer: ProtobufWriter;
  /** The messages that are not complete, the outermost first. */
  readonly #begun: readonly number[];
  /** The number of spans. */
  count = 0;

  /** @param bytes - the expected length. */
  constructor({ resource, scope }: SpanOrigin, bytes?: number) {
    const writer = new ProtobufWriter(bytes);
    this.#writer = writer;
    const request = writer.begin(REQUEST.resourceSpans);
    const described = writer.begin(RESOURCE_SPANS.resource);
    for (const [key, value] of Object.entries(resource))
      if (isAttribute(value)) writeAttribute(writer, RESOURCE.attributes, key, value);
    writer.end(described);
    const scoped = writer.begin(RESOURCE_SPANS.scopeSpans);
    const named = writer.begin(SCOPE_SPANS.scope);
    writer.text(SCOPE.name, scope.name);
    writer.text(SCOPE.version, scope.version);
    writer.end(named);
    this.#begun = [request, scoped];
  }

  get bytes(): number {
    return this.#writer.written.length;
  }

  add(span: FinishedSpan): void {
    writeSpan(this.#writer, span);
    this.count++;
  }

  /** Returns the message, to which nothing may be added any more. */
  finish(): Uint8Array {
    for (const start of this.#begun.toReversed()) this.#writer.end(start);
    return this.#writer.written;
  }
}

function writeSpan(writer: ProtobufWriter, span: FinishedSpan): void {
  const { template, parentSpanId, tracestate, error } = span;
  const start = writer.begin(SCOPE_SPANS.spans);
  writer.hex(SPAN.traceId, span.traceId);
  writer.hex(SPAN.spanId, span.spanId);
  if (tracestate !== undefined) writer.text(SPAN.traceState, tracestate);
  if (parentSpanId !== undefined) writer.hex(SPAN.parentSpanId, parentSpanId);
  writer.nanoseconds(SPAN.start, span.startMs);
  writer.nanoseconds(SPAN.end, span.endMs);
  template.encoded ??= encodeTemplate(template);
  writer.raw(template.encoded);
  writeAttributes(writer, span.attributes);
  if (error !== undefined) {
    const status = writer.begin(SPAN.status);
    writer.text(STATUS.message, error);
    writer.varint(STATUS.code, STATUS_ERROR);
    writer.end(status);
  }
  writer.raw(span.parentIsRemote ? REMOTE_FLAGS : LOCAL_FLAGS);
  writer.end(start);
}

function encodeTemplate({ name, kind, attributes }: SpanTemplate): Uint8Array {
  const writer = new ProtobufWriter();
  writer.text(SPAN.name, name);
  writer.varint(SPAN.kind, KINDS[kind]);
  writeAttributes(writer, attributes);
  return writer.written.slice();
}

function writeAttributes(writer: ProtobufWriter, attributes: Attributes): void {
  // Not Object.entries, which creates an array for each attribute.
  for (const key in attributes) {
    const value = attributes[key];
    if (value !== undefined) writeAttribute(writer, SPAN.attributes, key, value);
  }
}

function writeAttribute(writer: ProtobufWriter, field: number, key: string, value: AttributeValue): void {
  const start = writer.begin(field, SHORT);
  writer.text(KEY_VALUE.key, key);
  const inner = writer.begin(KEY_VALUE.value, SHORT);
  if (typeof value === 'string') writer.text(VALUE.text, value);
  else if (typeof value === 'boolean') writer.varint(VALUE.boolean, value ? 1 : 0);
  else if (Number.isSafeInteger(value) && value >= 0) writer.varint(VALUE.integer, value);
  else writer.double(VALUE.double, value);
  writer.end(inner, SHORT);
  writer.end(start, SHORT);
}

const isAttribute = (value: unknown): value is AttributeValue =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
