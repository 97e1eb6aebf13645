export type AttributeValue = string | number | boolean;

/**
 * A finished span, without any type of the SDK, which is loaded after the first spans have ended.
 */
export interface FinishedSpan {
  readonly name: string;
  readonly kind: 'server' | 'client' | 'internal';
  readonly traceId: string;
  readonly spanId: string;
  readonly tracestate: string | undefined;
  readonly parentSpanId: string | undefined;
  /** True where the parent is a span of another process. */
  readonly parentIsRemote: boolean;
  /** Wall clock, in milliseconds with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly error: { readonly message: string } | undefined;
}
