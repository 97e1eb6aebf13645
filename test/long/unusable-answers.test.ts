import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { send } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { startInitialized } from '../support/relayed.ts';

type Kind = 'json' | 'events';

/** Answers tools/call with the text, as JSON or as the only event of a stream. */
const saying = (kind: Kind, text: string) => ({
  'tools/call': (_request: unknown, response: ServerResponse): void => {
    if (kind === 'json') {
      sendJson(response, 200, text);
      return;
    }
    const events = new EventWriter(response);
    events.send(text);
    events.end();
  },
});

const calling = (id: unknown, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'echo', ...(meta ? { _meta: meta } : {}) },
});
const STATELESS = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };

const UNUSABLE: readonly (readonly [what: string, text: string, words: string])[] = [
  ['an error that is a text', '{"error":"Session is not ours"}', 'Session is not ours'],
  ['an error that is a text, with an id', '{"jsonrpc":"2.0","id":0,"error":"Out of order"}', 'Out of order'],
  [
    'an error whose code is a text',
    '{"jsonrpc":"2.0","id":0,"error":{"code":"E1","message":"Broken"}}',
    'Broken',
  ],
  [
    'an error whose code is no integer',
    '{"jsonrpc":"2.0","id":0,"error":{"code":1.5,"message":"Half"}}',
    'Half',
  ],
  ['an error without a message', '{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"why":"Mute"}}', 'Mute'],
  [
    'an error whose message is no text',
    '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":["List"]}}',
    'List',
  ],
  [
    'an error that is a list, beside a result',
    '{"jsonrpc":"2.0","id":0,"result":{},"error":["Both"]}',
    'Both',
  ],
  ['an error that is false', '{"jsonrpc":"2.0","id":0,"error":false,"note":"Denied"}', 'Denied'],
];

describe.each<Kind>(['json', 'events'])('an answer that no client could take, as %s', (kind) => {
  it.each(UNUSABLE)(
    "an unusable answer becomes an error with the server's text: %s",
    async (_what, text, words) => {
      const { bin, server } = await startInitialized({ on: saying(kind, text) });
      for (const meta of [undefined, STATELESS]) {
        for (const id of [0, '', -1]) {
          bin.send(calling(id, meta));
          expect(await bin.next((message) => message.id === id)).toMatchObject({
            jsonrpc: '2.0',
            error: {
              code: -31004,
              message: expect.stringContaining(words),
              data: { reason: 'unusable-answer', mayHaveRun: true, httpStatus: 200 },
            },
          });
        }
      }
      expect(server.of('tools/call')).toHaveLength(6);
      expect(bin.stderr).toBe('');
    },
  );

  it.each(UNUSABLE)(
    'an unusable answer is an error for a listener client too: %s',
    async (_what, text, words) => {
      const { ask, server } = await startListening({ session: { on: saying(kind, text) } });
      const headers = await openSession(ask, 'open');
      const before = server.of('tools/call').length;
      const { text: body, status } = await ask({ headers, body: calling(0) });
      const data = kind === 'json' ? body : (/^data: (.*)$/m.exec(body)?.[1] ?? '');
      expect(JSON.parse(data)).toMatchObject({
        jsonrpc: '2.0',
        id: 0,
        error: { code: -31004, message: expect.stringContaining(words) },
      });
      expect(status).toBe(kind === 'json' ? 502 : 200);
      expect(server.of('tools/call')).toHaveLength(before + 1);
    },
  );
});

it.each([
  ['a notification without a method', '{"jsonrpc":"2.0","params":{"level":"info"}}'],
  [
    'a notification whose params are a text',
    '{"jsonrpc":"2.0","method":"notifications/message","params":"x"}',
  ],
  ['a request whose id is null', '{"jsonrpc":"2.0","id":null,"method":"roots/list"}'],
  ['a request whose id is a fraction', '{"jsonrpc":"2.0","id":1.5,"method":"roots/list"}'],
  ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":7}'],
  ['a number', '7'],
])('an event that is no message costs only itself, on stdio and at the listener: %s', async (_what, text) => {
  const on = {
    'tools/call': (_request: unknown, response: ServerResponse): void => {
      const events = new EventWriter(response);
      events.send(text);
      events.send('{"jsonrpc":"2.0","id":0,"result":{"content":[]}}');
      events.end();
    },
  };
  const { bin } = await startInitialized({ on });
  bin.send(calling(0));
  await bin.answer(0);
  expect(bin.lines.slice(1)).toEqual(['{"jsonrpc":"2.0","id":0,"result":{"content":[]}}']);
  const { ask } = await startListening({ session: { on } });
  const headers = await openSession(ask, 'open');
  const { text: body } = await ask({ headers, body: calling(0) });
  expect(body.match(/^data: .+$/gm)).toEqual(['data: {"jsonrpc":"2.0","id":0,"result":{"content":[]}}']);
});

