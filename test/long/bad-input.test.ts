import { describe, expect, it } from 'vitest';
import type { BinDriver } from '../support/bin-driver.ts';
import type { Rpc } from '../support/mcp-answers.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';

const own = { source: 'mcp-sigv4-proxy', mayHaveRun: false };
const invalid = (what: string, id?: unknown): Rpc => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  error: {
    code: -32600,
    message: `Invalid request: ${what}.`,
    data: { ...own, reason: 'invalid-request' },
  },
});

/** The answer to the line; the ping after it shows that nothing more comes and that the process lives. */
async function answersTo(bin: BinDriver, line: string): Promise<readonly Rpc[]> {
  const before = bin.messages.length;
  bin.send(line);
  await bin.request('ping', {}, 'after');
  return bin.messages.slice(before, -1);
}

describe('a line that is not a JSON-RPC message', () => {
  it.each([
    ['an empty batch', '[]', invalid('an empty batch')],
    ['a number', '1', invalid('a JSON-RPC message is an object')],
    ['null', 'null', invalid('a JSON-RPC message is an object')],
    ['a text', '"{}"', invalid('a JSON-RPC message is an object')],
    ['an object without a method', '{}', invalid('a JSON-RPC message has a method, a result or an error')],
    [
      'one that names an id only',
      '{"jsonrpc":"2.0","id":0}',
      invalid('a JSON-RPC message has a method, a result or an error', 0),
    ],
    [
      'a method that is no text',
      '{"jsonrpc":"2.0","id":"","method":1}',
      invalid('method must be a string', ''),
    ],
    [
      'null as an id',
      '{"jsonrpc":"2.0","id":null,"method":"ping"}',
      invalid('id must be a string or a number'),
    ],
    [
      'an object as an id',
      '{"jsonrpc":"2.0","id":{},"method":"ping"}',
      invalid('id must be a string or a number'),
    ],
    ['no version', '{"id":-1,"method":"ping"}', invalid('jsonrpc must be "2.0"', -1)],
    ['another version', '{"jsonrpc":"1.0","id":-1,"method":"ping"}', invalid('jsonrpc must be "2.0"', -1)],
    [
      'two methods',
      '{"jsonrpc":"2.0","id":0,"method":"ping","method":"tools/call"}',
      invalid('the key method occurs more than once', 0),
    ],
    [
      'two ids, neither of which can be answered',
      '{"jsonrpc":"2.0","id":0,"id":1,"method":"ping"}',
      invalid('the key id occurs more than once'),
    ],
    [
      'two params',
      '{"jsonrpc":"2.0","id":0,"method":"ping","params":{},"params":{}}',
      invalid('the key params occurs more than once', 0),
    ],
    [
      'a key spelled twice, once escaped',
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"safe","n\\u0061me":"other"}}',
      invalid('the key params.name occurs more than once', 0),
    ],
    [
      'two arguments',
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"arguments":{},"name":"x","arguments":{"a":1}}}',
      invalid('the key params.arguments occurs more than once', 0),
    ],
    [
      'two profiles',
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"x","arguments":{"aws_profile":"a","aws_profile":"b"}}}',
      invalid('the key params.arguments.aws_profile occurs more than once', 0),
    ],
    [
      'two _meta',
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"x","_meta":{},"_meta":{}}}',
      invalid('the key params._meta occurs more than once', 0),
    ],
    ...(
      [
        [
          'request',
          '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"read_file","Name":"delete_file"}}',
          'Name',
          'params.name',
          0,
        ],
        [
          'request',
          '{"jsonrpc":"2.0","id":"","method":"tools/call","params":{"\\u004eame":"delete_file"}}',
          'Name',
          'params.name',
          '',
        ],
        [
          'request',
          '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"x","argument\u017f":{}}}',
          'argument\\u017f',
          'params.arguments',
          -1,
        ],
        [
          'request',
          '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"x","_META":{}}}',
          '_META',
          'params._meta',
          0,
        ],
        [
          'request',
          '{"jsonrpc":"2.0","id":0,"method":"ping","params":{"_meta":{"progressTo\u212aen":1}}}',
          'progressTo\\u212aen',
          'params._meta.progressToken',
          0,
        ],
        [
          'request',
          '{"jsonrpc":"2.0","id":0,"method":"resources/subscribe","params":{"URI":"file:///a"}}',
          'URI',
          'params.uri',
          0,
        ],
        ['request', '{"jsonrpc":"2.0","id":0,"method":"ping","Method":"tools/call"}', 'Method', 'method', 0],
        ['request', '{"jsonrpc":"2.0","ID":7,"id":0,"method":"ping"}', 'ID', 'id', undefined],
        [
          'notification',
          '{"jsonrpc":"2.0","Id":7,"method":"tools/call","params":{"name":"x"}}',
          'Id',
          'id',
          undefined,
        ],
        [
          'notification',
          '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestID":0}}',
          'requestID',
          'params.requestId',
          undefined,
        ],
        [
          'response',
          '{"jsonrpc":"2.0","id":0,"result":{},"Method":"tools/call"}',
          'Method',
          'method',
          undefined,
        ],
        [
          'response',
          '{"jsonrpc":"2.0","id":0,"result":{},"Re\u017fult":{}}',
          'Re\\u017fult',
          'result',
          undefined,
        ],
      ] as const
    ).map(([kind, line, written, key, id]): [string, string, Rpc] => [
      `a ${kind} with ${key} as ${written}`,
      line,
      invalid(
        `the key "${written}" differs from ${key} only in case, and some servers would read it as that`,
        id,
      ),
    ]),
  ])('invalid input is answered with an error and not sent: %s', async (_what, line, answer) => {
    const { server, bin } = await startInitialized();
    const sent = server.requests.length;
    expect(await answersTo(bin, line)).toEqual([answer]);
    expect(server.requests.slice(sent).map(({ rpc }) => rpc.method)).toEqual(['ping']);
    expect(bin.stderr).toBe('');
  });

  it('an invalid message in a batch is answered with an error, and the others are sent', async () => {
    const { server, bin } = await startInitialized({ protocolVersion: '2025-03-26' });
    const line = `[{"jsonrpc":"2.0","id":0,"method":"ping"},{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"sleep"}}]`;
    bin.send(line);
    expect(await bin.answer(1)).toHaveProperty('error.code', -32600);
    await bin.answer(0);
    expect(server.requests.at(-1)?.text).toContain('ping');
    expect(server.requests.filter(({ text }) => text.includes('sleep'))).toEqual([]);
  });

  it('keys that resemble deciding keys are accepted in tool arguments and in params of other methods', async () => {
    const { server, bin } = await startInitialized();
    const args = '{"Name":"a","ID":1,"Method":"b","Arguments":{"Params":1},"AWS_PROFILE":"own","_Meta":{}}';
    bin.send(`{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"echo","arguments":${args}}}`);
    expect(await bin.answer(0)).toHaveProperty('result');
    expect(server.of('tools/call').at(-1)?.text).toContain(args);
    bin.send('{"jsonrpc":"2.0","id":1,"method":"example/custom","params":{"Name":"a","URI":"b"}}');
    expect(await bin.answer(1)).not.toHaveProperty('error.data.source');
  });

  it.each(['{"jsonrpc":"2.0","id":0,', 'hello', '{"jsonrpc":"2.0","id":0,"method":"ping"} x', "{'id':0}"])(
    'a line that is not JSON is answered with a parse error without an id: %s',
    async (line) => {
      const { server, bin } = await startInitialized();
      const sent = server.requests.length;
      const answers = await answersTo(bin, line);
      expect(answers).toEqual([
        {
          jsonrpc: '2.0',
          error: {
            code: -32700,
            message: expect.stringMatching(/^Parse error: the line is not JSON \(.+\)\.$/),
            data: { ...own, reason: 'parse-error' },
          },
        },
      ]);
      expect(server.requests.slice(sent).map(({ rpc }) => rpc.method)).toEqual(['ping']);
      expect(bin.stderr).toBe('');
    },
  );

  it('a Content-Length header of the language server protocol is answered with the framing of MCP', async () => {
    const { bin } = await startInitialized();
    const [answer] = await answersTo(bin, 'Content-Length: 52\r');
    expect(answer).toMatchObject({
      error: { code: -32700, message: expect.stringContaining('MCP takes one message a line') },
    });
  });

  it('a line that is not UTF-8 is answered with an error', async () => {
    const { bin } = await startInitialized();
    const head = Buffer.from('{"jsonrpc":"2.0","id":0,"method":"ping","params":{"a":"');
    bin.write(Buffer.concat([head, Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('"}}\n')]));
    await bin.request('ping', {}, 'after');
    expect(bin.messages.slice(1, -1)).toEqual([
      {
        jsonrpc: '2.0',
        error: {
          code: -32700,
          message: 'Parse error: the line is not JSON (it is not UTF-8).',
          data: { ...own, reason: 'parse-error' },
        },
      },
    ]);
  });

  it('a blank line is ignored', async () => {
    const { bin } = await startInitialized();
    bin.write('\n\r\n  \t\n');
    await bin.request('ping', {}, 'after');
    expect(bin.messages).toHaveLength(2);
  });
});

