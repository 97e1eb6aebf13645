import { ProxyError } from '../errors/errors.ts';
import { heapShare } from '../system/heap-share.ts';

/**
 * Bytes of one upstream message that are read where --max-line is 0: half of what a JavaScript
 * string can hold. A larger --max-line reads no more either.
 */
export const MAX_READ_BYTES = heapShare(256 * 1024 * 1024);
/**
 * Read beyond --max-line, so that the error of a message that is a little too long names its exact
 * size.
 */
const MAX_EXCESS_BYTES = 64 * 1024;
/**
 * An empty object of 3 bytes takes 64 bytes of heap, one with a key of its own 190, and so a
 * message of 10 MB could take 280 MB. Rows of real tables are longer than this on average.
 */
const MIN_BYTES_PER_CONTAINER = 20;
/**
 * The largest memory of one object with its key. All together take at most an eighth of the heap.
 */
const CONTAINER_BYTES = 256;
const MAX_CONTAINERS = Math.floor(heapShare(4 * 1024 * 1024 * 1024) / CONTAINER_BYTES);

/** How much of one message from the server is read, in decoded bytes. */
export interface ReadLimit {
  readonly bytes: number;
  /** Objects and arrays in the message. */
  readonly containers: number;
  /** The error of a message with more bytes. @param size - its size, where that is known. */
  tooLong(size?: number): ProxyError;
  /** The error of a message with more objects and arrays. */
  tooMany(): ProxyError;
}

/** @param maxLineBytes - of --max-line, 0 = no limit. */
export function readLimit(maxLineBytes: number): ReadLimit {
  const unlimited = maxLineBytes === 0 || maxLineBytes > MAX_READ_BYTES;
  const bytes = unlimited ? MAX_READ_BYTES : maxLineBytes + MAX_EXCESS_BYTES;
  const named = unlimited ? MAX_READ_BYTES : maxLineBytes;
  const containers = Math.min(MAX_CONTAINERS, Math.floor(bytes / MIN_BYTES_PER_CONTAINER));
  const why = unlimited
    ? `${named} bytes that are read of one message where --max-line is ${maxLineBytes}`
    : `${named} bytes that MCP clients take in one message (--max-line)`;
  return {
    bytes,
    containers,
    tooLong: (size) =>
      size === undefined
        ? answerTooLong(`longer than the ${why}`, { limit: named })
        : answerTooLong(`${size} bytes long, more than the ${why}`, { bytes: size, limit: named }),
    tooMany: () =>
      answerTooLong(
        `made of more than the ${containers} JSON objects and arrays that are read of one message (a higher --max-line allows more)`,
        {
          limit: containers,
        },
      ),
  };
}

const answerTooLong = (what: string, details: Readonly<Record<string, number>>): ProxyError =>
  new ProxyError('line-too-long', `The answer is ${what}. Ask for less at once; the call itself has run.`, {
    sent: 'maybe',
    fact: `The answer is ${what}`,
    details,
  });
