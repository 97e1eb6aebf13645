import { describe, expect, it } from 'vitest';
import type { Request, Response } from '../../../src/core/jsonrpc/message.ts';
import { readLine } from '../../../src/core/jsonrpc/parse.ts';
import { SharedResponse } from '../../../src/core/jsonrpc/shared-response.ts';

function responseOf(text: string): Response {
  const json = JSON.parse(text);
  return { kind: 'response', text, json, id: json.id, outcome: 'result' };
}

function requestOf(text: string): Request {
  const line = readLine(text);
  if (line.kind !== 'message' || line.message.kind !== 'request') throw new Error(`no request: ${text}`);
  return line.message;
}

describe('an answer for several requests', () => {
  it.each(['0', '""', '-1', '"\\u0061"', '1.0', '12345678901234567890'])(
    'a shared response has the id of each request as it was spelled: %s',
    (id) => {
      const shared = new SharedResponse(responseOf('{"jsonrpc":"2.0","result":{"n":1.0},"id":7}'));
      const answer = shared.for(requestOf(`{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`));
      expect(answer.text).toBe(`{"id":${id},"jsonrpc":"2.0","result":{"n":1.0}}`);
      expect(answer.json).toEqual(JSON.parse(answer.text));
      expect(answer.id).toBe(JSON.parse(id));
    },
  );

  it.each([
    '  {"id":0,"result":{},"jsonrpc":"2.0"}',
    '{ "jsonrpc" : "2.0" ,\t"id" : "x" , "result":{"id":5} }',
    '{"id":1,"id":2,"result":{}}',
  ])('a shared response loses nothing of the first response but its id, wherever the id was: %s', (text) => {
    const answer = new SharedResponse(responseOf(text)).for(
      requestOf('{"jsonrpc":"2.0","id":9,"method":"m"}'),
    );
    expect(JSON.parse(answer.text)).toEqual({ ...JSON.parse(text), id: 9 });
  });

  it('a shared response has the same result object for all requests', () => {
    const first = responseOf('{"id":1,"result":{}}');
    const shared = new SharedResponse(first);
    const request = requestOf('{"jsonrpc":"2.0","id":"1","method":"m"}');
    expect(shared.for(request).json.result).toBe(first.json.result);
    expect(shared.for({ ...first, id: 'other', text: '{"result":{},"id":"other"}' }).id).toBe('other');
  });
});
