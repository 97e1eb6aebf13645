/** A trace context as it arrives: the trace, the span of the sender, and its decision to record. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Undefined: the sender leaves the decision to the receiver (X-Ray's `Sampled=?`). */
  readonly sampled: boolean | undefined;
  readonly tracestate: string | undefined;
}

export type Propagator = 'tracecontext' | 'baggage' | 'xray';

type Fields = Readonly<Record<string, unknown>>;

export const XRAY_FIELD = 'x-amzn-trace-id';

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;
/** W3C Trace Context: receivers must accept 512 characters; a longer list is not passed on. */
const MAX_TRACESTATE = 512;
/** W3C Baggage: the limit of all members together. */
const MAX_BAGGAGE = 8_192;
/** The characters that a header may contain; `_meta` may contain any. */
const SENDABLE = /^[\t\x20-\x7e]+$/;

const textOf = (fields: Fields, name: string, max: number): string | undefined => {
  const value = fields[name];
  return typeof value === 'string' && value.length <= max && SENDABLE.test(value) ? value : undefined;
};

/** Reads a `traceparent`; undefined where it is invalid (W3C Trace Context, 3.2). */
function readTraceparent(fields: Fields): TraceContext | undefined {
  const text = fields.traceparent;
  const match = typeof text === 'string' && text.length <= MAX_TRACESTATE ? TRACEPARENT.exec(text) : null;
  const [, version = 'ff', traceId = '', spanId = '', flags = '00', rest] = match ?? [];
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId, spanId, sampled, tracestate: textOf(fields, 'tracestate', MAX_TRACESTATE) };
}

const XRAY_ROOT = /^1-([0-9a-f]{8})-([0-9a-f]{24})$/;

/** Reads an X-Ray trace header: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=...;Sampled=1`. */
function readXray(fields: Fields): TraceContext | undefined {
  const text = textOf(fields, XRAY_FIELD, MAX_TRACESTATE);
  if (text === undefined) return undefined;
  const parts = new Map(
    text.split(';').map((part) => {
      const [key = '', value = ''] = part.trim().split('=', 2);
      return [key, value] as const;
    }),
  );
  const [, epoch, unique] = XRAY_ROOT.exec(parts.get('Root') ?? '') ?? [];
  const spanId = parts.get('Parent') ?? '';
  if (epoch === undefined || unique === undefined || !/^[0-9a-f]{16}$/.test(spanId)) return undefined;
  const decision = parts.get('Sampled');
  const sampled = decision === '1' ? true : decision === '0' ? false : undefined;
  return { traceId: `${epoch}${unique}`, spanId, sampled, tracestate: undefined };
}

/** Reads the context from the first set of fields that has a valid one, in the order given. */
export function readContext(
  sources: readonly Fields[],
  propagators: ReadonlySet<Propagator>,
): TraceContext | undefined {
  for (const fields of sources) {
    const found =
      (propagators.has('tracecontext') ? readTraceparent(fields) : undefined) ??
      (propagators.has('xray') ? readXray(fields) : undefined);
    if (found) return found;
  }
  return undefined;
}

/** The client's baggage, which is passed on and never recorded. */
export function readBaggage(
  sources: readonly Fields[],
  propagators: ReadonlySet<Propagator>,
): string | undefined {
  if (!propagators.has('baggage')) return undefined;
  for (const fields of sources) {
    const found = textOf(fields, 'baggage', MAX_BAGGAGE);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Writes a context in the forms of the propagators. */
export function carrierOf(
  { traceId, spanId, sampled, tracestate }: TraceContext,
  baggage: string | undefined,
  propagators: ReadonlySet<Propagator>,
): Record<string, string> {
  const carrier: Record<string, string> = {};
  if (propagators.has('tracecontext')) {
    carrier.traceparent = `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
    if (tracestate !== undefined) carrier.tracestate = tracestate;
  }
  if (baggage !== undefined) carrier.baggage = baggage;
  if (propagators.has('xray')) {
    carrier[XRAY_FIELD] =
      `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=${sampled ? 1 : 0}`;
  }
  return carrier;
}
