import { describe, expect, it } from 'vitest';
import type { Id, Request, Response } from '../../../src/core/jsonrpc/message.ts';
import { readLine, readMessages } from '../../../src/core/jsonrpc/parse.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import { PendingResponses } from '../../../src/upstream/exchange/pending-responses.ts';
import { requestOf } from '../../support/make-call.ts';
import { settled } from '../http/connection-rig.ts';

const IDS: readonly Id[] = [0, '0', '', -1, 'a'];
const ask = (id: Id): Request => requestOf('tools/call', { name: 'x' }, id) as Request;

function responseOf(text: string): Response {
  const [message] = readMessages(text);
  if (message?.kind !== 'response') throw new Error(text);
  return message;
}

const answerTo = (idText: string): Response => responseOf(`{"jsonrpc":"2.0","id":${idText},"result":{}}`);
const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : reply.kind);

function owing(...ids: readonly Id[]) {
  const owed = new PendingResponses();
  return { owed, replies: ids.map((id) => owed.expect(ask(id))) };
}

describe('pending responses', () => {
  it('a pending response is found by its id, in its type', async () => {
    const { owed, replies } = owing(...IDS);
    for (const id of [...IDS].reverse()) {
      const text = JSON.stringify(id);
      owed.answer(id, answerTo(text), { status: 200, headers: {} });
    }
    expect((await Promise.all(replies)).map(textOf)).toEqual(
      IDS.map((id) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{}}`),
    );
    expect(owed.size).toBe(0);
  });

  it('a pending response is delivered once, and other answers change nothing', async () => {
    const { owed, replies } = owing(0);
    owed.answer('0', answerTo('"0"'), undefined);
    owed.answer(0, answerTo('0'), undefined);
    owed.answer(0, responseOf('{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"late"}}'), undefined);
    owed.fail(0, new Error('late'));
    expect(textOf((await replies[0]) as Reply)).toContain('"result":{}');
  });

  it("a pending response has the id as its client wrote it, whatever the server's spelling", async () => {
    const line = readLine('{"jsonrpc":"2.0","id":12345678901234567890,"method":"ping"}');
    if (line.kind !== 'message' || line.message.kind !== 'request') throw new Error('no request');
    const owed = new PendingResponses();
    const reply = owed.expect(line.message);
    owed.answer(line.message.id, answerTo('12345678901234567000'), undefined);
    expect(textOf(await reply)).toBe('{"jsonrpc":"2.0","id":12345678901234567890,"result":{}}');
  });

  it('a pending response has the id of its request if one error answers all that was posted', async () => {
    const { owed, replies } = owing('', -1);
    const error = responseOf('{"jsonrpc":"2.0","id":"server-error","error":{"code":-32000,"message":"no"}}');
    for (const { id } of owed.requests) owed.answer(id, error, undefined);
    expect((await Promise.all(replies)).map(textOf)).toEqual([
      '{"jsonrpc":"2.0","id":"","error":{"code":-32000,"message":"no"}}',
      '{"jsonrpc":"2.0","id":-1,"error":{"code":-32000,"message":"no"}}',
    ]);
  });

  it('a pending response is one line, with the HTTP facts of its answer', async () => {
    const { owed, replies } = owing(0);
    const http = { status: 200, headers: { 'x-request': 'a' } };
    owed.answer(0, responseOf('{"jsonrpc":"2.0",\r\n"id":0,\n"result":{}}'), http);
    const reply = (await replies[0]) as Reply;
    expect(textOf(reply)).not.toMatch(/[\r\n]/);
    expect(reply).toMatchObject({ http });
  });
});

describe('pending responses that fail', () => {
  it('pending responses fail one by one, or all that are left', async () => {
    const { owed, replies } = owing(0, '', -1);
    const [one, rest] = [new Error('one'), new Error('rest')];
    owed.fail('', one);
    owed.failAll(rest);
    const reasons = (await Promise.allSettled(replies)).map((end) => end.status === 'rejected' && end.reason);
    expect(reasons).toEqual([rest, one, rest]);
    expect(owed.size).toBe(0);
  });

  it('a late answer is known as abandoned only if its caller had left', async () => {
    const { owed, replies } = owing(0, '0');
    const reason = new Error('cancelled');
    owed.abandon(0, reason);
    await expect(replies[0]).rejects.toBe(reason);
    expect([owed.has(0), owed.has('0')]).toEqual([false, true]);
    expect([owed.wasAbandoned(0), owed.wasAbandoned('0')]).toEqual([true, false]);
    expect(await settled(replies[1] as Promise<Reply>)).toBe(false);
  });
});
