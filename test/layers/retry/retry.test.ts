import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Call, Origin } from '../../../src/core/pipeline/call.ts';
import {
  answerOf,
  CANCELLED,
  makeCall,
  makeToolCall,
  messageOf,
  RESULT,
  requestOf,
} from '../../support/make-call.ts';
import { type Attempted, retried } from '../../support/retried.ts';

const throws =
  (error: unknown): Attempted =>
  () => {
    throw error;
  };
const REFUSED = new ProxyError('connect-failed', 'Cannot connect to example.com: ECONNREFUSED.', {
  sent: 'no',
});
const LOST = new ProxyError('connection-lost', 'The connection broke. The call may have run', {
  sent: 'maybe',
});
const refused = throws(REFUSED);
const lost = throws(LOST);
const good: Attempted = () => RESULT;
const busy =
  (retryAfter?: string): Attempted =>
  () =>
    answerOf(
      { error: { code: -32004, message: 'Too many requests' } },
      { status: 429, headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter } },
    );

const ORIGIN: Origin = { profile: '', gone: new Promise(() => undefined) };
const tell = (call: Call) =>
  call.emit(
    messageOf({ method: 'notifications/progress', params: { progressToken: 0, progress: 1 } }),
    ORIGIN,
  );

describe('a request that fails on the way', () => {
  it('a failed request is retried until it is answered, with waits that an observer sees', async () => {
    const { clock, log, seen, send } = retried([refused, busy(), good]);
    const made = makeCall(requestOf('tools/list', {}, -1));
    const answer = send(made);
    await clock.advance(150);
    expect(await answer).toBe(RESULT);
    expect(log.map(({ at }) => at)).toEqual([0, 50, 150]);
    expect(log.map(({ call }) => call.message)).toEqual(Array(3).fill(made.call.message));
    expect(seen).toEqual([
      {
        type: 'call.retried',
        profile: '',
        call: undefined,
        method: 'tools/list',
        id: '-1',
        attempt: 1,
        afterMs: 50,
        reason: 'not-sent',
      },
      { type: 'server.throttled', profile: '', method: 'tools/list', retryAfterMs: undefined },
      {
        type: 'call.retried',
        profile: '',
        call: undefined,
        method: 'tools/list',
        id: '-1',
        attempt: 2,
        afterMs: 100,
        reason: 'turned-away',
      },
    ]);
    expect(clock.timers).toBe(0);
  });

  it('a failed request ends with the last error and the number of attempts', async () => {
    const { clock, log, send } = retried([refused]);
    const answer = send();
    await clock.advance(150);
    const error = (await answer) as ProxyError;
    expect(error.toJsonRpc()).toEqual({
      code: -31001,
      message: 'Cannot connect to example.com: ECONNREFUSED. It was tried 3 times.',
      data: { source: 'mcp-sigv4-proxy', reason: 'connect-failed', mayHaveRun: false, attempts: 3 },
    });
    expect(error.cause).toBe(REFUSED);
    expect(log).toHaveLength(3);
  });

  it('a failed request states that it may have run if an earlier attempt may have run', async () => {
    const { clock, tools, send } = retried([lost, refused]);
    tools.learn({ result: { tools: [{ name: 'tool', annotations: { idempotentHint: true } }] } });
    const answer = send(makeToolCall());
    await clock.advance(150);
    const error = (await answer) as ProxyError;
    expect(error.message).toBe(
      'Cannot connect to example.com: ECONNREFUSED. It was tried 3 times, and an earlier attempt may have run.',
    );
    expect(error.toJsonRpc().data).toMatchObject({ reason: 'connect-failed', mayHaveRun: true, attempts: 3 });
  });

  it("a failed request's message ends its last sentence before the number of attempts", async () => {
    const { clock, send } = retried([lost]);
    const answer = send();
    await clock.advance(150);
    expect(((await answer) as ProxyError).message).toBe(
      'The connection broke. The call may have run. It was tried 3 times.',
    );
  });

  it('a failed request passes its error unchanged if nothing was retried', async () => {
    const gone = new ProxyError('session-lost', 'gone', { sent: 'refused' });
    const fault = new TypeError('a fault');
    for (const error of [gone, fault, LOST]) {
      const { log, send } = retried([throws(error)]);
      expect(await send(makeToolCall())).toBe(error);
      expect(log).toHaveLength(1);
    }
  });

  it('a failed request is retried also if the handler throws synchronously', async () => {
    const { clock, send } = retried([refused, good]);
    const answer = send();
    await clock.advance(50);
    expect(await answer).toBe(RESULT);
  });
});

