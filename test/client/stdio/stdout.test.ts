import { PassThrough, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { StdoutWriter } from '../../../src/client/stdio/stdout.ts';
import { systemClock } from '../../../src/core/time/clock.ts';

/** A stream that accepts a write only when the test allows it, and counts the system calls. */
function slowStream(highWaterMark = 16) {
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  const stream = new Writable({
    highWaterMark,
    decodeStrings: false,
    writev: (chunks, done) => {
      taken.push(chunks.map(({ chunk }) => String(chunk)).join(''));
      waiting.push(() => done());
    },
  });
  const take = async () => {
    waiting.shift()?.();
    await turn();
  };
  return { stream, taken, take };
}

const isSettled = async (promise: Promise<void>): Promise<boolean> => {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await turn();
  return settled;
};

describe('stdout', () => {
  it('stdout receives whole lines in order, those of one turn in one write', async () => {
    const { stream, taken, take } = slowStream(1_000);
    const stdout = new StdoutWriter(() => undefined, stream);
    for (const line of ['a', 'b', 'é']) void stdout.line(line);
    expect(taken).toEqual([]);
    await turn();
    void stdout.line('c');
    await take();
    await take();
    expect(taken).toEqual(['a\nb\né\n', 'c\n']);
  });

  it('stdout receives the bytes of a line if they are known, between the others', async () => {
    const { stream, taken } = slowStream(1_000);
    const stdout = new StdoutWriter(() => undefined, stream);
    void stdout.line('a');
    void stdout.line(Buffer.from('é'));
    void stdout.line('b');
    await turn();
    expect(taken).toEqual(['a\né\nb\n']);
  });

  it('stdout writes resolve at once while there is room', async () => {
    const stdout = new StdoutWriter(() => undefined, slowStream(1_000).stream);
    expect(await isSettled(stdout.line('a'))).toBe(true);
  });

  it('stdout writes resolve for all waiting callers when the reader has room again', async () => {
    const { stream, take } = slowStream();
    const stdout = new StdoutWriter(() => undefined, stream);
    const waits = [stdout.line('x'.repeat(20)), stdout.line('y')];
    for (const wait of waits) expect(await isSettled(wait)).toBe(false);
    await take();
    for (const wait of waits) expect(await isSettled(wait)).toBe(true);
    expect(await isSettled(stdout.line('z'))).toBe(true);
    expect(stream.listenerCount('drain')).toBe(0);
  });

  it('stdout has few listeners, however many lines wait', async () => {
    const { stream } = slowStream();
    const stdout = new StdoutWriter(() => undefined, stream);
    for (let at = 0; at < 1_000; at++) void stdout.line('x'.repeat(20));
    expect(stream.listenerCount('drain')).toBe(1);
    expect(stream.listenerCount('error')).toBe(2);
  });

  it.each([
    ['breaks', new Error('write EPIPE'), ['write EPIPE']],
    ['is closed', undefined, ['stdout was closed']],
  ])('stdout that %s reports it once, and releases all waiting callers', async (_what, error, said) => {
    const { stream } = slowStream();
    const broken: string[] = [];
    const stdout = new StdoutWriter(({ message }) => broken.push(message), stream);
    const wait = stdout.line('x'.repeat(20));
    stream.destroy(error);
    await wait;
    await stdout.line('late');
    await stdout.flush(systemClock);
    stdout.text('later');
    await turn();
    expect(broken).toEqual(said);
  });

  it('stdout reports once that it broke if the system refuses every write', async () => {
    const broken: string[] = [];
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('write EPIPE')) });
    const stdout = new StdoutWriter(({ message }) => broken.push(message), stream);
    for (let at = 0; at < 3; at++) await stdout.line('a');
    await stdout.flush(systemClock);
    await turn();
    expect(broken).toEqual(['write EPIPE']);
  });

  it('stdout is flushed when everything has been written, lines of the same turn included', async () => {
    const { stream, taken, take } = slowStream();
    const stdout = new StdoutWriter(() => undefined, stream);
    void stdout.line('a');
    const flushed = stdout.flush(systemClock);
    expect(await isSettled(flushed)).toBe(false);
    await take();
    await take();
    await flushed;
    expect(taken.join('')).toBe('a\n');
  });

  it('stdout receives text for people unchanged', async () => {
    const stream = new PassThrough();
    const stdout = new StdoutWriter(() => undefined, stream);
    stdout.text('no end');
    await stdout.flush(systemClock);
    expect(String(stream.read())).toBe('no end');
  });
});
