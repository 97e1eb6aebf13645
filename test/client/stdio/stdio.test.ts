import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { readStdin } from '../../../src/client/stdio/stdio.ts';
import type { InvalidMessage } from '../../../src/core/jsonrpc/parse.ts';

function front() {
  const stdin = new PassThrough();
  const received: string[] = [];
  const refused: { error: InvalidMessage['error']; bytes: number }[] = [];
  const ends: string[] = [];
  readStdin({
    stdin,
    connection: {
      receive: (text) => received.push(text),
      refuse: ({ error }, bytes) => refused.push({ error, bytes }),
    },
    onEnd: (how) => ends.push(how),
  });
  const write = async (bytes: string | Buffer) => {
    stdin.write(bytes);
    await turn();
  };
  return { stdin, received, refused, ends, write };
}

describe('stdin', () => {
  it('stdin emits each line as text, and keeps a character whole that two chunks share', async () => {
    const { received, write } = front();
    const bytes = Buffer.from('{"t":"😀"}\n');
    await write(bytes.subarray(0, 8));
    expect(received).toEqual([]);
    await write(bytes.subarray(8));
    expect(received).toEqual(['{"t":"😀"}']);
  });

  it('stdin may begin with a byte order mark, as shells on Windows write it', async () => {
    const { received, write } = front();
    await write('\uFEFF{"a":1}\n\uFEFF{"b":2}\n');
    expect(received).toEqual(['{"a":1}', '\uFEFF{"b":2}']);
  });

  it('stdin may have the byte order mark on a line of its own', async () => {
    const { received, refused, write } = front();
    await write('\uFEFF\r\n{"a":1}\n');
    expect({ received, refused }).toEqual({ received: ['{"a":1}'], refused: [] });
  });

  it('stdin refuses a line that is not UTF-8, and goes on', async () => {
    const { received, refused, write } = front();
    await write(Buffer.from([0x7b, 0xff, 0xfe, 0x7d, 0x0a]));
    await write(Buffer.from('{"a":"é"}\n', 'latin1'));
    await write('{"b":"é"}\n');
    expect(received).toEqual(['{"b":"é"}']);
    expect(refused.map(({ error, bytes }) => [error.code, error.message, bytes])).toEqual([
      [-32700, 'Parse error: the line is not JSON (it is not UTF-8).', 4],
      [-32700, 'Parse error: the line is not JSON (it is not UTF-8).', 9],
    ]);
  });

  it('stdin names the mistake of a client that frames messages as language servers do', async () => {
    const { received, refused, write } = front();
    await write('Content-Length: 46\r\n\r\n{"jsonrpc":"2.0","id":0,"method":"initialize"}\n');
    expect(refused.map(({ error }) => [error.code, error.message])).toEqual([
      [
        -32700,
        'Parse error: the line is not JSON (Content-Length headers belong to the language server protocol; MCP takes one message a line).',
      ],
    ]);
    expect(received).toEqual(['{"jsonrpc":"2.0","id":0,"method":"initialize"}']);
  });

  it('stdin emits a last line without an end before it ends', async () => {
    const { stdin, received, ends, write } = front();
    await write('{"a":1}\n{"b":2}');
    expect(received).toEqual(['{"a":1}']);
    stdin.end();
    await turn();
    await turn();
    expect(received).toEqual(['{"a":1}', '{"b":2}']);
    expect(ends).toEqual(['stdin ended']);
  });

  it.each([
    ['broken', new Error('EIO'), 'stdin broke: EIO'],
    ['closed', undefined, 'stdin was closed'],
  ])('stdin that is %s ends once', async (_what, error, how) => {
    const { stdin, ends, write } = front();
    await write('{"a":1}\n');
    stdin.destroy(error);
    await turn();
    expect(ends).toEqual([how]);
  });

  it('stdin refuses a long line with its length and the limit', async () => {
    const { stdin, refused } = front();
    // The same megabyte again and again: only the count grows.
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    for (let sent = 0; sent <= 256; sent++) stdin.emit('data', chunk);
    stdin.emit('data', Buffer.from('\n'));
    expect(refused.map(({ error, bytes }) => [error.code, error.message, bytes])).toEqual([
      [
        -32600,
        'Invalid request: a line of 269484032 bytes, more than the 268435456 that are read as one message. Send less at once.',
        269_484_032,
      ],
    ]);
  });
});
