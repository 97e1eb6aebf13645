import { expect, it } from 'vitest';
import { type FinishedSpan, SpanTemplate } from '../../../src/observe/tracing/finished-span.ts';
import { SpanBatches } from '../../../src/observe/tracing/span-batches.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { decodeOtlp } from '../../support/otlp-receiver.ts';

const limits = {
  maxQueueSize: 6,
  maxExportBatchSize: 2,
  scheduledDelayMillis: 5_000,
  exportTimeoutMillis: 30_000,
};
const template = new SpanTemplate('POST', 'client', {});

function start() {
  const clock = new FakeClock();
  const sent: string[] = [];
  const answers: (() => void)[] = [];
  const send = (bytes: Uint8Array): Promise<void> => {
    const [{ scopeSpans }] = decodeOtlp('otlp.TraceRequest', bytes).resourceSpans;
    sent.push(scopeSpans[0].spans.map(({ spanId }: { spanId: string }) => Number(spanId)).join(' '));
    return new Promise((resolve) => answers.push(resolve));
  };
  const origin = { resource: {}, scope: { name: 's', version: '1' } };
  const batches = new SpanBatches({ limits, origin, clock, send });
  let number = 0;
  const take = (times: number): void => {
    for (let at = 0; at < times; at++) {
      const spanId = String(++number).padStart(16, '0');
      const ids = { traceId: '1'.repeat(32), spanId, tracestate: undefined, parentSpanId: undefined };
      const times = { startMs: 1, endMs: 2 };
      const span: FinishedSpan = {
        ...{ template, ...ids, ...times },
        parentIsRemote: false,
        attributes: {},
        error: undefined,
      };
      batches.take(span);
    }
  };
  /** Ends the oldest export. */
  const answer = async (): Promise<void> => {
    answers.shift()?.();
    await clock.advance(0);
  };
  return { clock, sent, batches, take, answer };
}

it('a batch is sent when it is full, and an incomplete one after the delay', async () => {
  const { clock, sent, take, answer } = start();
  take(2);
  expect(sent).toEqual(['1 2']);
  await answer();
  take(1);
  await clock.advance(4_999);
  expect(sent).toEqual(['1 2']);
  await clock.advance(1);
  expect(sent).toEqual(['1 2', '3']);
});

it('the first batch is sent early, also where it is incomplete', async () => {
  const { clock, sent, take, answer } = start();
  take(1);
  await clock.advance(249);
  expect(sent).toEqual([]);
  await clock.advance(1);
  expect(sent).toEqual(['1']);
  await answer();
  take(1);
  await clock.advance(4_999);
  expect(sent).toEqual(['1']);
  await clock.advance(1);
  expect(sent).toEqual(['1', '2']);
});

it('one batch is sent at a time, and spans beyond the queue are dropped', async () => {
  const { sent, take, answer } = start();
  take(12);
  expect(sent).toEqual(['1 2']);
  for (let at = 0; at < 4; at++) await answer();
  expect(sent).toEqual(['1 2', '3 4', '5 6', '7 8']);
});

it('an export that takes too long makes room for the next', async () => {
  const { clock, sent, take } = start();
  take(4);
  await clock.advance(limits.exportTimeoutMillis);
  expect(sent).toEqual(['1 2', '3 4']);
});

it('a shutdown sends every batch and waits for all, and takes no further spans', async () => {
  const { sent, batches, take, answer } = start();
  take(5);
  let isOver = false;
  const over = batches.shutdown().then(() => {
    isOver = true;
  });
  expect(sent).toEqual(['1 2', '3 4', '5']);
  take(1);
  await answer();
  await answer();
  expect(isOver).toBe(false);
  await answer();
  await over;
  expect(sent).toHaveLength(3);
});

it('a shutdown without spans sends nothing', async () => {
  const { sent, batches } = start();
  await batches.shutdown();
  expect(sent).toEqual([]);
});
