import { describe, expect, it } from 'vitest';
import { idKey, type Message } from '../../../src/core/jsonrpc/message.ts';
import { bytesOf, type Line, readLine, readMessages } from '../../../src/core/jsonrpc/parse.ts';
import { FRAGILE, objectText, valueText } from '../../support/json-text.ts';
import { fc } from '../../support/property.ts';

const refusal = (line: Line) => {
  if (line.kind !== 'invalid') throw new Error(`taken as ${line.kind}`);
  return { id: line.id?.text, code: line.error.code, message: line.error.message };
};

describe('a line of the client', () => {
  it.each([
    ['0', '{"jsonrpc":"2.0","id":0,"method":"ping"}', 0],
    ['an empty string', '{"jsonrpc":"2.0","id":"","method":"ping"}', ''],
    ['-1', '{"jsonrpc":"2.0","id":-1,"method":"ping"}', -1],
    ['"1"', '{"jsonrpc":"2.0","id":"1","method":"ping"}', '1'],
    ['1', '{"jsonrpc":"2.0","id":1,"method":"ping"}', 1],
    ['an escaped key', '{"jsonrpc":"2.0","\\u0069d":0,"method":"ping"}', 0],
  ])("a client's line is a request if its id is %s", (_what, text, id) => {
    const line = readLine(text);
    expect(line).toMatchObject({ kind: 'message', message: { kind: 'request', id, method: 'ping', text } });
  });

  it("a client's line keeps ids of different types apart", () => {
    expect(new Set([1, '1', 0, '', '0', -1, '-1'].map(idKey)).size).toBe(7);
  });

  it("a client's line is a notification only if it has no id at all", () => {
    const text = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
    expect(readLine(text)).toMatchObject({ kind: 'message', message: { kind: 'notification', text } });
  });

  it.each(['null', 'true', 'false', '{}', '[1]'])(
    "a client's line is refused without an id if the id is %s",
    (id) => {
      expect(refusal(readLine(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`))).toEqual({
        id: undefined,
        code: -32600,
        message: 'Invalid request: id must be a string or a number.',
      });
    },
  );

  it.each([
    ['42', undefined, 'a JSON-RPC message is an object'],
    ['null', undefined, 'a JSON-RPC message is an object'],
    ['"text"', undefined, 'a JSON-RPC message is an object'],
    ['{}', undefined, 'a JSON-RPC message has a method, a result or an error'],
    ['{"jsonrpc":"2.0","id":0}', '0', 'a JSON-RPC message has a method, a result or an error'],
    ['{"jsonrpc":"2.0","id":"","method":7}', '""', 'method must be a string'],
    ['{"id":-1,"method":"ping"}', '-1', 'jsonrpc must be "2.0"'],
    ['{"jsonrpc":"1.0","id":9007199254740993,"method":"x"}', '9007199254740993', 'jsonrpc must be "2.0"'],
    ['{"jsonrpc":2.0,"id":1e400,"method":"x"}', '1e400', 'jsonrpc must be "2.0"'],
    ['[]', undefined, 'an empty batch'],
  ])('an invalid request %s is refused under its own id', (text, id, why) => {
    expect(refusal(readLine(text))).toEqual({ id, code: -32600, message: `Invalid request: ${why}.` });
  });

  it.each([
    '{"id":3,"result":{}}',
    '{"jsonrpc":"2.0","id":3,"result":{},"result":{}}',
    '{"jsonrpc":"2.0","id":3,"error":null}',
  ])('an invalid response %s is refused without an id, because its id belongs to the server', (text) => {
    expect(refusal(readLine(text))).toMatchObject({ id: undefined, code: -32600 });
  });

  it("a client's line that is not JSON is a parse error that does not repeat the line", () => {
    for (const text of [
      'secret-token',
      '{"token":secret-token}',
      '{"a":"secret-token"',
      'nul',
      '"secret',
      '',
    ]) {
      const { id, code, message } = refusal(readLine(text));
      expect({ id, code }).toEqual({ id: undefined, code: -32700 });
      expect(message).toMatch(/^Parse error: the line is not JSON( \([^()]+\))?\.$/);
      expect(message).not.toContain('secret');
    }
  });

  it("a client's line of any content never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), valueText, objectText), (text) => {
        expect(['message', 'batch', 'invalid']).toContain(readLine(text).kind);
      }),
      { numRuns: 1_000 },
    );
  });

  it("a client's batch is accepted up to a size that can be answered", () => {
    const batch = (members: number): string => `[${Array(members).fill('0').join()}]`;
    expect(readLine(batch(1_000))).toMatchObject({ kind: 'batch' });
    expect(readLine(batch(1_001))).toMatchObject({
      kind: 'invalid',
      id: undefined,
      error: { reason: 'invalid-request', message: expect.stringMatching(/1001 messages.*1000/) },
    });
  });

  it('a batch holds each element in its own spelling, invalid elements included', () => {
    const line = readLine('[ {"jsonrpc":"2.0","id":1.0,"method":"a"} ,3, {"jsonrpc":"2.0","method":"b"}]');
    if (line.kind !== 'batch') throw new Error(line.kind);
    expect(line.elements.map(({ kind }) => kind)).toEqual(['request', 'invalid', 'notification']);
    expect(line.elements[0]).toMatchObject({ text: '{"jsonrpc":"2.0","id":1.0,"method":"a"}' });
  });
});

describe('a repeated deciding key', () => {
  const request = (rest: string) => `{"jsonrpc":"2.0",${rest}}`;
  it.each([
    [request('"id":1,"id":2,"method":"x"'), undefined, 'id'],
    [request('"id":1,"\\u0069d":1,"method":"x"'), undefined, 'id'],
    [request('"id":0,"method":"tools/list","method":"tools/call"'), '0', 'method'],
    [request('"jsonrpc":"2.0","id":"","method":"x"'), '""', 'jsonrpc'],
    [request('"id":-1,"method":"x","params":{},"params":{}'), '-1', 'params'],
    [request('"id":1,"method":"x","params":{"name":"a","n\\u0061me":"b"}'), '1', 'params.name'],
    [request('"id":1,"method":"x","params":{"arguments":{},"arguments":{}}'), '1', 'params.arguments'],
    [request('"id":1,"method":"x","params":{"_meta":{},"_meta":{}}'), '1', 'params._meta'],
    [
      request('"id":1,"method":"x","params":{"arguments":{"aws_profile":"a","aws_profile":"b"}}'),
      '1',
      'params.arguments.aws_profile',
    ],
    [
      request('"id":1,"method":"x","params":{"_meta":{"progressToken":0,"progressToken":1}}'),
      '1',
      'params._meta.progressToken',
    ],
    [request('"method":"x","params":{"requestId":0,"requestId":1}'), undefined, 'params.requestId'],
    [
      request('"method":"x","params":{"progressToken":0,"progressToken":1}'),
      undefined,
      'params.progressToken',
    ],
  ])('the repeated deciding key in %s is refused', (text, id, key) => {
    expect(refusal(readLine(text))).toEqual({
      id,
      code: -32600,
      message: `Invalid request: the key ${key} occurs more than once.`,
    });
  });

  it('a repeated deciding key is refused among any other members', () => {
    fc.assert(
      fc.property(objectText, objectText, (first, second) => {
        const text = `{"jsonrpc":"2.0","a":${first},"id":7,"b":${second},"method":"x","c":${first},"id":7}`;
        expect(refusal(readLine(text))).toMatchObject({ id: undefined, code: -32600 });
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    '{"jsonrpc":"2.0","id":1,"method":"x","trace":1,"trace":2}',
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"cursor":"a","cursor":"b"}}',
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"arguments":{"id":1,"id":2,"name":1,"name":2}}}',
    '{"jsonrpc":"2.0","id":1,"method":"x","params":{"text":"\\"id\\":1,\\"id\\":2"}}',
  ])('a repeated key is allowed in %s, where it decides nothing', (text) => {
    expect(readLine(text)).toMatchObject({ kind: 'message', message: { text } });
  });
});

describe('the bytes of an answer', () => {
  const LONG = 'é'.repeat(40_000);
  const bytesAfter = (text: string) => readMessages(text, Buffer.from(text)).map(bytesOf);

  it('the bytes of a long, unchanged response are kept', () => {
    const text = `{"jsonrpc":"2.0","id":0,"result":"${LONG}"}`;
    const bytes = Buffer.from(text);
    expect(readMessages(text, bytes).map(bytesOf)).toEqual([bytes]);
    expect(readMessages(text).map(bytesOf)).toEqual([undefined]);
  });

  it.each([
    ['is short', '{"jsonrpc":"2.0","id":0,"result":{}}'],
    ['was mended', `{"jsonrpc":"2.0","id":0,"error":null,"result":"${LONG}"}`],
    ['is one of several', `[{"jsonrpc":"2.0","id":0,"result":"${LONG}"}]`],
    ['stands on two lines', `{"jsonrpc":"2.0","id":0,\n"result":"${LONG}"}`],
    ['stands on two lines of another kind', `{"jsonrpc":"2.0","id":0,\r"result":"${LONG}"}`],
  ])('the bytes are not kept of a response that %s', (_what, text) => {
    expect(bytesAfter(text)).toEqual([undefined]);
  });

  it('a message that is made from a response does not have the bytes of the response', () => {
    const [message] = readMessages(`{"jsonrpc":"2.0","id":0,"result":"${LONG}"}`, Buffer.alloc(99_999));
    expect(message && bytesOf({ ...message, text: 'edited' })).toBeUndefined();
  });
});

function only(text: string): Message {
  const [message, ...more] = readMessages(text);
  if (!message || more.length > 0) throw new Error(`not one message: ${text}`);
  return message;
}

describe('messages of the server', () => {
  it.each([
    [
      '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x"},"result":null}',
      '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x"}}',
    ],
    [
      '{"jsonrpc":"2.0","id":0,"result":null,"error":{"code":1,"message":"x"}}',
      '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x"}}',
    ],
    ['{"jsonrpc":"2.0","id":0,"result":{},"error":null}', '{"jsonrpc":"2.0","id":0,"result":{}}'],
    ['{"jsonrpc":"2.0","id":0,"result":null}', '{"jsonrpc":"2.0","id":0,"result":{}}'],
    ['{"jsonrpc":"2.0","id":0,"result":null,"error":null}', '{"jsonrpc":"2.0","id":0,"result":{}}'],
    [
      '{"id":0,"error":{"code":1,"message":"x"}}',
      '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x"}}',
    ],
    ['{"jsonrpc":"1.0","id":0,"result":1.0}', '{"jsonrpc":"2.0","id":0,"result":1.0}'],
    ['{"jsonrpc":2.0,"method":"n"}', '{"jsonrpc":"2.0","method":"n"}'],
  ])("a server's message that clients would drop is repaired: %s", (text, mended) => {
    expect(only(text).text).toBe(mended);
    expect(only(text).json).toEqual(JSON.parse(mended));
  });

  it.each([
    `{"result":${FRAGILE}, "extra":1,"jsonrpc":"2.0","id":1.0}`,
    '{"jsonrpc":"2.0","id":"","error":{"code":-32099,"message":"","data":{"result":null}}}',
  ])("a valid server's message passes unchanged: %s", (text) => {
    expect(only(text).text).toBe(text);
  });

  it("a server's array of messages is read, and other elements are left out", () => {
    const messages = readMessages(
      ' [{"jsonrpc":"2.0","id":0,"result":1.0}, 5, [], {"x":1},{"jsonrpc":"2.0","method":"n"}]',
    );
    expect(messages.map(({ text }) => text)).toEqual([
      '{"jsonrpc":"2.0","id":0,"result":1.0}',
      '{"jsonrpc":"2.0","method":"n"}',
    ]);
    expect(readMessages('[]')).toEqual([]);
    expect(readMessages('"text"')).toEqual([]);
  });

  it("a server's text that is not JSON throws a SyntaxError", () => {
    expect(() => readMessages('<html>')).toThrow(SyntaxError);
  });
});
