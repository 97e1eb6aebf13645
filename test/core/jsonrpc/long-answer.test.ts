import { describe, expect, it } from 'vitest';
import { outlineJsonOf, readLongAnswer } from '../../../src/core/jsonrpc/long-answer.ts';
import { idText, withIdText } from '../../../src/core/jsonrpc/message.ts';
import { bytesOf } from '../../../src/core/jsonrpc/parse.ts';

const WORDS = 'a log line, 200 OK, 12 ms \\"é\\"\\n'.repeat(20_000);
const read = (text: string | Buffer, mostContainers = 100) =>
  readLongAnswer(Buffer.from(text as string), mostContainers);
const resultOf = (members: string, envelope = '"id":7') =>
  `{"jsonrpc":"2.0",${envelope},"result":{${members}}}`;
const LONG = resultOf(`"content":[{"type":"text","text":"${WORDS}"}],"isError":true,"n":1.0`);

describe('a long answer', () => {
  it('a long answer has its id, outcome and bytes, and the text and JSON of all of it', () => {
    const answer = read(LONG);
    expect(answer).toMatchObject({ kind: 'response', id: 7, outcome: 'result' });
    expect(answer && bytesOf(answer)?.equals(Buffer.from(LONG))).toBe(true);
    expect(answer?.text === LONG).toBe(true);
    expect(JSON.stringify(answer?.json) === JSON.stringify(JSON.parse(LONG))).toBe(true);
  });

  it('the outline of a long answer has its short members', () => {
    const answer = read(LONG);
    const json = answer && outlineJsonOf(answer);
    expect(json).toMatchObject({
      jsonrpc: '2.0',
      id: 7,
      result: { isError: true, content: [{ type: 'text' }] },
    });
    expect(JSON.stringify(json).length).toBeLessThan(LONG.length / 2);
  });

  it('a copy of a long answer under another id has the rest of the text, and not the bytes', () => {
    const answer = read(LONG);
    const copy = answer && withIdText(answer, '"b"');
    expect(copy?.text).toBe(LONG.replace('"id":7', '"id":"b"'));
    expect(copy && idText(copy)).toBe('"b"');
    expect(copy && bytesOf(copy)).toBeUndefined();
    expect(copy && outlineJsonOf(copy)).toEqual(JSON.parse(copy?.text ?? ''));
  });

  it('a long error is an answer too', () => {
    const text = `{"jsonrpc":"2.0","id":"a","error":{"code":-32000,"message":"${WORDS}"}}`;
    expect(read(text)).toMatchObject({ id: 'a', outcome: 'error', text });
  });

  it.each<[what: string, text: string | Buffer]>([
    ['a short one', resultOf('"a":1')],
    ['one of short strings', resultOf(`"a":[${'"ab",'.repeat(80_000)}1]`)],
    ['one on several lines', `${LONG}\n`],
    ['one without jsonrpc', LONG.replace('"jsonrpc":"2.0",', '')],
    ['one with an error that is null', LONG.replace('"id":7', '"id":7,"error":null')],
    ['one in an array', `[${LONG}]`],
    ['one with a long id', resultOf('"a":1', `"id":"${WORDS}"`)],
    ['a request', `{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"a":"${WORDS}"}}`],
    ['broken JSON', LONG.slice(0, -1)],
    ['a control character in the long string', LONG.replace(/ms \\"é\\"\\n"}/, '\t"}')],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from(LONG.slice(0, 300_000)), Buffer.of(0xff), Buffer.from(LONG.slice(300_000))]),
    ],
    ['more objects and arrays than are read', resultOf(`"a":"${WORDS}","b":[${'[],'.repeat(101)}1]`)],
  ])('an answer has to be read whole: %s', (_what, text) => {
    expect(read(text)).toBeUndefined();
  });
});
