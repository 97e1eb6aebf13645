import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { startInitialized } from '../support/relayed.ts';

/** JSON that JSON.parse and JSON.stringify would change: numbers, key order, escapes, a repeated key. */
const DELICATE =
  '{"z":1.0,"2":9007199254740993,"1":12345678901234567890,"e":1e400,"m":-0,"t":1E5,"k":1,"k":2,"u":"\\u00e9é\\ud83d\\ude00😀\\/","s":" a  b "}';

/** Answers tools/call with exactly this text, as JSON or as an event. */
const answering = (kind: 'json' | 'sse', text: string) => ({
  'tools/call': (_request: unknown, response: ServerResponse): void => {
    if (kind === 'json') {
      sendJson(response, 200, text);
      return;
    }
    const events = new EventWriter(response);
    events.raw(`data: ${text.replace(/\n/g, '\ndata: ')}\n\n`);
    events.end();
  },
});

describe('the text of a message', () => {
  it.each([
    `{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"arguments":${DELICATE},"name":"echo"}}`,
    `{ "params" : {"name":"echo", "arguments":${DELICATE}},  "vendor": [1, 2] ,"id":-1,"method":"tools/call","jsonrpc":"2.0"}`,
    `{"jsonrpc":"2.0","id":-1,"method":"vendor/unheard.of","params":${DELICATE}}`,
    '{"jsonrpc":"2.0","id":-1,"method":"vendor/without-params"}',
  ])('the text of a request reaches the server as its client wrote it: %s', async (line) => {
    const { server, bin } = await startInitialized();
    bin.send(line);
    await bin.answer(-1);
    expect(server.requests.at(-1)?.text).toBe(line);
  });

  it('the text of an unknown notification reaches the server unchanged', async () => {
    const line = `{"jsonrpc":"2.0","method":"notifications/vendor","params":${DELICATE}}`;
    const { server, bin } = await startInitialized();
    bin.send(line);
    await server.until((requests) => requests.at(-1)?.rpc.method === 'notifications/vendor');
    expect(server.requests.at(-1)?.text).toBe(line);
  });

  it.each(['json', 'sse'] as const)(
    'the text of a response reaches the client as the server wrote it, in %s',
    async (kind) => {
      const text = `{"result":${DELICATE},"vendor":{"b":1,"a":1.0},"jsonrpc":"2.0","id":"call"}`;
      const { bin } = await startInitialized({ on: answering(kind, text) });
      await bin.request('tools/call', { name: 'x' }, 'call');
      expect(bin.lines.at(-1)).toBe(text);
    },
  );

  it.each(['json', 'sse'] as const)(
    'a response that the server spreads over several lines becomes one line, in %s',
    async (kind) => {
      const text = '{\n  "jsonrpc": "2.0",\n  "id": "",\n  "result": {\n    "text": "a\\nb"\n  }\n}';
      const { bin } = await startInitialized({ on: answering(kind, text) });
      await bin.request('tools/call', { name: 'x' }, '');
      expect(bin.lines.at(-1)).toBe(text.replaceAll('\n', ' '));
    },
  );

  it('a response with CRLF line ends becomes one line', async () => {
    const text = '{\r\n"jsonrpc":"2.0",\r\n"id":0.5,"result":{}}';
    const { bin } = await startInitialized({ on: answering('json', text) });
    await bin.request('tools/call', { name: 'x' }, 0.5);
    expect(bin.lines.at(-1)).toBe('{ "jsonrpc":"2.0", "id":0.5,"result":{}}');
  });

  it('an error of the server keeps its code, message, data and white space', async () => {
    const text =
      '{"jsonrpc":"2.0", "id":"call", "error":{"data":{"big":9007199254740993}, "code":-32042,"message":"Ja – nein"}}';
    const { bin } = await startInitialized({ on: answering('json', text) });
    await bin.request('tools/call', { name: 'x' }, 'call');
    expect(bin.lines.at(-1)).toBe(text);
  });

  const long = (rest: string) => `{"jsonrpc":"2.0",${rest},"result":"${'1.0 é\\u00e9 😀 '.repeat(20_000)}"}`;
  it.each([
    ['as it is', long('"id":1'), long('"id":1')],
    ['on one line', long(' "id":1,\r\n"a":0'), long(' "id":1, "a":0')],
    ['without a byte order mark', `\uFEFF${long('"id":1')}`, long('"id":1')],
    ['under the id that the client knows', long('"id":1e0'), long('"id":1e0')],
    ['without what clients refuse', long('"id":1,"error":null'), long('"id":1')],
  ])('a response of hundreds of kilobytes reaches the client %s', async (_how, sent, shown) => {
    const { bin } = await startInitialized({ on: answering('json', sent) });
    await bin.request('tools/call', { name: 'x' }, 1);
    expect(bin.lines.at(-1)).toBe(shown);
  });

  it('a `"result": null` beside an error, which clients would reject, is removed', async () => {
    const text = '{"jsonrpc":"2.0","id":-1,"result":null,"error":{"code":-32000,"message":"no"}}';
    const { bin } = await startInitialized({ on: answering('json', text) });
    await bin.request('tools/call', { name: 'x' }, -1);
    expect(bin.lines.at(-1)).toBe('{"jsonrpc":"2.0","id":-1,"error":{"code":-32000,"message":"no"}}');
  });

  it('a byte order mark of the server is removed from the line', async () => {
    const { bin } = await startInitialized({
      on: answering('json', '\uFEFF{"jsonrpc":"2.0","id":1,"result":{}}'),
    });
    await bin.request('tools/call', { name: 'x' }, 1);
    expect(bin.lines.at(-1)).toBe('{"jsonrpc":"2.0","id":1,"result":{}}');
  });
});

