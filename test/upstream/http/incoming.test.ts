import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { headerOf, Incoming, mediaTypeOf } from '../../../src/upstream/http/incoming.ts';
import { settled } from './connection-rig.ts';

function incoming(headers: Record<string, string> = {}) {
  const flow: string[] = [];
  const answer = new Incoming(200, headers, {
    pause: () => void flow.push('pause'),
    resume: () => void flow.push('resume'),
  });
  return { answer, flow };
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

const ENCODERS = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  GZIP: zlib.gzipSync,
  deflate: zlib.deflateSync,
  br: zlib.brotliCompressSync,
  identity: (bytes: Buffer) => bytes,
  '': (bytes: Buffer) => bytes,
} as const;
const encodings = Object.entries(ENCODERS);
const text = 'data: {"jsonrpc":"2.0"}\n\n'.repeat(1000);

describe('a body', () => {
  it.each(encodings)(
    'a body of content-encoding "%s" is decoded as a whole, however it is cut',
    async (name, encode) => {
      const bytes = encode(Buffer.from(text));
      const { answer } = incoming({ 'content-encoding': name });
      for (const byte of bytes) answer.push(Buffer.of(byte));
      answer.end();
      expect((await answer.readAll()).toString()).toBe(text);
      expect((await answer.readAll()).toString()).toBe(text);
    },
  );

  it.each(encodings)('a body of content-encoding "%s" is decoded as it arrives', async (name, encode) => {
    const bytes = encode(Buffer.from(text));
    const { answer } = incoming({ 'content-encoding': name });
    const read = textOf(answer.chunks());
    for (const byte of bytes) answer.push(Buffer.of(byte));
    answer.end();
    expect(await read).toBe(text);
  });

  it('a compressed body in flushed pieces yields each piece before the next one arrives', async () => {
    const { answer } = incoming({ 'content-encoding': 'gzip' });
    const gzip = zlib.createGzip();
    gzip.on('data', (chunk: Buffer) => answer.push(chunk));
    const reader = answer.chunks()[Symbol.asyncIterator]();
    for (const piece of ['one', 'two']) {
      gzip.write(piece);
      gzip.flush();
      const { value } = await reader.next();
      expect(String(value)).toBe(piece);
    }
    // Leaving in the middle must not wait for a server that sends nothing more.
    await reader.return?.();
  });

  it.each(['gzip', 'deflate', 'br'])(
    'a broken body of encoding %s fails, as a whole and in pieces',
    async (name) => {
      for (const read of [(a: Incoming) => a.readAll(), (a: Incoming) => textOf(a.chunks())]) {
        const { answer } = incoming({ 'content-encoding': name });
        answer.push(Buffer.from('this was never compressed at all'));
        answer.end();
        await expect(read(answer)).rejects.toThrow();
      }
    },
  );

  it('a body that ends too early fails, compressed or not', async () => {
    for (const encoding of ['', 'gzip']) {
      const { answer } = incoming({ 'content-encoding': encoding });
      const read = textOf(answer.chunks());
      answer.push(zlib.gzipSync('half').subarray(0, 12));
      answer.fail(new Error('other side closed'));
      await expect(read).rejects.toThrow('other side closed');
    }
  });

  it('a body in an encoding that was not requested fails with that reason', async () => {
    const { answer } = incoming({ 'content-encoding': 'zstd' });
    answer.push(Buffer.from('x'));
    answer.end();
    const problem = {
      reason: 'unusable-answer',
      sent: 'maybe',
      message:
        'The server\'s answer cannot be used: it is compressed with "zstd", which was not requested. The call may have run. Turn that compression off in the server or in the proxy before it.',
    };
    await expect(answer.readAll()).rejects.toMatchObject(problem);
    expect(() => answer.chunks()).toThrowError(expect.objectContaining(problem));
  });

  it.each(['', 'gzip', 'br'])('a body of no bytes is empty in encoding "%s"', async (name) => {
    const { answer } = incoming({ 'content-encoding': name });
    answer.end();
    expect(await answer.readAll()).toEqual(Buffer.alloc(0));
  });
});

describe('the socket', () => {
  const block = Buffer.alloc(100_000);

  it('the socket of an unread body is paused, and resumed when its bytes were read', async () => {
    const { answer, flow } = incoming();
    answer.push(block);
    answer.push(block);
    expect(flow).toEqual([]);
    answer.push(block);
    answer.push(block);
    expect(flow).toEqual(['pause']);
    const reader = answer.chunks()[Symbol.asyncIterator]();
    await reader.next();
    expect(flow).toEqual(['pause', 'resume']);
  });

  it('the socket of a body that is read as a whole is never paused', async () => {
    const { answer, flow } = incoming();
    for (let at = 0; at < 4; at++) answer.push(block);
    const whole = answer.readAll();
    for (let at = 0; at < 4; at++) answer.push(block);
    answer.end();
    expect((await whole).length).toBe(800_000);
    expect(flow).toEqual(['pause', 'resume']);
  });

  it('a drained body is read to its end, and drain fails if the answer does', async () => {
    const { answer } = incoming();
    const drained = answer.drain();
    answer.push(block);
    expect(await settled(drained)).toBe(false);
    answer.end();
    await drained;
    const broken = incoming().answer;
    broken.fail(new Error('reset'));
    await expect(broken.drain()).rejects.toThrow('reset');
  });
});

describe('headers', () => {
  it.each([
    ['application/json', 'application/json'],
    ['Application/JSON; charset=utf-8', 'application/json'],
    [' text/event-stream ;x', 'text/event-stream'],
    ['', ''],
  ])('the media type of "%s" is read', (value, type) => {
    expect(mediaTypeOf({ 'content-type': value })).toBe(type);
  });

  it('a header yields the first of several values, or nothing', () => {
    expect(headerOf({ a: ['1', '2'] }, 'a')).toBe('1');
    expect(headerOf({}, 'a')).toBe('');
  });
});
