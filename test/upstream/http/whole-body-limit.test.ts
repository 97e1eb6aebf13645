import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readLimit } from '../../../src/core/jsonrpc/read-limit.ts';
import { Incoming } from '../../../src/upstream/http/incoming.ts';

const LIMIT = readLimit(65_536);

const answerOf = (headers: Record<string, string> = {}): Incoming =>
  new Incoming(200, headers, { pause: () => undefined, resume: () => undefined });

const UNKNOWN = {
  reason: 'line-too-long',
  message:
    'The answer is longer than the 65536 bytes that MCP clients take in one message (--max-line). Ask for less at once; the call itself has run.',
};

describe('the limit of a whole body', () => {
  it.each([
    ['gzip', zlib.gzipSync],
    ['deflate', zlib.deflateSync],
    ['br', zlib.brotliCompressSync],
  ])(
    'a body over the limit that is decompressed from %s is refused by its decoded bytes',
    async (encoding, encode) => {
      const answer = answerOf({ 'content-encoding': encoding });
      answer.push(encode(Buffer.alloc(10_000_000, ' ')));
      answer.end();
      await expect(answer.readAll(LIMIT)).rejects.toMatchObject(UNKNOWN);
    },
  );

  it('a body over the limit is refused by its announced length before it arrives, with its size', async () => {
    const answer = answerOf({ 'content-length': '9000000' });
    await expect(answer.readAll(LIMIT)).rejects.toMatchObject({
      reason: 'line-too-long',
      message: expect.stringMatching(/^The answer is 9000000 bytes long, more than the 65536 bytes/),
      details: { bytes: 9_000_000, limit: 65_536 },
    });
  });

  it('a body over the limit is refused while it arrives, and none of it is kept', async () => {
    const answer = answerOf();
    const whole = answer.readAll(LIMIT);
    for (let n = 0; n < 4; n++) answer.push(Buffer.alloc(65_536));
    await expect(whole).rejects.toMatchObject(UNKNOWN);
    expect(answer.unreadBytes).toBe(0);
  });

  it('a body over the limit names the bound that holds if --max-line is 0', () => {
    expect(readLimit(0).tooLong().message).toContain(
      'longer than the 268435456 bytes that are read of one message where --max-line is 0',
    );
  });
});

it('a body of single bytes takes memory in proportion to its length', () => {
  const answer = answerOf();
  for (let n = 0; n < 200_000; n++) answer.push(Buffer.of(n % 256));
  expect(answer.unreadBytes).toBe(200_000);
  expect(answer.unread.subarray(0, 4)).toEqual(Buffer.of(0, 1, 2, 3));
});
