import { describe, expect, it } from 'vitest';
import { type SseEvent, SseParser, textOfData } from '../../../src/upstream/stream/sse.ts';
import { fc } from '../../support/property.ts';

/** An event with its data as text. */
interface ReadEvent {
  readonly data: string | undefined;
  readonly id: string | undefined;
}

const readable = ({ data, id }: SseEvent): ReadEvent => ({ data: data && textOfData(data), id });

interface Parsed {
  readonly events: ReadEvent[];
  readonly retries: number[];
}

function parse(chunks: readonly Uint8Array[]): Parsed {
  const events: ReadEvent[] = [];
  const retries: number[] = [];
  const parser = new SseParser({
    event: (event) => events.push(readable(event)),
    retry: (ms) => retries.push(ms),
  });
  for (const chunk of chunks) parser.push(chunk);
  return { events, retries };
}

const event = (data: string | undefined, id?: string): ReadEvent => ({ data, id });

/** Streams by the WHATWG grammar, each with what it says. */
const STREAMS: [what: string, text: string, events: ReadEvent[], retries?: number[]][] = [
  ['one event', 'data: a\n\n', [event('a')]],
  ['two events', 'data: a\n\ndata: b\n\n', [event('a'), event('b')]],
  ['lines that end in CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', [event('a'), event('b')]],
  ['lines that end in CR', 'data: a\r\rdata: b\r\r', [event('a'), event('b')]],
  ['line ends of every kind', 'data: a\r\n\ndata: b\r\r\ndata: c\n\r', [event('a'), event('b'), event('c')]],
  ['data of several lines', 'data: a\ndata: b\ndata:\n\n', [event('a\nb\n')]],
  ['no blank after the colon', 'data:a\n\n', [event('a')]],
  ['two blanks after the colon, of which one is data', 'data:  a\n\n', [event(' a')]],
  ['a colon in the data', 'data: {"a":"b: c"}\n\n', [event('{"a":"b: c"}')]],
  ['the name of its event', 'event: message\ndata: a\n\n', [event('a')]],
  ['the name of another event', 'event: ping\ndata: a\n\ndata: b\n\n', [event(undefined), event('b')]],
  ['a comment', ': keep-alive\n\ndata: a\n\n', [event('a')]],
  ['a comment in the middle of an event', 'data: a\n: hm\ndata: b\n\n', [event('a\nb')]],
  ['blank lines only', '\n\n\r\n\r', []],
  ['an id', 'id: 7\ndata: a\n\n', [event('a', '7')]],
  ['an id that is empty', 'id:\ndata: a\n\n', [event('a', '')]],
  [
    'an id that does not go over to the next event',
    'id: 7\ndata: a\n\ndata: b\n\n',
    [event('a', '7'), event('b')],
  ],
  ['an id with a NUL, which is ignored', 'id: a\0b\ndata: a\n\n', [event('a')]],
  ['an id without data', 'id: 7\n\n', [event(undefined, '7')]],
  [
    'an id with empty data, as servers prime streams',
    'id: 7\nretry: 500\ndata:\n\n',
    [event(undefined, '7')],
    [500],
  ],
  ['empty data', 'data\n\n', [event(undefined)]],
  ['a retry time', 'retry: 0\n\nretry: 1500\n\n', [], [0, 1500]],
  ['an invalid retry time', 'retry: 1s\nretry: -1\nretry:\nretry: 1.5\n\n', [], []],
  ['unknown fields', 'datax: a\nDATA: b\n data: c\ndata: d\n\n', [event('d')]],
  ['an event that the end cuts', 'data: a\n\ndata: b\n', [event('a')]],
  ['a byte order mark', '\uFEFFdata: a\n\n', [event('a')]],
  ['a byte order mark in the middle, which is data', 'data: \uFEFFa\n\n', [event('\uFEFFa')]],
  ['characters of two, three and four bytes', 'data: é€😀\n\n', [event('é€😀')]],
  [
    'line separators that end no line',
    'data: a\u2028b\u2029c\u0085d\vf\n\n',
    [event('a\u2028b\u2029c\u0085d\vf')],
  ],
];

describe('the SSE parser', () => {
  it.each(STREAMS)('the SSE parser reads %s', (_what, text, events, retries = []) => {
    expect(parse([Buffer.from(text)])).toEqual({ events, retries });
  });

  it.each(STREAMS)('the SSE parser reads %s, cut anywhere in two', (_what, text, events, retries = []) => {
    const bytes = Buffer.from(text);
    for (let at = 0; at <= bytes.length; at++) {
      expect(parse([bytes.subarray(0, at), bytes.subarray(at)])).toEqual({ events, retries });
    }
  });

  it.each(STREAMS)(
    'the SSE parser reads %s, byte by byte, with empty chunks between',
    (_what, text, events, retries = []) => {
      const chunks = [...Buffer.from(text)].flatMap((byte) => [Buffer.of(byte), Buffer.alloc(0)]);
      expect(parse(chunks)).toEqual({ events, retries });
    },
  );
});

