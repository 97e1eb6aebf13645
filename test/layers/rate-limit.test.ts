import { describe, expect, it } from 'vitest';
import { readOption } from '../../src/config/option.ts';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { Events } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import { burstOf, rateLimit, rateLimitOptions, TokenBucket } from '../../src/layers/rate-limit.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { HeldHandler } from '../support/held-handler.ts';
import {
  answerOf,
  CANCELLED,
  type MadeCall,
  makeCall,
  makeToolCall,
  messageOf,
  RESULT,
  requestOf,
  settle,
} from '../support/make-call.ts';

function setUp({ rate = 10, burst = 1 } = {}) {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ ratePerSecond: rate, burst, clock });
  const server = new HeldHandler();
  const handler = rateLimit({ of: () => bucket }, new Events())(server.handle);
  const send = (made: MadeCall = makeToolCall()) => handler(made.call).catch((error: unknown) => error);
  const many = (count: number) => Array.from({ length: count }, (_, at) => send(makeToolCall(at - 1)));
  return { clock, bucket, server, send, many };
}

const throttled = (retryAfter?: string, status = 429) =>
  answerOf(
    { error: { code: -32004, message: 'Too many requests' } },
    { status, headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter } },
  );

describe('the options of the rate limit', () => {
  it.each([
    ['rateLimit', '0.5', { value: 0.5 }],
    ['rateLimit', '0', { problem: 'must be a number > 0' }],
    ['rateLimit', '-1', { problem: 'must be a number > 0' }],
    ['rateBurst', '1', { value: 1 }],
    ['rateBurst', '0', { problem: 'must be an integer >= 1' }],
    ['rateBurst', '2.5', { problem: 'must be an integer >= 1' }],
  ] as const)('the rate option %s=%s becomes %o', (key, raw, read) => {
    expect(readOption(rateLimitOptions[key], [raw], 'flag')).toEqual(read);
  });

  it.each([
    [10, undefined, 10],
    [2.9, undefined, 2],
    [0.2, undefined, 1],
    [10, 3, 3],
  ])('the rate %s per second with burst %s sends %s at once', (rate, burst, expected) => {
    expect(burstOf(rate, burst)).toBe(expected);
  });
});

describe('the bucket', () => {
  it('the token bucket starts full, then lets one request go per interval, in order', async () => {
    const { clock, bucket, server, many } = setUp({ rate: 10, burst: 3 });
    void many(6);
    expect(server.begun).toHaveLength(3);
    expect(bucket.waiting).toBe(3);
    await clock.advance(99);
    expect(server.begun).toHaveLength(3);
    await clock.advance(1);
    expect(server.begun).toHaveLength(4);
    await clock.advance(200);
    expect(server.begun.map(({ message }) => message.json.id)).toEqual([-1, 0, 1, 2, 3, 4]);
    expect(clock.timers).toBe(0);
  });

  it('the token bucket fills to the burst and no further', async () => {
    const { clock, server, many } = setUp({ rate: 10, burst: 2 });
    void many(2);
    await clock.advance(3_600_000);
    void many(5);
    expect(server.begun).toHaveLength(4);
  });

  it('the token bucket lets no newcomer overtake queued requests', async () => {
    const { clock, server, send, many } = setUp({ rate: 1 });
    void many(2);
    await clock.advance(999);
    void send(makeToolCall('new'));
    await clock.advance(1);
    expect(server.begun.map(({ message }) => message.json.id)).toEqual([-1, 0]);
    await clock.advance(1_000);
    expect(server.begun.map(({ message }) => message.json.id)).toEqual([-1, 0, 'new']);
  });

  it('the token bucket keeps the rate over any time, whatever fractions add up', async () => {
    const { clock, server, many } = setUp({ rate: 7, burst: 1 });
    void many(200);
    await clock.advance(10_001);
    expect(server.begun).toHaveLength(71);
    await clock.advance(18_427);
    expect(server.begun).toHaveLength(199);
  });
});

describe('a waiting request', () => {
  it('a queued request leaves at once when it is cancelled, and later ones move up', async () => {
    const { clock, bucket, server, send } = setUp({ rate: 1 });
    void send(makeToolCall('first'));
    const [gone, stays] = [makeToolCall(0), makeToolCall('')];
    const answers = [send(gone), send(stays)];
    gone.cancel();
    expect(bucket.waiting).toBe(1);
    expect(await answers[0]).toBe(CANCELLED);
    await clock.advance(1_000);
    expect(server.begun.map(({ message }) => message.json.id)).toEqual(['first', '']);
  });

  it('a queued request that was the last leaves no timer behind', () => {
    const { clock, send } = setUp();
    void send();
    const made = makeToolCall();
    void send(made);
    expect(clock.timers).toBe(1);
    made.cancel();
    expect(clock.timers).toBe(0);
  });

  it('a queued request is not sent if it is cancelled as its turn comes', async () => {
    const { clock, server, send } = setUp();
    const made = makeToolCall();
    const schedule = clock.schedule.bind(clock);
    clock.schedule = (ms, fire) =>
      schedule(ms, () => {
        queueMicrotask(() => made.cancel());
        fire();
      });
    void send();
    const answer = send(made);
    await clock.advance(100);
    expect(await answer).toBe(CANCELLED);
    expect(server.begun).toHaveLength(1);
  });

  it('a queued request uses its own time limit: the deadline is not held', async () => {
    const { send } = setUp();
    void send();
    const made = makeToolCall();
    void send(made);
    expect(made.call.deadline.holds).toBe(0);
  });
});

