import { expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import { readLine } from '../../../src/core/jsonrpc/parse.ts';
import { isPlainAnswer, MAX_CHECKED_BYTES } from '../../../src/upstream/passthrough/checked-body.ts';

function requestOf(id: string): Request {
  const line = readLine(`{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"any"}}`);
  if (line.kind !== 'message' || line.message.kind !== 'request') throw new Error('not a request');
  return line.message;
}

const resultOf = (id: string, text: string): string =>
  `{"jsonrpc":"2.0","id":${id},"result":{"x":"${text}"}}`;

it.each(['0', '7', '-1', '""', '"a"', '12345678901234567890'])(
  'an answer under the id %s that names no error passes without further checks',
  (id) => {
    expect(isPlainAnswer(Buffer.from(resultOf(id, 'Zürich')), requestOf(id))).toBe(true);
  },
);

it.each([
  ['has another id', resultOf('"7"', '')],
  ['has an id that only begins alike', resultOf('70', '')],
  ['has an error beside its result', '{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1}}'],
  ['is an error', '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}'],
  ['reports a failed tool', '{"jsonrpc":"2.0","id":7,"result":{"isError" : true}}'],
  ['names a session', resultOf('7', 'Session not found')],
  ['names an initialization', resultOf('7', 'Server not initialized')],
  ['has the code of a lost session', resultOf('7', '-30001')],
  ['names an AWS error type', '{"jsonrpc":"2.0","id":7,"result":{"__type":"ThrottlingException"}}'],
  ['has a result that is no object', '{"jsonrpc":"2.0","id":7,"result":"x"}'],
  ['begins with a blank', ` ${resultOf('7', '')}`],
  ['is empty', ''],
  ['is longer than what is checked', resultOf('7', 'x'.repeat(MAX_CHECKED_BYTES))],
])('an answer that %s is checked further', (_what, body) => {
  expect(isPlainAnswer(Buffer.from(body), requestOf('7'))).toBe(false);
});

it('an answer that reports no failure passes without further checks', () => {
  const body = Buffer.from('{"jsonrpc":"2.0","id":7,"result":{"isError":false}}');
  expect(isPlainAnswer(body, requestOf('7'))).toBe(true);
});

it('an answer with bytes that are not UTF-8 is checked further', () => {
  const body = Buffer.concat([
    Buffer.from(resultOf('7', 'x').slice(0, -3)),
    Buffer.from([0xff]),
    Buffer.from('"}}'),
  ]);
  expect(isPlainAnswer(body, requestOf('7'))).toBe(false);
});
