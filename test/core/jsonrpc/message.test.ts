import { describe, expect, it } from 'vitest';
import { classify, statedVersion } from '../../../src/core/jsonrpc/message.ts';
import { readLine } from '../../../src/core/jsonrpc/parse.ts';

describe('classify', () => {
  it.each([
    ['{"id":0,"result":{}}', { kind: 'response', id: 0, outcome: 'result' }],
    ['{"id":0,"result":null}', { kind: 'response', id: 0, outcome: 'result' }],
    ['{"id":"","error":{"code":1}}', { kind: 'response', id: '', outcome: 'error' }],
    ['{"id":null,"error":{}}', { kind: 'response', id: undefined, outcome: 'error' }],
    ['{"error":{}}', { kind: 'response', id: undefined, outcome: 'error' }],
    ['{"id":1,"error":{},"result":null}', { kind: 'response', id: 1, outcome: 'error' }],
    ['{"id":1,"error":null,"result":{}}', { kind: 'response', id: 1, outcome: 'result' }],
    ['{"id":1,"method":"x","result":{}}', { kind: 'request', id: 1, method: 'x' }],
    ['{"__proto__":{"method":"x"},"id":1}', 'a JSON-RPC message has a method, a result or an error'],
  ])('classify reads %s', (text, expected) => {
    const message = classify(text, JSON.parse(text));
    if (typeof expected === 'string') expect(message).toBe(expected);
    else expect(message).toMatchObject(expected);
  });
});

describe('a revision claim', () => {
  const key = 'io.modelcontextprotocol/protocolVersion';
  it.each([
    [`{"_meta":{"${key}":"2026-07-28"}}`, '2026-07-28'],
    [`{"_meta":{"${key}":""}}`, ''],
    [`{"_meta":{"${key}":20260728}}`, undefined],
    [`{"_meta":["${key}"]}`, undefined],
    [`{"${key}":"2026-07-28"}`, undefined],
    ['[]', undefined],
  ])('the revision that a message claims in %s is %j', (params, claim) => {
    const line = readLine(`{"jsonrpc":"2.0","id":0,"method":"x","params":${params}}`);
    expect(line.kind === 'message' && statedVersion(line.message)).toBe(claim);
  });
});
