import { expect, it } from 'vitest';
import { Events } from '../../../src/core/pipeline/events.ts';
import { observeCall } from '../../../src/core/pipeline/record-call.ts';
import type { Span } from '../../../src/core/pipeline/span.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { requestOf } from '../../support/make-call.ts';

const spanThat = (isRecorded: boolean): Span => {
  const span: Span = {
    traceId: '1',
    spanId: '2',
    isRecorded,
    carrier: {},
    carrierOfCall: () => ({}),
    begin: () => span,
    end: () => undefined,
  };
  return span;
};

function observe(events: Events) {
  const request = requestOf('tools/call', { name: 't' });
  if (request.kind !== 'request') throw new TypeError('no request');
  const options = { request, client: { id: 'c' }, profile: '', clock: new FakeClock() };
  return observeCall(events, { transport: 'stdio', ...options });
}

it('a call that no one observes has neither a record nor a span', () => {
  expect(observe(new Events())).toEqual({ record: undefined, span: undefined });
});

it.each([true, false])('a call whose trace is recorded (%s) has a record only then', (isRecorded) => {
  const events = new Events();
  const begun: unknown[] = [];
  const span = spanThat(isRecorded);
  events.subscribe(
    (event) => {
      if (event.type === 'call.begun') begun.push(event.record.requestSpan);
    },
    { detailed: false, beginSpan: () => span },
  );
  const { record, span: passed } = observe(events);
  expect([record?.span, record?.requestSpan]).toEqual(isRecorded ? [span, span] : [undefined, undefined]);
  expect(passed).toBe(isRecorded ? undefined : span);
  expect(begun).toEqual(isRecorded ? [span] : []);
});

it('a call whose trace is not recorded has a record where another observer wants it', () => {
  const events = new Events();
  const span = spanThat(false);
  events.subscribe(() => undefined, { detailed: false, beginSpan: () => span });
  events.subscribe(() => undefined, { detailed: false, records: true });
  const observed = observe(events);
  expect(observed.record?.span).toBe(span);
  expect(observed.span).toBeUndefined();
});

it('a failing tracer costs a call its trace and nothing else', () => {
  const events = new Events();
  const beginSpan = (): never => {
    throw new Error('broken');
  };
  events.subscribe(() => undefined, { detailed: false, beginSpan });
  expect(observe(events)).toEqual({ record: undefined, span: undefined });
});