describe('ids', () => {
  it('ids of parallel requests keep their value and type', async () => {
    const { server, bin } = await startInitialized();
    const ids = ['1', 1, 0, '', -1, '0', 'é"\\'];
    const answers = await Promise.all(
      ids.map((id) => bin.request('tools/call', { name: 'echo', arguments: { id } }, id)),
    );
    expect(answers).toEqual(
      ids.map((id) => ({
        jsonrpc: '2.0',
        id,
        result: { content: [{ type: 'text', text: JSON.stringify({ id }) }] },
      })),
    );
    expect(new Set(server.of('tools/call').map(({ rpc }) => rpc.id))).toEqual(new Set(ids));
  });

  it('ids beyond the precision of a double keep their spelling', async () => {
    const { server, bin } = await startInitialized({
      on: {
        'tools/call': (_request, response) =>
          sendJson(response, 200, '{"jsonrpc":"2.0","id":12345678901234567890,"result":{}}'),
      },
    });
    const line = '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"x"}}';
    bin.send(line);
    await bin.next(({ id }) => typeof id === 'number' && id > 1e19);
    expect(server.requests.at(-1)?.text).toBe(line);
    expect(bin.lines.at(-1)).toBe('{"jsonrpc":"2.0","id":12345678901234567890,"result":{}}');
  });

  it.each(['1.0', '1e2', '-0', '1E-1', '"\\u0031"'])(
    "ids keep the client's spelling if the server returns another one: %s",
    async (spelled) => {
      const { server, bin } = await startInitialized();
      const line = `{"jsonrpc":"2.0","id":${spelled},"method":"ping"}`;
      bin.send(line);
      // The server reads a number and can write it in any form.
      await bin.next(({ id }) => id === JSON.parse(spelled));
      expect(server.requests.at(-1)?.text).toBe(line);
      expect(bin.lines.at(-1)).toMatch(/^\{"jsonrpc":"2.0","id":/);
      expect(bin.lines.at(-1)).toBe(
        `{"jsonrpc":"2.0","id":${spelled.startsWith('"') ? '"1"' : spelled},"result":{}}`,
      );
    },
  );

  it.each([
    ['absent', '{"jsonrpc":"2.0","error":{"code":-32600,"message":"what?"}}'],
    ['null', '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"what?"}}'],
  ])('an error whose id is %s gets the id of the only request', async (_what, text) => {
    for (const kind of ['json', 'sse'] as const) {
      const { bin } = await startInitialized({ on: answering(kind, text) });
      for (const id of [0, '', -1]) {
        expect(await bin.request('tools/call', { name: 'x' }, id)).toEqual({
          jsonrpc: '2.0',
          id,
          error: { code: -32600, message: 'what?' },
        });
      }
    }
  });

  it.each(['json', 'sse'] as const)(
    'an id of another type in the only response to the only request is restored: %s',
    async (kind) => {
      const { bin } = await startInitialized({
        on: answering(kind, '{"jsonrpc":"2.0","id":"1","result":{}}'),
      });
      expect(await bin.request('tools/call', { name: 'x' }, 1)).toEqual({
        jsonrpc: '2.0',
        id: 1,
        result: {},
      });
    },
  );
});
