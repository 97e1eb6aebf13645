import { describe, expect, it } from 'vitest';
import { type FinishedSpan, SpanTemplate } from '../../../src/observe/tracing/finished-span.ts';
import { EncodedSpans } from '../../../src/observe/tracing/protobuf-spans.ts';
import { decodeOtlp } from '../../support/otlp-receiver.ts';

const origin = {
  resource: { 'service.name': 'proxy', 'process.pid': 70_000, skipped: { a: 1 } },
  scope: { name: 'scope', version: '1.2.3' },
};
const template = new SpanTemplate('tools/call echo', 'server', { 'mcp.method.name': 'tools/call' });
const span: FinishedSpan = {
  template,
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  tracestate: undefined,
  parentSpanId: undefined,
  parentIsRemote: false,
  startMs: 1_795_953_600_123.456,
  endMs: 1_795_953_601_000,
  attributes: {},
  error: undefined,
};

function encoded(...spans: readonly FinishedSpan[]) {
  const request = new EncodedSpans(origin);
  for (const each of spans) request.add(each);
  return decodeOtlp('otlp.TraceRequest', request.finish()).resourceSpans[0];
}

const spanOf = (change: Partial<FinishedSpan>) => encoded({ ...span, ...change }).scopeSpans[0].spans[0];

describe('the encoding of spans in protobuf', () => {
  it('the resource and the scope are encoded once for all spans', () => {
    const { resource, scopeSpans } = encoded(span, span, span);
    expect(resource.attributes).toEqual([
      { key: 'service.name', value: { stringValue: 'proxy' } },
      { key: 'process.pid', value: { intValue: '70000' } },
    ]);
    expect(scopeSpans).toHaveLength(1);
    expect(scopeSpans[0].scope).toEqual({ name: 'scope', version: '1.2.3' });
    expect(scopeSpans[0].spans).toHaveLength(3);
  });

  it('a root has its ids, kind, exact times and the attributes of its template', () => {
    expect(spanOf({})).toEqual({
      traceId: span.traceId,
      spanId: span.spanId,
      name: 'tools/call echo',
      kind: 2,
      startTimeUnixNano: '1795953600123456055',
      endTimeUnixNano: '1795953601000000000',
      attributes: [{ key: 'mcp.method.name', value: { stringValue: 'tools/call' } }],
      flags: 0x101,
    });
  });

  it('a child of another process has its parent, tracestate and flags', () => {
    const child = spanOf({ parentSpanId: '00f067aa0ba902b7', parentIsRemote: true, tracestate: 'k=v' });
    expect(child).toMatchObject({ parentSpanId: '00f067aa0ba902b7', traceState: 'k=v', flags: 0x301 });
  });

  it('the status of a failed span is an error with its message', () => {
    expect(spanOf({ error: 'no such tool' }).status).toEqual({ code: 2, message: 'no such tool' });
    expect(spanOf({}).status).toBeUndefined();
  });

  it.each([
    ['an empty text', '', { stringValue: '' }],
    ['a text of two-byte characters', 'ä'.repeat(64), { stringValue: 'ä'.repeat(64) }],
    ['a text of four-byte characters', '\u{1F600}'.repeat(40), { stringValue: '\u{1F600}'.repeat(40) }],
    ['a text of 127 characters', 'a'.repeat(127), { stringValue: 'a'.repeat(127) }],
    ['a text of 128 characters', 'a'.repeat(128), { stringValue: 'a'.repeat(128) }],
    ['a text of 20,000 characters', 'a'.repeat(20_000), { stringValue: 'a'.repeat(20_000) }],
    ['a text of three million characters', 'b'.repeat(3e6), { stringValue: 'b'.repeat(3e6) }],
    ['zero', 0, { intValue: '0' }],
    ['the largest safe number', Number.MAX_SAFE_INTEGER, { intValue: '9007199254740991' }],
    ['a negative number', -1, { doubleValue: -1 }],
    ['a fraction', 0.5, { doubleValue: 0.5 }],
    ['true', true, { boolValue: true }],
    ['false', false, { boolValue: false }],
  ])('an attribute keeps its value: %s', (_, value, expected) => {
    expect(spanOf({ attributes: { key: value } }).attributes[1]).toEqual({ key: 'key', value: expected });
  });

  it('512 spans in one request keep their order and their own attributes', () => {
    const spans = Array.from({ length: 512 }, (_, id) => ({
      ...span,
      spanId: id.toString(16).padStart(16, '0'),
      attributes: { 'jsonrpc.request.id': String(id), 'mcp.session.id': 'x'.repeat((id % 200) + 1) },
    }));
    const decoded = encoded(...spans).scopeSpans[0].spans;
    expect(decoded.map(({ spanId }: { spanId: string }) => spanId)).toEqual(
      spans.map(({ spanId }) => spanId),
    );
    expect(decoded[511].attributes[1].value.stringValue).toBe('511');
  });
});
