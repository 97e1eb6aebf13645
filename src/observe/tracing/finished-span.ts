export type AttributeValue = string | number | boolean;

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** The common part of spans: all spans of a tool share one template. */
export class SpanTemplate {
  readonly name: string;
  readonly kind: 'server' | 'client' | 'internal';
  readonly attributes: Attributes;
  /** The encoded template, which the encoder caches here. */
  encoded: Uint8Array | undefined;

  constructor(name: string, kind: SpanTemplate['kind'], attributes: Attributes) {
    this.name = name;
    this.kind = kind;
    this.attributes = attributes;
  }
}

/**
 * A finished span. It uses no type of the SDK, which is loaded after the first spans have ended.
 */
export interface FinishedSpan {
  readonly template: SpanTemplate;
  readonly traceId: string;
  readonly spanId: string;
  readonly tracestate: string | undefined;
  readonly parentSpanId: string | undefined;
  /** True where the parent is a span of another process. */
  readonly parentIsRemote: boolean;
  /** Wall clock, in milliseconds with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  /** The attributes that the template lacks. */
  readonly attributes: Attributes;
  /** The message of the error; undefined without one. */
  readonly error: string | undefined;
}

/** All attributes of a span. */
export const attributesOf = ({ template, attributes }: FinishedSpan): Attributes => ({
  ...template.attributes,
  ...attributes,
});