describe('requests that queued requests wait for', () => {
  it('a priority request precedes queued requests, in order, and takes a token all the same', async () => {
    const { clock, bucket, server, many } = setUp({ rate: 10 });
    const ahead = rateLimit({ of: () => bucket }, new Events(), () => true)(server.handle);
    void many(3);
    const awaited = [makeToolCall('awaited 1'), makeToolCall('awaited 2')];
    for (const { call } of awaited) void ahead(call);
    expect(bucket.waiting).toBe(4);
    for (const count of [2, 3, 4, 5]) {
      await clock.advance(100);
      expect(server.begun).toHaveLength(count);
    }
    expect(server.begun.map(({ message }) => message.json.id)).toEqual([-1, 'awaited 1', 'awaited 2', 0, 1]);
    expect(clock.timers).toBe(0);
  });

  it('a priority request is not refused because of queued requests', async () => {
    const { clock, bucket, server, send, many } = setUp({ rate: 1 });
    void many(31);
    expect(await send()).toMatchObject({ reason: 'rate-limited' });
    const made = makeToolCall('awaited');
    void rateLimit({ of: () => bucket }, new Events(), () => true)(server.handle)(made.call);
    await clock.advance(1_000);
    expect(server.begun.at(-1)?.message.json.id).toBe('awaited');
  });

  it('a priority request is refused for a pause that is too long, and leaves when it is cancelled', async () => {
    const { clock, bucket, send } = setUp({ rate: 1 });
    void send();
    const signal = new AbortController();
    const waits = bucket.take(signal.signal, { ahead: true })?.catch((error: unknown) => error);
    signal.abort(CANCELLED);
    expect(await waits).toBe(CANCELLED);
    expect(clock.timers).toBe(0);
    const refused = bucket
      .take(new AbortController().signal, { ahead: true })
      ?.catch((error: unknown) => error);
    bucket.pause(40_000);
    expect(await refused).toMatchObject({ reason: 'rate-limited' });
    expect(bucket.waiting).toBe(0);
  });
});

describe('a proxy that is ending', () => {
  const leaving = new ProxyError('shutting-down', 'The proxy is ending.', { sent: 'no' });

  it('the rate limit refuses all who wait when the proxy ends, but no request whose turn it is', async () => {
    const { clock, bucket, server, send } = setUp({ rate: 1 });
    void send();
    const waiting = [send(makeToolCall('')), send(makeToolCall(-1))];
    bucket.refuseWaiting(leaving);
    expect(await Promise.all(waiting)).toEqual([leaving, leaving]);
    expect(await send()).toBe(leaving);
    expect(clock.timers).toBe(0);
    await clock.advance(1_000);
    void send();
    expect(server.begun).toHaveLength(2);
  });
});

it('the token buckets of two profiles are independent', async () => {
  const clock = new FakeClock();
  const buckets = new PerProfile(() => new TokenBucket({ ratePerSecond: 10, burst: 1, clock }));
  const server = new HeldHandler();
  const handler = rateLimit(buckets, new Events())(server.handle);
  const send = (profile: string) => handler({ ...makeToolCall('').call, profile });
  const throttledOne = send('throttled');
  server.running[0]?.finish(throttled('20'));
  await throttledOne;
  void send('throttled');
  void send('well');
  expect(server.begun.map(({ profile }) => profile)).toEqual(['throttled', 'well']);
  await clock.advance(100);
  void send('well');
  expect(server.begun).toHaveLength(3);
  expect(buckets.of('throttled').waiting).toBe(1);
});

describe('a request whose own time would be over before its turn', () => {
  const inTime = (leftMs: number): MadeCall => {
    const made = makeToolCall('');
    made.call.deadline.remainingMs = leftMs;
    return made;
  };

  it('a request whose time would be over before its turn is refused at once, with the time of its turn', async () => {
    const { bucket, many, send } = setUp({ rate: 1 });
    void many(3);
    expect(await send(inTime(2_999))).toMatchObject({
      reason: 'rate-limited',
      retryAfterMs: 3_000,
      message: expect.stringContaining(
        'would be sent in 3 s, and the longest wait is 3 s, which is what its own time limit leaves, so it was not sent',
      ),
    });
    void send(inTime(3_000));
    expect(bucket.waiting).toBe(3);
  });

  it('a request whose time would be over because of a pause is refused alone', async () => {
    const { bucket, send, many } = setUp({ rate: 1 });
    void many(2);
    const hurried = send(inTime(4_000));
    bucket.pause(4_000);
    expect(await hurried).toMatchObject({ reason: 'rate-limited', retryAfterMs: 6_000 });
    expect(bucket.waiting).toBe(1);
  });
});