describe('a tool', () => {
  it.each([
    ['that only reads', { readOnlyHint: true }, 2],
    ['that may be repeated', { idempotentHint: true }, 2],
    ['without hints', {}, 1],
  ])('a broken connection of a tool %s: %j, calls %i', async (_what, annotations, times) => {
    const { clock, tools, log, send } = retried([lost, good]);
    tools.learn({ result: { tools: [{ name: 'tool', annotations }] } });
    const answer = send(makeToolCall(''));
    await clock.advance(1_000);
    expect(await answer).toBe(times === 2 ? RESULT : LOST);
    expect(log).toHaveLength(times);
  });

  it('a tool is looked up only if it matters, and slow or failing lookups hide no error', async () => {
    let asked = 0;
    const toolsOf = async () => {
      asked++;
      throw new Error('no list to be had');
    };
    const { clock, log, send } = retried([refused, lost], { toolsOf });
    const answer = send(makeToolCall());
    await clock.advance(50);
    expect(await answer).toMatchObject({ reason: 'connection-lost', details: { attempts: 2 } });
    expect([asked, log.length]).toEqual([1, 2]);
  });

  it('a tool is not retried once it has emitted something, whatever its hints', async () => {
    const received: unknown[] = [];
    const { tools, log, send } = retried([
      async (call) => {
        await tell(call);
        throw LOST;
      },
    ]);
    tools.learn({ result: { tools: [{ name: 'tool', annotations: { readOnlyHint: true } }] } });
    const emit = async (...emitted: unknown[]) => void received.push(emitted);
    const made = makeCall(requestOf('tools/call', { name: 'tool' }), { emit });
    expect(await send(made)).toBe(LOST);
    expect(log).toHaveLength(1);
    expect(received).toEqual([[expect.objectContaining({ method: 'notifications/progress' }), ORIGIN]]);
  });
});

