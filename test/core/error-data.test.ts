import { expect, it } from 'vitest';
import { withErrorData } from '../../src/core/jsonrpc/message.ts';
import { readMessages } from '../../src/core/jsonrpc/parse.ts';

const edited = (text: string): string | undefined => {
  const [message] = readMessages(text);
  return message?.kind === 'response' ? withErrorData(message, { retryAfterMs: 30_000 }).text : undefined;
};

it.each([
  [
    'data is added to an error without data',
    '{"jsonrpc":"2.0","id":1.0,"error":{"code":-32004,"message":"Too many"}}',
    '{"jsonrpc":"2.0","id":1.0,"error":{"data":{"retryAfterMs":30000},"code":-32004,"message":"Too many"}}',
  ],
  [
    'data of the server keeps its spelling',
    '{"jsonrpc":"2.0","id":0,"error":{"code":-32004,"message":"x","data":{"big":12345678901234567890}}}',
    '{"jsonrpc":"2.0","id":0,"error":{"code":-32004,"message":"x","data":{"retryAfterMs":30000,"big":12345678901234567890}}}',
  ],
  [
    'empty data is extended',
    '{"jsonrpc":"2.0","id":"","error":{"code":1,"message":"x","data":{}}}',
    '{"jsonrpc":"2.0","id":"","error":{"code":1,"message":"x","data":{"retryAfterMs":30000}}}',
  ],
])('withErrorData: %s', (_what, before, after) => {
  expect(edited(before)).toBe(after);
});

it.each([
  [
    'data with the same key',
    '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x","data":{"retryAfterMs":1}}}',
  ],
  ['data that is a text', '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x","data":"later"}}'],
  ['data that is null', '{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"x","data":null}}'],
  ['a result', '{"jsonrpc":"2.0","id":0,"result":{"error":{}}}'],
])('withErrorData leaves %s untouched', (_what, text) => {
  expect(edited(text)).toBe(text);
});
