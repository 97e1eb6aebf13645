import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import { readLine } from '../../../src/core/jsonrpc/parse.ts';
import { CheckedEvents } from '../../../src/upstream/passthrough/checked-events.ts';

function requestOf(text: string): Request {
  const line = readLine(text);
  if (line.kind !== 'message' || line.message.kind !== 'request') throw new TypeError('no request');
  return line.message;
}

function checked() {
  const dropped: string[] = [];
  const events = new CheckedEvents({
    request: requestOf('{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"a"}}'),
    toError: (what) => new ProxyError('unusable-answer', what, { sent: 'maybe' }),
    onOtherId: () => undefined,
    onDropped: (reason) => dropped.push(reason),
  });
  return { events, dropped };
}

/** The stream as its client sees it, cut into chunks of so many bytes. */
function through(stream: string, size: number): string {
  const { events } = checked();
  const bytes = Buffer.from(stream);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(...events.check(bytes.subarray(at, at + size)));
  if (events.holds) pieces.push(events.release());
  return Buffer.concat(pieces).toString();
}

const notification = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}';

describe('checked events', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const name = JSON.stringify(end);
    const event = (data: string) => `event: message${end}data: ${data}${end}${end}`;
    const stream =
      `: comment${end}${end}` +
      event(notification) +
      event(`{"jsonrpc":"2.0","method":"long","params":{"long":"${'y'.repeat(300)}"}}`) +
      event('{"jsonrpc":"2.0","id":"0","result":{"n":1.0}}') +
      event('{"jsonrpc":"2.0","id":0,"result":{"second":true}}');

    it.each([1, 2, 3, 5, 7, 64, 100_000])(
      `checked events have the same meaning in chunks of %i bytes (${name})`,
      (size) => {
        const lines = through(stream, size).split(/\r\n|\r|\n/);
        const data = lines.filter((line) => line.startsWith('data:'));
        expect(data).toEqual([
          `data: ${notification}`,
          `data: {"jsonrpc":"2.0","method":"long","params":{"long":"${'y'.repeat(300)}"}}`,
          'data: {"jsonrpc":"2.0","id":0,"result":{"n":1.0}}',
        ]);
      },
    );

    it.each([1_000, 65_536, 1_000_000])(
      `checked events longer than the bound pass unread, chunk size %i (${name})`,
      (size) => {
        const long = event(`{"jsonrpc":"2.0","method":"long","params":{"long":"${'y'.repeat(200_000)}"}}`);
        const shown = through(long + event('{"error":"broken"}') + event(notification), size);
        expect(shown.startsWith(`event: message${end}data: {"jsonrpc":"2.0","method":"long"`)).toBe(true);
        expect(shown).toContain('y'.repeat(200_000));
        expect(shown).toContain('"code":');
        expect(shown).not.toContain('{"error":"broken"}');
        expect(shown.endsWith(event(notification))).toBe(true);
      },
    );
  }

  const stray = (id: unknown) => `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { of: id } })}\n\n`;

  it.each<[string, string, string]>([
    ['one under another id', stray('x'), 'id":0,"result":{"of":"x"}'],
    ['one under another id before the answer', stray('x') + stray(0), 'id":0,"result":{"of":0}'],
    ['two under other ids', stray('x') + stray(7), ''],
    ['one under another id, after an event that can be resumed', `id: 1\ndata:\n\n${stray('x')}`, ''],
  ])('checked events contain the answer of %s', (_what, stream, answer) => {
    const { events } = checked();
    const shown = Buffer.concat([...events.check(Buffer.from(stream)), events.end() ?? Buffer.alloc(0)]);
    expect(shown.toString()).toContain(answer);
    expect(shown.toString().match(/"result"/g) ?? []).toHaveLength(answer === '' ? 0 : 1);
    expect(events.answered).toBe(answer !== '');
  });

  it('checked events pass as one piece of their chunk if nothing is replaced', () => {
    const { events } = checked();
    const chunk = Buffer.from(`data: ${notification}\n\n`.repeat(1_000));
    const cut = chunk.subarray(0, chunk.length - 5);
    const pieces = events.check(cut);
    expect(pieces).toHaveLength(1);
    expect(pieces[0]?.buffer).toBe(chunk.buffer);
    expect(events.holds).toBe(true);
  });
});