describe('the wait', () => {
  it('a retry wait is what the server requests, and ends at once when the call is cancelled', async () => {
    const { clock, log, send } = retried([busy('20')]);
    const made = makeToolCall('');
    const answer = send(made);
    await clock.advance(20_049);
    expect(log).toHaveLength(1);
    await clock.advance(1);
    expect(log).toHaveLength(2);
    await clock.advance(1_000);
    made.cancel();
    expect(await answer).toBe(CANCELLED);
    expect(clock.timers).toBe(0);
    await clock.advance(60_000);
    expect(log).toHaveLength(2);
  });

  it('a retry wait does not begin for a call that was cancelled while it failed', async () => {
    const made = makeToolCall();
    const { clock, seen, log, send } = retried([
      () => {
        made.cancel();
        throw REFUSED;
      },
    ]);
    expect(await send(made)).toBe(REFUSED);
    expect([clock.timers, seen.length, log.length]).toEqual([0, 0, 1]);
  });

  it.each([
    ['30', 30_000],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
  ])(
    'a retry wait above 20 s is not made (Retry-After: %s), and the answer states the time',
    async (retryAfter, retryAfterMs) => {
      const { clock, log, send } = retried([busy(retryAfter)]);
      const reply = await send(makeCall(requestOf('initialize', {})));
      expect(reply).toMatchObject({ kind: 'answer', http: { status: 429 } });
      const again = await send(makeToolCall());
      expect(again).toMatchObject({
        kind: 'answer',
        message: {
          text: `{"jsonrpc":"2.0","id":0,"error":{"data":{"retryAfterMs":${retryAfterMs}},"code":-32004,"message":"Too many requests"}}`,
        },
      });
      expect([clock.timers, log.length]).toEqual([0, 2]);
    },
  );

  it('a retry wait above 20 s is not made, and the error states the time', async () => {
    const error = new ProxyError('http-status', 'HTTP 429', {
      sent: 'refused',
      retryAfterMs: 30_000,
      details: { httpStatus: 429 },
    });
    const { send } = retried([throws(error)]);
    expect(await send()).toBe(error);
    expect(error.toJsonRpc().data).toMatchObject({ retryAfterMs: 30_000, mayHaveRun: false });
  });

  it("a retry wait beyond the caller's time is not made, and the answer states the time", async () => {
    const { clock, log, send } = retried([busy('5')]);
    const made = makeToolCall(-1);
    made.call.deadline.remainingMs = 3_000;
    expect(await send(made)).toMatchObject({
      kind: 'answer',
      message: { json: { error: { code: -32004, data: { retryAfterMs: 5_000 } } } },
    });
    expect([clock.timers, log.length]).toEqual([0, 1]);
  });

  it('a retry wait that the time limit ends states that the call did not run, unless an attempt may have', async () => {
    const late = new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'did not run' });
    const waiting = async (...script: Attempted[]) => {
      const { clock, send } = retried(script);
      const made = makeCall(requestOf('tools/list', {}, ''));
      const answer = send(made);
      await clock.advance(0);
      made.cancel(late);
      return answer;
    };
    expect(await waiting(refused)).toMatchObject({ message: 'did not run', sent: 'no' });
    expect(await waiting(busy('5'))).toMatchObject({ message: 'did not run', sent: 'no' });
    expect(await waiting(lost)).toBe(late);
  });
});

describe('a startup request', () => {
  it('a startup request survives 19 s of throttling', async () => {
    let at = (): number => 0;
    const { clock, log, send } = retried([(call) => (at() < 19_000 ? busy()(call) : good(call))]);
    at = () => clock.monotonic();
    const answer = send();
    await clock.advance(20_000);
    expect(await answer).toBe(RESULT);
    expect(log.length).toBeLessThan(30);
  });

  it("a startup request gives up within 20 s, with the server's own words", async () => {
    const { clock, log, send } = retried([busy()]);
    const answer = send();
    await clock.advance(20_000);
    expect(await answer).toMatchObject({ message: { outcome: 'error', json: { error: { code: -32004 } } } });
    expect(log.at(-1)?.at).toBeGreaterThan(18_000);
  });
});

describe('messages that the retry layer passes', () => {
  it.each([
    ['a notification', messageOf({ method: 'notifications/initialized' })],
    ['an answer to the server', messageOf({ id: 0, result: {} })],
    ['initialize, which the opening stack repeats', requestOf('initialize', {}, '')],
  ])('the retry layer never repeats %s', async (_what, message) => {
    const { clock, log, send } = retried([refused]);
    const made = makeCall(message);
    expect(await send(made)).toBe(REFUSED);
    expect(log.map(({ call }) => call)).toEqual([made.call]);
    expect(clock.timers).toBe(0);
  });

  it('the retry layer leaves initialize to the opening stack', async () => {
    const { clock, log, send } = retried([refused, good], { opening: true });
    const answer = send(makeCall(requestOf('initialize', {}, '')));
    await clock.advance(50);
    expect(await answer).toBe(RESULT);
    expect(log).toHaveLength(2);
  });

  it('a tool result with isError is never retried, because the tool ran', async () => {
    const failed = answerOf({ result: { isError: true, content: [] } }, { status: 200 });
    const { log, send } = retried([() => failed]);
    expect(await send(makeToolCall())).toBe(failed);
    expect(log).toHaveLength(1);
  });
});
