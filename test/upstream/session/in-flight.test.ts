import { describe, expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import type { Exchange } from '../../../src/upstream/exchange/exchange.ts';
import { SessionCalls } from '../../../src/upstream/session/in-flight.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { CANCELLED, makeToolCall, RESULT, settle } from '../../support/make-call.ts';

/** An exchange whose answers the test brings: of a real one, only what the requests of a session ask of it. */
function held() {
  const answers: ((reply: Reply) => void)[] = [];
  const abandoned: [id: unknown, reason: unknown][] = [];
  const exchange: Pick<Exchange, 'expect' | 'abandon'> = {
    expect: (_request, observer) =>
      new Promise((resolve) => {
        answers.push((reply) => {
          resolve(reply);
          observer?.onSettled();
        });
      }),
    abandon: ({ id }: Request, reason: unknown) => void abandoned.push([id, reason]),
  };
  return { exchange: exchange as Exchange, answers, abandoned };
}

describe('requests in flight on a session', () => {
  it.each([0, '', -1, '1'])(
    'a request in flight is found by its id, %j, and by no other, until it is answered',
    async (id) => {
      const underWay = new SessionCalls(new FakeClock());
      const { exchange, answers } = held();
      expect(underWay.idle).toBe(true);
      const [reply] = underWay.start(exchange, [makeToolCall(id).call]);
      expect(underWay.findExchange(id)).toBe(exchange);
      expect([1, 'other'].map((other) => underWay.findExchange(other))).toEqual([undefined, undefined]);
      answers[0]?.(RESULT);
      expect(await reply).toBe(RESULT);
      await settle();
      expect(underWay.findExchange(id)).toBeUndefined();
    },
  );

  it('requests in flight can be awaited: all of them, also a later one', async () => {
    const underWay = new SessionCalls(new FakeClock());
    const { exchange, answers } = held();
    await underWay.whenIdle();
    underWay.start(exchange, [makeToolCall(0).call]);
    let rests = false;
    const rest = underWay.whenIdle().then(() => {
      rests = true;
    });
    underWay.start(exchange, [makeToolCall('').call]);
    answers[0]?.(RESULT);
    await settle();
    expect(rests).toBe(false);
    answers[1]?.(RESULT);
    await rest;
  });

  it('a request in flight tells its exchange of its cancellation, and stays until a notice can no longer come', async () => {
    const clock = new FakeClock();
    const underWay = new SessionCalls(clock);
    const { exchange, answers, abandoned } = held();
    const { call, cancel } = makeToolCall('');
    underWay.start(exchange, [call]);
    expect(abandoned).toEqual([]);
    cancel();
    expect(abandoned).toEqual([['', CANCELLED]]);
    answers[0]?.(RESULT);
    await settle();
    expect(underWay.findExchange('')).toBe(exchange);
    await clock.advance(60_000);
    expect([underWay.findExchange(''), underWay.idle]).toEqual([undefined, true]);
  });

  it('a member that is cancelled before its batch starts is abandoned after all members are registered', () => {
    const underWay = new SessionCalls(new FakeClock());
    const { exchange, answers } = held();
    const { call, cancel } = makeToolCall(0);
    let registered = 0;
    exchange.abandon = () => {
      registered = answers.length;
    };
    cancel();
    underWay.start(exchange, [call, makeToolCall('').call]);
    expect(registered).toBe(2);
  });
});
