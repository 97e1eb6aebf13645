import { expect, it } from 'vitest';
import { errorTextOf, serverFactsOf } from '../../src/commands/server-answer.ts';
import { classify, type Response } from '../../src/core/jsonrpc/message.ts';

const response = (json: object): Response => {
  const message = classify(JSON.stringify(json), json);
  if (typeof message === 'string' || message.kind !== 'response') throw new Error('no response');
  return message;
};

it.each([{}, null, { serverInfo: 7, protocolVersion: 1, capabilities: { tools: true } }])(
  'serverFactsOf leaves out facts that are missing or invalid in %j',
  (result) => {
    expect(serverFactsOf(response({ jsonrpc: '2.0', id: 0, result }))).toEqual({
      name: undefined,
      version: undefined,
      protocolVersion: undefined,
      offersTools: false,
    });
  },
);

it.each<[error: unknown, text: string]>([
  [{ code: -31001, message: 'Cannot connect.', data: { source: 'mcp-sigv4-proxy' } }, 'Cannot connect.'],
  [{ code: 7 }, 'The server answered with error 7: no message'],
  ['odd', 'The server answered with error undefined: no message'],
])('errorTextOf(%j) is %j', (error, text) => {
  expect(errorTextOf(response({ jsonrpc: '2.0', id: 0, error }))).toBe(text);
});
