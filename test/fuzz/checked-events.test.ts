import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { visibleTools } from '../../src/layers/tool-filter/rules.ts';
import { CheckedEvents } from '../../src/upstream/passthrough/checked-events.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';

type Event = readonly [data: string, id: string | undefined];

/** The messages of a stream, as the parser of the MCP SDK reads it. */
function eventsIn(text: string): Event[] {
  const events: Event[] = [];
  const parser = createParser({
    onEvent: ({ data, id, event }) => {
      if (data !== '' && (event === undefined || event === '' || event === 'message'))
        events.push([data, id]);
    },
  });
  parser.feed(text.replace(/\r\n?/g, '\n'));
  return events;
}

function passed(chunks: readonly Buffer[], filtered: boolean): string {
  const rules = { readOnly: false, allowTool: [], denyTool: ['hidden*'] };
  const checked = new CheckedEvents({
    request: undefined,
    toError: (what) => new ProxyError('unusable-answer', what, { sent: 'maybe' }),
    onOtherId: () => undefined,
    onDropped: () => undefined,
    edit: filtered ? (response) => visibleTools(response, rules) : undefined,
  });
  return Buffer.concat(chunks.flatMap((chunk) => checked.check(chunk))).toString();
}

/** The same message without hidden tools, by parsing and writing it. */
function withoutHidden(data: string): unknown {
  const value = JSON.parse(data) as { result?: { tools?: { name: string }[] } } | { result?: never }[];
  const clean = (message: { result?: { tools?: { name: string }[] } }) => {
    if (message.result?.tools)
      message.result.tools = message.result.tools.filter(({ name }) => name !== 'hidden');
    return message;
  };
  return Array.isArray(value) ? value.map(clean) : clean(value as never);
}

const tool = fc.constantFrom(
  { name: 'shown' },
  { name: 'hidden' },
  { name: 'shown', description: 'é hidden' },
);
const message = fc.oneof(
  fc.array(tool, { maxLength: 4 }).map((tools) => ({ jsonrpc: '2.0', id: 0, result: { tools } })),
  fc.constantFrom<object>(
    { jsonrpc: '2.0', id: '', result: { content: [] } },
    { jsonrpc: '2.0', id: -1, error: { code: 1, message: 'no' } },
    { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } },
  ),
);
const data = fc.oneof(
  { weight: 4, arbitrary: message },
  { weight: 1, arbitrary: fc.array(message, { minLength: 2, maxLength: 3 }) },
);
const end = fc.constantFrom('\n', '\r', '\r\n');
const event = fc
  .record({
    data,
    end,
    id: fc.constantFrom('', 'id: 1'),
    type: fc.constantFrom('', 'event: message', ': comment', 'data:'),
    indent: fc.constantFrom(undefined, 1),
  })
  .map(
    ({ data: value, end: eol, id, type, indent }) =>
      [
        type,
        id,
        ...JSON.stringify(value, null, indent)
          .split('\n')
          .map((line) => `data: ${line}`),
      ]
        .filter(Boolean)
        .map((line) => line + eol)
        .join('') + eol,
  );

it(
  'an event stream that passes keeps its messages, and loses only hidden tools, wherever it is split',
  async () => {
    await fuzz(
      fc.property(
        fc.array(event, { maxLength: 6 }),
        fc.array(fc.nat(600), { maxLength: 8 }),
        (events, cuts) => {
          const bytes = Buffer.from(events.join(''));
          const ends = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort(
            (one, other) => one - other,
          );
          const chunks = ends.slice(1).map((to, at) => bytes.subarray(ends[at], to));
          const sent = eventsIn(bytes.toString());
          expect(eventsIn(passed(chunks, false))).toEqual(sent);
          const kept = eventsIn(passed(chunks, true));
          expect(kept.map(([text, id]) => [JSON.parse(text), id])).toEqual(
            sent.map(([text, id]) => [withoutHidden(text), id]),
          );
          const single = [...bytes].map((byte) => Buffer.of(byte));
          expect(eventsIn(passed(single, true))).toEqual(kept);
        },
      ),
      200,
    );
  },
  FUZZ_TIMEOUT,
);
