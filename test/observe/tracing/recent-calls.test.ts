import { expect, it } from 'vitest';
import type { CallRecord } from '../../../src/core/pipeline/call-record.ts';
import { RecentCalls } from '../../../src/observe/tracing/recent-calls.ts';

const recordOf = (number: number) => ({ number, span: { spanId: String(number) } }) as unknown as CallRecord;

it('the span of a call is found while it is in flight and right after its end', () => {
  const calls = new RecentCalls();
  const record = recordOf(1);
  calls.add(record);
  expect(calls.spanOf(1)).toBe(record.span);
  calls.end(record);
  expect(calls.spanOf(1)).toBe(record.span);
  expect(calls.spanOf(2)).toBeUndefined();
});

it('a call is forgotten after 64 later ends, and those in flight are kept', () => {
  const calls = new RecentCalls();
  const waiting = recordOf(1);
  calls.add(waiting);
  for (let number = 2; number < 70; number++) {
    calls.add(recordOf(number));
    calls.end(recordOf(number));
  }
  expect([2, 5, 6, 69].map((number) => calls.spanOf(number)?.spanId)).toEqual([
    undefined,
    undefined,
    '6',
    '69',
  ]);
  expect(calls.spanOf(1)).toBe(waiting.span);
});

it('a call takes the place of the one 4,096 calls before it, and its late end removes nothing', () => {
  const calls = new RecentCalls();
  const [old, later] = [recordOf(7), recordOf(7 + 4_096)];
  calls.add(old);
  calls.add(later);
  calls.end(old);
  for (let number = 10_000; number < 10_064; number++) calls.end(recordOf(number));
  expect(calls.spanOf(7)).toBeUndefined();
  expect(calls.spanOf(later.number)).toBe(later.span);
});
