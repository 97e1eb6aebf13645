import { describe, expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import { resultOf, resultReply, resultText } from '../../../src/core/pipeline/result.ts';
import { answerOf, requestOf } from '../../support/make-call.ts';

const asked = (id: string | number): Request => requestOf('tools/list', {}, id) as Request;

describe('an answer of the proxy itself', () => {
  it.each([0, '', -1, '1', 1])(
    'a response of the proxy has the id %j of the request and the stored text of the result',
    (id) => {
      const reply = resultReply(asked(id), '{"n":1.0}');
      expect(reply.kind === 'answer' && reply.message).toMatchObject({
        kind: 'response',
        id,
        outcome: 'result',
      });
      expect(reply.kind === 'answer' && reply.message.text).toBe(
        `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"n":1.0}}`,
      );
      expect(resultText(reply)).toBe('{"n":1.0}');
    },
  );
});

describe('the result of a reply', () => {
  it('the result of a reply is the result of the server', () => {
    const reply = answerOf({ result: { tools: [] } });
    expect(resultOf(reply, 'tools/list')).toEqual({ tools: [] });
    expect(resultText(reply)).toBe('{"tools":[]}');
  });

  it.each<[what: string, reply: Reply | undefined, words: string]>([
    ['an error with words', answerOf({ error: { code: 0, message: 'not now' } }), 'ping: not now'],
    ['a result that is no object', answerOf({ result: 7 }), 'ping'],
    ['no answer', { kind: 'accepted' }, 'ping'],
    ['nothing', undefined, 'ping'],
  ])("a missing result in %s throws with the server's message", (_what, reply, words) => {
    expect(() => resultOf(reply, 'ping')).toThrow(new Error(`the server refused ${words}`));
    expect(reply && resultText(reply)).toBeUndefined();
  });
});
