import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SseParser, textOfData } from '../../src/upstream/stream/sse.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';

interface Read {
  readonly events: readonly (readonly [data: string, id: string | undefined])[];
  readonly retries: readonly number[];
}

/** Messages and retry times, as the proxy reads the chunks. */
function ours(chunks: readonly Uint8Array[]): Read & { readonly ids: readonly (string | undefined)[] } {
  const events: [string, string | undefined][] = [];
  const ids: (string | undefined)[] = [];
  const retries: number[] = [];
  const parser = new SseParser({
    event: ({ data, id }) => {
      ids.push(id);
      if (data !== undefined) events.push([textOfData(data), id]);
    },
    retry: (ms) => retries.push(ms),
  });
  for (const chunk of chunks) parser.push(chunk);
  return { events, retries, ids };
}

/** The same, as the parser of the MCP SDK reads the whole text. */
function theirs(bytes: Uint8Array): Read {
  const events: [string, string | undefined][] = [];
  const retries: number[] = [];
  const parser = createParser({
    onEvent: ({ data, id, event }) => {
      if (data !== '' && (event === undefined || event === '' || event === 'message'))
        events.push([data, id]);
    },
    onRetry: (ms) => retries.push(ms),
  });
  // All line ends are one to the grammar; a CR at the very end is one, which this parser does not know before more follows.
  parser.feed(new TextDecoder().decode(bytes).replace(/\r\n?/g, '\n'));
  return { events, retries };
}

const piece = fc.constantFrom(
  'data: {"jsonrpc":"2.0"}',
  'data:',
  'data',
  'data:  two blanks',
  'data: é\u{1F600}\u2028',
  'id: 1',
  'id:',
  'id: a\0b',
  'event: message',
  'event: other',
  'event:',
  'retry: 10',
  'retry: 1x',
  'retry:',
  ': a comment',
  ':',
  'unknown: field',
  'Data: case counts',
  ' data: a blank before',
  'data : a blank behind',
  '\uFEFF',
  '\uFEFFdata: x',
);
const end = fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n', '\n\r', '');
const stream = fc
  .array(fc.oneof(fc.tuple(piece, end), fc.tuple(fc.string({ unit: 'binary', maxLength: 8 }), end)), {
    maxLength: 24,
  })
  .map((lines) => Buffer.from(lines.flat().join('')));

it(
  'an event stream is read as another parser reads it, wherever its bytes are split',
  async () => {
    await fuzz(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 8 }), (bytes, cuts) => {
        const whole = ours([bytes]);
        const { events, retries } = whole;
        expect({ events, retries }).toEqual(theirs(bytes));
        for (let at = 0; at <= bytes.length; at++) {
          expect(ours([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
        }
        const ends = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort(
          (one, other) => one - other,
        );
        const chunks = ends.slice(1).map((to, index) => bytes.subarray(ends[index], to));
        expect(ours(chunks)).toEqual(whole);
        expect(ours([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
      }),
      150,
    );
  },
  FUZZ_TIMEOUT,
);