/** The grammar again, as plainly as it can be said, over the whole text at once. */
function plainly(text: string): ReadEvent[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  // Text after the last line end is no line.
  lines.pop();
  const events: ReadEvent[] = [];
  let fields: [string, string][] = [];
  for (const line of lines) {
    if (line !== '') {
      const [, name = '', value = ''] = /^([^:]*)(?::[ ]?(.*))?$/su.exec(line) ?? [];
      fields.push([name, value]);
      continue;
    }
    const data = fields.filter(([name]) => name === 'data').map(([, value]) => value);
    const ids = fields
      .filter(([name, value]) => name === 'id' && !value.includes('\0'))
      .map(([, value]) => value);
    const type = fields.filter(([name]) => name === 'event').at(-1)?.[1] ?? '';
    const joined = type === '' || type === 'message' ? data.join('\n') : '';
    if (data.length + ids.length > 0) events.push({ data: joined || undefined, id: ids.at(-1) });
    fields = [];
  }
  return events;
}

it('the SSE parser agrees with the grammar for any text in any chunks', () => {
  const piece = fc.constantFrom(
    'data',
    'id',
    'event',
    'retry',
    ':',
    ': ',
    ' ',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    'a',
    '7',
    '😀',
    '\0',
    '\uFEFF',
    'message',
  );
  const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.nat(60), { maxLength: 8 }), (whole, cuts) => {
      const bytes = Buffer.from(whole);
      const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
      expect(parse(chunks).events).toEqual(plainly(whole));
    }),
    { numRuns: 2000 },
  );
});

it('the SSE parser takes linear time for an event of many megabytes in many chunks', () => {
  const chunk = Buffer.alloc(16_384, 'x');
  const { events } = parse([
    Buffer.from('data: '),
    ...Array.from({ length: 1024 }, () => chunk),
    Buffer.from('\n\n'),
  ]);
  expect(events.map(({ data }) => data?.length)).toEqual([16_777_216]);
});

describe('the SSE parser with a limit', () => {
  const received = (chunks: readonly string[]): ReadEvent[] => {
    const events: ReadEvent[] = [];
    const parser = new SseParser({ event: (one) => events.push(readable(one)), retry: () => undefined }, 16);
    for (const chunk of chunks) parser.push(Buffer.from(chunk));
    return events;
  };

  it.each([
    ['in one line', 'data: 0123456789abcdefg\n\n'],
    ['in several lines', 'data: 0123456789\ndata: abcdefg\n\n'],
    ['with an id after it', 'data: 0123456789abcdefg\nid: 9\n\n'],
    ['with lines of other kinds in it', 'data: 0123456789\nevent: message\ndata: abcdefg\n: hm\ndata: x\n\n'],
  ])('the SSE parser skips one %s and reads what surrounds it', (_what, long) => {
    const text = `data: a\nid: 1\n\n${long}data: b\n\n`;
    expect(received([text])).toEqual([event('a', '1'), event('b')]);
    expect(received([...text])).toEqual([event('a', '1'), event('b')]);
  });

  it.each([
    ['a long line', ['data: 0123456789', 'abcdefg'], '0123456789abcdefg'],
    ['lines without text', ['data: x\n', ...Array.from({ length: 20 }, () => 'data:\n')], 'x'],
  ])(
    'the SSE parser reports one of %s at once, with its beginning, before it ends',
    (_what, chunks, beginning) => {
      const heads: string[] = [];
      const parser = new SseParser(
        { event: () => undefined, retry: () => undefined, skipped: (head) => heads.push(head.toString()) },
        16,
      );
      for (const chunk of chunks) parser.push(Buffer.from(chunk));
      parser.push(Buffer.from('\n'));
      expect(heads).toEqual([expect.stringMatching(`^${beginning}`)]);
    },
  );

  it('the SSE parser ignores a comment and a field of any length, and keeps the event around them', () => {
    const long = 'y'.repeat(20_000);
    const text = `data: a\n: ${long}\nid: ${long}\nevent: ${long}\ndata: b\n\n`;
    expect(received([text])).toEqual([event('a\nb')]);
    expect(received(text.match(/[\s\S]{1,1000}/g) ?? [])).toEqual([event('a\nb')]);
  });

  it('the SSE parser reads an event of the maximum length', () => {
    expect(received(['data: 0123456789abcdef\n\n'])).toEqual([event('0123456789abcdef')]);
  });

  it('the SSE parser keeps nothing of an event without end', () => {
    const events = received([
      'data: ',
      ...Array.from({ length: 2_000 }, () => 'x'.repeat(1_000)),
      '\n\ndata: b\n\n',
    ]);
    expect(events).toEqual([event('b')]);
  });
});
