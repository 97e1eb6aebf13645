import { describe, expect, it } from 'vitest';
import { EventStream } from '../../../src/client/http/event-stream.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const COMMENT = ': keepalive\n\n';

function rig(keepaliveMs = 25_000) {
  const clock = new FakeClock();
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  let slow = false;
  const sink = {
    write: (bytes: Uint8Array): Promise<void> => {
      written.push(Buffer.from(bytes).toString());
      return slow ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
    },
  };
  const stream = new EventStream({ sink, clock, keepaliveMs });
  return {
    stream,
    clock,
    written,
    write: (text: string) => stream.write(Buffer.from(text)),
    slowDown: () => {
      slow = true;
    },
    takeAll: () => {
      slow = false;
      for (const taken of waiting.splice(0)) taken();
    },
  };
}

describe('an event stream is between two events', () => {
  it.each<[chunks: string[], between: boolean]>([
    [[], true],
    [['data: x\n\n'], true],
    [['data: x\r\n\r\n'], true],
    [['data: x\r\r'], true],
    [['data: x\n\r\n'], true],
    [['data: x\r\r\n'], true],
    [['data: x', '\n', '\n'], true],
    [['data: x\r', '\n', '\r', '\n'], true],
    [['id: 1\n\ndata: y\n\n'], true],
    [['\n'], true],
    [['d'], false],
    [['data: x'], false],
    [['data: x\n'], false],
    [['data: x\r\n'], false],
    [['data: x\r'], false],
    [['data: x\n\n', 'id: 2'], false],
    [['data: x\n\nid: 2\n'], false],
    [['data: x\r', '\n'], false],
    [['data: x\n\n', 'd'], false],
  ])('an event stream is between two events after %j: %s', (chunks, between) => {
    const { stream, write } = rig(0);
    for (const chunk of chunks) void write(chunk);
    expect(stream.betweenEvents).toBe(between);
    expect(stream.insert('event')).toBe(between);
  });
});

describe('a comment that keeps an event stream alive', () => {
  it('a keep-alive comment is written at once, and after each silence', async () => {
    const { clock, written, write, stream } = rig();
    expect(written).toEqual([COMMENT]);
    await clock.advance(24_000);
    void write('data: 1\n\n');
    await clock.advance(24_999);
    expect(written).toEqual([COMMENT, 'data: 1\n\n']);
    await clock.advance(1);
    await clock.advance(25_000);
    expect(written).toEqual([COMMENT, 'data: 1\n\n', COMMENT, COMMENT]);
    stream.stop();
    await clock.advance(100_000);
    expect(written.length).toBe(4);
    expect(clock.timers).toBe(0);
  });

  it('a keep-alive comment is never written within an event', async () => {
    const { clock, written, write, stream } = rig();
    void write('data: {"half');
    await clock.advance(100_000);
    void write('"}\n\n');
    await clock.advance(25_000);
    expect(written).toEqual([COMMENT, 'data: {"half', '"}\n\n', COMMENT]);
    stream.stop();
  });

  it('a keep-alive comment waits for a client that has not read the last one', async () => {
    const { clock, written, slowDown, takeAll, stream } = rig();
    await clock.advance(0);
    slowDown();
    await clock.advance(100_000);
    expect(written.length).toBe(2);
    takeAll();
    await clock.advance(25_000);
    expect(written.length).toBe(3);
    stream.stop();
  });

  it('a keep-alive comment replaces a byte order mark, which counts at the beginning only', () => {
    const { written, write, stream } = rig();
    void write('\uFEFFdata: 1\n\n');
    void write('\uFEFF');
    expect(written).toEqual([COMMENT, 'data: 1\n\n', '\uFEFF']);
    stream.stop();
  });

  it("keep-alive comments are off for 0, and then every byte is the server's", async () => {
    const { clock, written, write } = rig(0);
    void write('\uFEFFdata: 1\n\n');
    await clock.advance(1_000_000);
    expect(written).toEqual(['\uFEFFdata: 1\n\n']);
    expect(clock.timers).toBe(0);
  });
});