describe('a request whose turn is more than 30 s away', () => {
  it('a request whose turn is more than 30 s away is refused at once, with the numbers and the time', async () => {
    const { bucket, server, many, send } = setUp({ rate: 0.5, burst: 2 });
    void many(17);
    expect(bucket.waiting).toBe(15);
    const error = await send();
    expect(error).toBeInstanceOf(ProxyError);
    expect((error as ProxyError).toJsonRpc()).toEqual({
      code: -31013,
      message:
        'Too many requests for --rate-limit 0.5 (--rate-burst 2): 15 are waiting. This one would be sent in 32 s, and the longest wait is 30 s, so it was not sent. Send fewer requests, raise --rate-limit, or try again then.',
      data: {
        source: 'mcp-sigv4-proxy',
        reason: 'rate-limited',
        mayHaveRun: false,
        retryAfterMs: 32_000,
        limit: 0.5,
        burst: 2,
        waiting: 15,
      },
    });
    expect(bucket.waiting).toBe(15);
    expect(server.begun).toHaveLength(2);
  });
});

describe('a server that requests a pause', () => {
  it.each([
    ['an answer with 429', throttled('2')],
    ['an answer with 503', throttled('2', 503)],
    ['an answer with a date', throttled('Fri, 02 Jan 2026 03:04:07 GMT')],
    [
      'an error of HTTP alone',
      new ProxyError('http-status', 'HTTP 429', {
        sent: 'refused',
        retryAfterMs: 2_000,
        details: { httpStatus: 429 },
      }),
    ],
  ])('a server that requests a pause gets it by %s, and the steady rate afterwards', async (_what, said) => {
    const { clock, server, send, many } = setUp({ rate: 10, burst: 5 });
    const answer = send();
    if (said instanceof Error) server.running[0]?.fail(said);
    else server.running[0]?.finish(said);
    expect(await answer).toBe(said);
    void many(3);
    await clock.advance(1_999);
    expect(server.begun).toHaveLength(1);
    await clock.advance(1);
    expect(server.begun).toHaveLength(2);
    await clock.advance(100);
    expect(server.begun).toHaveLength(3);
  });

  it.each([
    ['429 without Retry-After', throttled()],
    ['another status', throttled('2', 500)],
    ['a result', RESULT],
    ['a limit of our own', new ProxyError('circuit-open', 'open', { sent: 'no', retryAfterMs: 2_000 })],
    ['a failure of no kind', new TypeError('broken')],
  ])('a server requests no pause by %s', async (_what, said) => {
    const { server, send, many } = setUp({ burst: 5 });
    const answer = send();
    if (said instanceof Error) server.running[0]?.fail(said);
    else server.running[0]?.finish(said);
    expect(await answer).toBe(said);
    void many(4);
    expect(server.begun).toHaveLength(5);
  });

  it('a pause refuses queued requests that would wait too long, and states why', async () => {
    const { clock, bucket, server, send } = setUp({ rate: 1, burst: 2 });
    const first = send();
    void send();
    const [older, younger] = [send(makeToolCall(0)), send(makeToolCall(''))];
    server.running[0]?.finish(throttled('28'));
    await first;
    await settle();
    expect(bucket.waiting).toBe(2);
    server.running[0]?.finish(throttled('29'));
    const error = (await younger) as ProxyError;
    expect(error.reason).toBe('rate-limited');
    expect(error.retryAfterMs).toBe(31_000);
    expect(error.message).toContain('the server requested a pause, which ends in 29 s, and 2 are waiting.');
    expect(bucket.waiting).toBe(1);
    await clock.advance(30_000);
    server.running[0]?.finish();
    expect(await older).toBe(RESULT);
    expect(clock.timers).toBe(0);
  });

  it('a pause of an hour becomes five minutes', async () => {
    const { clock, server, send } = setUp({ burst: 5 });
    void send();
    server.running[0]?.finish(throttled('3600'));
    await settle();
    expect(await send()).toMatchObject({ reason: 'rate-limited', retryAfterMs: 300_000 });
    await clock.advance(300_000);
    void send();
    expect(server.begun).toHaveLength(2);
  });

  it('the longer of two pauses applies', async () => {
    const { clock, server, many, send } = setUp({ burst: 5 });
    void many(2);
    server.running[0]?.finish(throttled('5'));
    await settle();
    server.running[0]?.finish(throttled('1'));
    void send();
    await clock.advance(4_999);
    expect(server.begun).toHaveLength(2);
    await clock.advance(1);
    expect(server.begun).toHaveLength(3);
  });
});

it.each([
  ['ping', requestOf('ping', undefined, '')],
  ['a notification', messageOf({ method: 'notifications/cancelled', params: { requestId: 0 } })],
  ['an answer', messageOf({ id: 0, result: {} })],
])('the rate limit neither delays %s nor takes a token for it', async (_what, message) => {
  const { bucket, server, send } = setUp({ rate: 1, burst: 1 });
  for (let sent = 0; sent < 3; sent++) void send(makeCall(message));
  expect(server.begun).toHaveLength(3);
  void send();
  void send();
  void send(makeCall(message));
  expect(server.begun).toHaveLength(5);
  expect(bucket.waiting).toBe(1);
});