describe('a line in unusual pieces', () => {
  it('a line that is cut within a character is read whole', async () => {
    const { bin } = await startInitialized();
    const line = Buffer.from(
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"echo","arguments":{"text":"aé😀"}}}\r\n',
    );
    const cut = line.indexOf(Buffer.from('😀')) + 1;
    const ping = Buffer.from('{"jsonrpc":"2.0","id":"ping","method":"ping"}\n');
    bin.write(Buffer.concat([ping, line.subarray(0, cut)]));
    // The answer shows that the first part was read, without the rest of the character.
    await bin.answer('ping');
    bin.write(line.subarray(cut));
    expect(await bin.answer(0)).toMatchObject({ result: { content: [{ text: '{"text":"aé😀"}' }] } });
  });

  it('a line of 20 MB arrives whole', async () => {
    const { server, bin } = await startInitialized({
      on: { 'tools/call': (_request, _response, { result }) => result({ taken: true }) },
    });
    const text = 'ö😀x'.repeat(20_000_000 / 7);
    const line = `{"jsonrpc":"2.0","id":"","method":"tools/call","params":{"name":"x","arguments":{"text":"${text}"}}}`;
    bin.send(line);
    expect(await bin.answer('')).toMatchObject({ result: { taken: true } });
    const got = server.requests.at(-1);
    expect(got?.body.length).toBeGreaterThan(20_000_000);
    expect(got?.text === line).toBe(true);
  });

  it('the last line is read without its line end when stdin closes', async () => {
    const { server, bin } = await startInitialized();
    bin.write('{"jsonrpc":"2.0","id":-1,"method":"tools/list"}');
    bin.closeStdin();
    expect(await bin.answer(-1)).toMatchObject({ result: {} });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('tools/list')).toHaveLength(1);
  });

  it('a byte order mark at the start of a later line is answered with a parse error', async () => {
    const { bin } = await startInitialized();
    // The mark belongs at the start of a stream; the handshake has already passed.
    const [answer] = await answersTo(bin, '\uFEFF{"jsonrpc":"2.0","id":0,"method":"ping"}');
    expect(answer).toMatchObject({ error: { code: -32700 } });
  });
});

