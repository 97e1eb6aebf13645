import { describe, expect, it } from 'vitest';
import { ClientWriter, type Send } from '../../../src/client/stdio/client-writer.ts';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import { readMessages } from '../../../src/core/jsonrpc/parse.ts';
import { Events } from '../../../src/core/pipeline/events.ts';

const LONG = `{"jsonrpc":"2.0","id":0,"result":"${'é'.repeat(40_000)}"}`;
const SHORT = '{"jsonrpc":"2.0","id":1,"result":{}}';

const read = (text: string): Message => readMessages(text, Buffer.from(text))[0] as Message;

/** A writer, and what it sends. */
function writing(takesBytes: boolean) {
  const sent: (string | Buffer)[] = [];
  const text = async (line: string) => void sent.push(line);
  const bytes = async (line: Buffer) => void sent.push(line);
  const send: Send = takesBytes ? Object.assign(text, { bytes }) : text;
  return { sent, writer: new ClientWriter({ events: new Events(), maxLineBytes: 0, send }) };
}

describe('a line to the client', () => {
  it('a long line is sent as the bytes that it came in, where the client takes bytes', async () => {
    const { sent, writer } = writing(true);
    await writer.write(read(LONG));
    await writer.write(read(SHORT));
    expect(sent[0]).toBeInstanceOf(Buffer);
    expect(sent.map(String)).toEqual([LONG, SHORT]);
  });

  it('a long line is sent as text to a client that takes text only', async () => {
    const { sent, writer } = writing(false);
    await writer.write(read(LONG));
    expect(sent).toEqual([LONG]);
  });

  it('a long line counts as unread until the client has room', async () => {
    const { writer } = writing(true);
    const written = writer.write(read(LONG));
    expect(writer.unread).toBe(Buffer.byteLength(LONG));
    await written;
    expect(writer.unread).toBe(0);
  });
});
