import { randomFillSync } from 'node:crypto';

const TRACE_DIGITS = 32;
const SPAN_DIGITS = 16;
/** Random bytes are generated and encoded in blocks, because each call has a fixed cost. */
const POOL_BYTES = 4_096;

const pool = Buffer.alloc(POOL_BYTES);
let digits = '';
let used = 0;

function randomHex(count: number): string {
  if (used + count > digits.length) {
    digits = randomFillSync(pool).toString('hex');
    used = 0;
  }
  used += count;
  return digits.slice(used - count, used);
}

export const newTraceId = (): string => randomHex(TRACE_DIGITS);
export const newSpanId = (): string => randomHex(SPAN_DIGITS);