describe('a request with an id that is in flight', () => {
  it.each([0, '', -1])(
    'a request with the id %j of a call in flight is refused without an id, and the first keeps its response',
    async (id) => {
      const gate = makeGate();
      const { server, bin } = await startInitialized({
        on: {
          'tools/call': async (_request, _response, { fallback }) => {
            await gate.opened;
            await fallback();
          },
        },
      });
      const first = bin.request('tools/call', { name: 'echo', arguments: { n: 1 } }, id);
      await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
      bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { n: 2 } } });
      const refusal = await bin.next(({ error }) => error !== undefined);
      expect(refusal).toEqual({
        jsonrpc: '2.0',
        error: {
          code: -32600,
          message: `Invalid request: the id ${JSON.stringify(id)} is already in flight; the first request keeps its answer.`,
          data: { ...own, reason: 'invalid-request', id },
        },
      });
      gate.open();
      expect(await first).toMatchObject({ id, result: { content: [{ text: '{"n":1}' }] } });
      expect(server.of('tools/call')).toHaveLength(1);
      // After its response, the id is free again.
      await bin.request('ping', {}, 'between');
      bin.send({ jsonrpc: '2.0', id, method: 'ping' });
      await server.until((requests) => requests.filter(({ rpc }) => rpc.method === 'ping').length === 2);
    },
  );

  it('an error for an invalid line does not answer the call in flight whose id the line names', async () => {
    const gate = makeGate();
    const { bin, server } = await startInitialized({
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    const first = bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
    const [refusal] = await answersTo(bin, '{"jsonrpc":"2.0","id":0,"method":7}');
    expect(refusal).toEqual(invalid('method must be a string'));
    gate.open();
    expect(await first).toMatchObject({ id: 0, result: {} });
  });
});