it('params that are null are left out, because clients refuse them', async () => {
  const { bin } = await startInitialized({
    on: {
      'tools/call': (_request, response) => {
        const events = new EventWriter(response);
        events.send('{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}');
        events.send('{"jsonrpc":"2.0","id":0,"result":{}}');
        events.end();
      },
    },
  });
  bin.send(calling(0));
  await bin.answer(0);
  expect(bin.lines.slice(1)[0]).toBe('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
});

describe('the only response to the only request is its answer, whatever its id', () => {
  const cases = [
    ['another type', 1, '"1"'],
    ['another type, the other way', '1', '1'],
    ['null', 0, 'null'],
    ['none', '', undefined],
    ['an object', -1, '{"a":1}'],
    ['another id', 7, '"of somebody else"'],
    ['zero', '0', '0'],
  ] as const;

  it.each(cases.flatMap((each) => (['json', 'events'] as const).map((kind) => [kind, ...each] as const)))(
    'the only response to the only request is its answer: as %s with %s',
    async (kind, _what, id, given) => {
      const member = given === undefined ? '' : `"id":${given},`;
      const answer = `{"jsonrpc":"2.0",${member}"result":{"big":12345678901234567890}}`;
      const { bin } = await startInitialized({ args: ['--log-level', 'warn'], on: saying(kind, answer) });
      for (const meta of [undefined, STATELESS]) {
        bin.send(calling(id, meta));
        expect(await bin.next((message) => message.id === id)).toHaveProperty('result');
        expect(bin.lines.at(-1)).toContain('12345678901234567890');
      }
      await bin.stderrMatching(/upstream\.other-id/);
      // Once for the profile, however often it happens.
      expect(bin.stderr.match(/upstream\.other-id/g)).toHaveLength(1);

      const { ask } = await startListening({ session: { on: saying(kind, answer) } });
      const headers = await openSession(ask, 'open');
      const { text } = await ask({ headers, body: calling(id) });
      const restored = kind === 'json' || given !== '"of somebody else"';
      if (restored) expect(text).toContain(`"id":${JSON.stringify(id)}`);
    },
  );

  it('an answer under another id is not accepted if several requests are possible', async () => {
    const { bin } = await startInitialized({
      on: saying('json', '[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","id":"b","result":{}}]'),
    });
    bin.send(calling(0));
    expect(await bin.answer(0)).toHaveProperty('error.data.reason', 'unusable-answer');
  });

  it('an answer under another id is not accepted from a stream that can be resumed', async () => {
    let resumed = 0;
    const { bin } = await startInitialized({
      on: {
        'tools/call': (_request, response) => {
          const events = new EventWriter(response);
          events.prime('e1', 1);
          events.send('{"jsonrpc":"2.0","id":"of another","result":{"wrong":true}}', 'e2');
          events.end();
        },
      },
      before: (next) => (request, response) => {
        if (request.method === 'GET' && request.headers['last-event-id'] === 'e2') {
          resumed++;
          const events = new EventWriter(response);
          events.send('{"jsonrpc":"2.0","id":0,"result":{"right":true}}', 'e3');
          events.end();
          return;
        }
        return next(request, response);
      },
    });
    bin.send(calling(0));
    expect(await bin.answer(0)).toMatchObject({ result: { right: true } });
    expect(resumed).toBe(1);
  });
});

it('a long answer through the listener passes byte for byte, as does an event beyond the checked length', async () => {
  const long = `{"id":0,"jsonrpc":"2.0","result":{"text":"${'é'.repeat(100_000)}"}}`;
  for (const kind of ['json', 'events'] as const) {
    const { url, ask } = await startListening({ session: { on: saying(kind, long) } });
    const headers = await openSession(ask, 'open');
    const { text } = await send(url, { headers, body: calling(0) });
    expect(kind === 'json' ? text === long : text.includes(`data: ${long}\n\n`)).toBe(true);
  }
});
