import { describe, expect, it } from 'vitest';
import {
  carrierOf,
  type Propagator,
  readBaggage,
  readContext,
} from '../../../src/observe/tracing/trace-context.ts';

const ALL: ReadonlySet<Propagator> = new Set(['tracecontext', 'baggage', 'xray']);
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('readContext', () => {
  it.each([
    [`00-${TRACE}-${SPAN}-01`, true],
    [`00-${TRACE}-${SPAN}-00`, false],
    [`00-${TRACE}-${SPAN}-03`, true],
    // A later version may have more fields.
    [`cc-${TRACE}-${SPAN}-01-what-the-future-brings`, true],
  ])('readContext accepts the traceparent %s', (traceparent, sampled) => {
    expect(readContext([{ traceparent, tracestate: 'a=1' }], ALL)).toEqual({
      traceId: TRACE,
      spanId: SPAN,
      sampled,
      tracestate: 'a=1',
    });
  });

  it.each([
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    'x'.repeat(1_000_000),
    7,
    null,
  ])('readContext ignores the invalid traceparent %.60s', (traceparent) => {
    expect(readContext([{ traceparent }], ALL)).toBeUndefined();
  });

  it('readContext takes the first source with a valid context', () => {
    const sources = [{ traceparent: 'nonsense' }, { traceparent: `00-${TRACE}-${SPAN}-01` }];
    expect(readContext(sources, ALL)?.traceId).toBe(TRACE);
    expect(readContext(sources, new Set(['xray']))).toBeUndefined();
  });

  it.each([
    ['Sampled=1', true],
    ['Sampled=0', false],
    ['Sampled=?', undefined],
    ['Lineage=a:1', undefined],
  ])('readContext reads an X-Ray header with %s', (decision, sampled) => {
    const fields = {
      'x-amzn-trace-id': `Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=${SPAN};${decision}`,
    };
    expect(readContext([fields], ALL)).toMatchObject({ traceId: TRACE, spanId: SPAN, sampled });
  });

  it('readContext drops a tracestate that no header may contain', () => {
    const fields = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'a=1\r\nhost: evil' };
    expect(readContext([fields], ALL)?.tracestate).toBeUndefined();
  });
});

describe('readBaggage', () => {
  it.each([
    ['user=ann', 'user=ann'],
    ['a=1\r\nhost: evil', undefined],
    ['x'.repeat(10_000), undefined],
    [{ user: 'ann' }, undefined],
  ])('readBaggage of %.30j', (baggage, expected) => {
    expect(readBaggage([{ baggage }], ALL)).toBe(expected);
  });
});

describe('carrierOf', () => {
  it('carrierOf writes what readContext reads, in each form', () => {
    const context = { traceId: TRACE, spanId: SPAN, sampled: true, tracestate: undefined };
    for (const propagator of ['tracecontext', 'xray'] as const) {
      const propagators = new Set([propagator]);
      expect(readContext([carrierOf(context, undefined, propagators)], propagators)).toEqual(context);
    }
    expect(carrierOf(context, 'user=ann', new Set(['baggage']))).toEqual({ baggage: 'user=ann' });
  });
});
