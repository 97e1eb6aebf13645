import { describe, expect, it } from 'vitest';
import { Relay } from '../../src/client/stdio/relay.ts';
import { boundsOf, readOption } from '../../src/config/option.ts';
import { ProxyError } from '../../src/core/errors/errors.ts';
import { Events } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import {
  backpressure,
  backpressureOptions,
  Limiter,
  OverloadedError,
} from '../../src/layers/backpressure.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { HeldHandler } from '../support/held-handler.ts';
import { occupied, limited as setUp } from '../support/limited.ts';
import { makeCall, makeToolCall, messageOf, RESULT, requestOf, settle } from '../support/make-call.ts';

describe('the options of backpressure', () => {
  it.each([
    ['maxConcurrent', '1', { value: 1 }],
    ['maxConcurrent', '0', { problem: 'must be an integer >= 1' }],
    ['maxConcurrent', '-1', { problem: 'must be an integer >= 1' }],
    ['maxConcurrent', '1.5', { problem: 'must be an integer >= 1' }],
    ['queueSize', '0', { value: 0 }],
    ['queueSize', '-1', { problem: 'must be an integer >= 0' }],
    ['queueTimeout', '0.5', { value: 0.5 }],
    ['queueTimeout', '0', { problem: 'must be a number of seconds > 0' }],
    ['queueTimeout', '-3', { problem: 'must be a number of seconds > 0' }],
    ['overloadErrorCode', '-32099', { value: -32099 }],
    ['overloadErrorCode', '0', { value: 0 }],
    ['overloadErrorCode', '1.5', { problem: 'must be an integer' }],
  ] as const)('the backpressure option %s=%s becomes %o', (key, raw, read) => {
    expect(readOption(backpressureOptions[key], [raw], 'flag')).toEqual(read);
    expect(readOption(backpressureOptions[key], [raw], 'variable')).toEqual(read);
    expect(boundsOf(backpressureOptions[key])).not.toBe('');
  });

  it('backpressure defaults to no limit, no queue, 30 s and -32001', () => {
    const fallbacks = Object.values(backpressureOptions).map(({ fallback }) => fallback);
    expect(fallbacks).toEqual([undefined, 0, 30, -32001]);
  });
});

describe('a call that finds a place', () => {
  it('an admitted call runs in the same turn, is never counted as queued and holds no deadline', async () => {
    const { limiter, server, send, clock } = setUp({ maxConcurrent: 2, queueSize: 2 });
    const made = makeToolCall();
    const answer = send(made);
    expect(server.begun).toEqual([made.call]);
    expect(limiter.counts).toMatchObject({ active: 1, queued: 0 });
    expect(made.call.deadline.holds).toBe(0);
    expect(clock.timers).toBe(0);
    server.finishOldest();
    expect(await answer).toBe(RESULT);
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0, totalRejected: 0 });
  });

  it('an admitted call returns the reply or the error of its handler unchanged', async () => {
    const { limiter, server, send } = setUp();
    const timeout = Object.assign(new Error('the tool timed out'), { name: 'TimeoutError' });
    const failed = send();
    server.running[0]?.fail(timeout);
    expect(await failed).toBe(timeout);
    expect(limiter.counts).toMatchObject({ active: 0, totalRejected: 0 });
    const next = send();
    server.finishOldest();
    expect(await next).toBe(RESULT);
  });

  it('an admitted call runs for any length of time', async () => {
    const { clock, server, send } = setUp({ queueSize: 1, queueTimeoutMs: 10 });
    const [first, second] = [send(makeToolCall(0)), send(makeToolCall(-1))];
    server.finishOldest();
    await first;
    await clock.advance(3_600_000);
    server.finishOldest();
    expect(await second).toBe(RESULT);
  });

  it('an admitted call returns its place if the handler throws synchronously', async () => {
    const { limiter } = setUp();
    const broken = backpressure(
      { of: () => limiter },
      new Events(),
    )(() => {
      throw new TypeError('no promise');
    });
    await expect(broken(makeToolCall().call)).rejects.toThrow('no promise');
    expect(limiter.active).toBe(0);
  });
});

describe('methods other than tools/call', () => {
  it.each([
    ['initialize', requestOf('initialize', {}, 0)],
    ['ping', requestOf('ping', undefined, -1)],
    ['tools/list', requestOf('tools/list', {}, '')],
    ['an unknown method', requestOf('vendor/tools/call', {}, 1)],
    ['a cancellation', messageOf({ method: 'notifications/cancelled', params: { requestId: 0 } })],
    ['a notification that is called like it', messageOf({ method: 'tools/call' })],
    ['an answer to the server', messageOf({ id: 0, result: {} })],
  ])('a method other than tools/call passes while every place is taken: %s', async (_what, message) => {
    const { limiter, server, send } = occupied({ queueSize: 1 });
    void send(makeToolCall(-1));
    const made = makeCall(message);
    const answer = send(made);
    expect(server.begun.at(-1)).toBe(made.call);
    expect(limiter.counts).toMatchObject({ active: 1, queued: 1 });
    server.running.at(-1)?.finish();
    expect(await answer).toBe(RESULT);
  });
});

describe('a refusal', () => {
  it('a refusal by backpressure comes at once as concurrency_limit without a queue', async () => {
    const { limiter, server, send } = occupied({ maxConcurrent: 2 });
    const error = await send();
    expect(error).toBeInstanceOf(OverloadedError);
    expect(error).toMatchObject({ reason: 'overloaded', sent: 'no', retryAfterMs: 1_000 });
    expect((error as OverloadedError).toJsonRpc()).toEqual({
      code: -32001,
      message: 'SERVER_OVERLOADED',
      data: {
        reason: 'concurrency_limit',
        active: 2,
        queued: 0,
        max_concurrent: 2,
        queue_size: 0,
        queue_timeout_ms: 30_000,
        retry_after_ms: 1_000,
      },
    });
    expect(server.begun).toHaveLength(2);
    expect(limiter.counts).toMatchObject({ totalRejected: 1, rejectedConcurrencyLimit: 1 });
  });

  it('a refusal by backpressure comes at once as queue_full if the queue is full', async () => {
    const { send, clock } = occupied({ maxConcurrent: 2, queueSize: 1, errorCode: -1 });
    void send(makeToolCall(''));
    const error = (await send()) as OverloadedError;
    expect(error.code).toBe(-1);
    expect(error.toJsonRpc()).toEqual({
      code: -1,
      message: 'SERVER_OVERLOADED',
      data: {
        reason: 'queue_full',
        active: 2,
        queued: 1,
        max_concurrent: 2,
        queue_size: 1,
        queue_timeout_ms: 30_000,
        retry_after_ms: 1_000,
      },
    });
    expect(clock.monotonic()).toBe(0);
  });

  it('a refusal by backpressure comes as queue_timeout after its time, and counts the queue without itself', async () => {
    const { clock, limiter, server, send } = occupied({ queueSize: 2, queueTimeoutMs: 400.9 });
    const made = makeToolCall(-1);
    const alone = send(made);
    await clock.advance(300);
    const later = send(makeToolCall(''));
    await clock.advance(101);
    const error = (await alone) as OverloadedError;
    expect(error.toJsonRpc().data).toEqual({
      reason: 'queue_timeout',
      active: 1,
      queued: 1,
      max_concurrent: 1,
      queue_size: 2,
      queue_timeout_ms: 400,
      retry_after_ms: 1_000,
    });
    await clock.advance(300);
    expect(((await later) as OverloadedError).toJsonRpc().data).toMatchObject({ queued: 0 });
    expect(server.begun).toHaveLength(1);
    expect(made.call.deadline.held).toBe(0);
    expect(clock.timers).toBe(0);
    expect(limiter.counts).toMatchObject({ active: 1, queued: 0, rejectedQueueTimeout: 2 });
  });

  it('a refusal by backpressure has exactly seven keys in data', async () => {
    const { send } = occupied({});
    const sent = JSON.parse(JSON.stringify(((await send()) as OverloadedError).toJsonRpc()));
    expect(Object.keys(sent.data)).toEqual([
      'reason',
      'active',
      'queued',
      'max_concurrent',
      'queue_size',
      'queue_timeout_ms',
      'retry_after_ms',
    ]);
    expect(Object.keys(sent)).toEqual(['code', 'message', 'data']);
  });

  it('a refusal by backpressure is counted by reason before its error is built', async () => {
    const { limiter, send } = occupied({ maxConcurrent: 2, queueSize: 1 });
    void send();
    await Promise.all([send(), send()]);
    expect(limiter.counts).toMatchObject({ totalRejected: 2, rejectedQueueFull: 2 });
    await Promise.all([send(), send(), send()]);
    expect(limiter.counts).toMatchObject({ totalRejected: 5, rejectedQueueFull: 5, rejectedQueueTimeout: 0 });
  });
});

describe('the line', () => {
  it('queued calls move up in order, one place at a time, with the deadline held until then', async () => {
    const { limiter, server, send, clock } = occupied({ maxConcurrent: 2, queueSize: 3 });
    const waiting = [makeToolCall(-1), makeToolCall(''), makeToolCall('1')];
    for (const made of waiting) void send(made);
    expect(waiting.map(({ call }) => call.deadline.held)).toEqual([1, 1, 1]);
    expect(limiter.counts).toMatchObject({ active: 2, queued: 3 });
    for (const [at, made] of waiting.entries()) {
      server.finishOldest();
      await settle();
      expect(server.begun.at(-1)).toBe(made.call);
      expect(made.call.deadline.held).toBe(0);
      expect(limiter.counts).toMatchObject({ active: 2, queued: 2 - at });
    }
    expect(clock.timers).toBe(0);
  });

  it('a newcomer does not overtake queued calls when a place becomes free', async () => {
    const { limiter, server, send } = occupied({ queueSize: 1 });
    const [old, young] = [makeToolCall(-1), makeToolCall('')];
    void send(old);
    server.finishOldest();
    await settle();
    const answer = send(young);
    expect(limiter.counts).toMatchObject({ active: 1, queued: 1 });
    expect(server.running.map(({ call }) => call)).toEqual([old.call]);
    server.finishOldest();
    await settle();
    server.finishOldest();
    expect(await answer).toBe(RESULT);
  });

  it('queued calls are refused at once when the proxy drains, and count as no rejection', async () => {
    const { clock, limiter, server, send } = occupied({ queueSize: 2 });
    const answers = [send(makeToolCall(-1)), send(makeToolCall(''))];
    const leaving = new ProxyError('shutting-down', 'The proxy is ending.', { sent: 'no' });
    limiter.refuseQueued(leaving);
    expect(await Promise.all(answers)).toEqual([leaving, leaving]);
    expect(limiter.counts).toMatchObject({ active: 1, queued: 0, totalRejected: 0 });
    expect(clock.timers).toBe(0);
    server.finishOldest();
    await settle();
    expect(limiter.active).toBe(0);
    expect(server.begun).toHaveLength(1);
  });
});

describe('the places', () => {
  it('places are counted for each profile: hanging calls of one take none of another', async () => {
    const clock = new FakeClock();
    const limits = { maxConcurrent: 1, queueSize: 1, queueTimeoutMs: 5_000, errorCode: -32001, clock };
    const limiters = new PerProfile(() => new Limiter(limits));
    const server = new HeldHandler();
    const handler = backpressure(limiters, new Events())(server.handle);
    const send = (profile: string, id: number | string) =>
      handler({ ...makeToolCall(id).call, profile }).catch((error: unknown) => error);
    void send('hangs', 0);
    const queued = send('hangs', -1);
    expect(await send('hangs', '')).toMatchObject({ overload: 'queue_full' });
    void send('well', 0);
    expect(server.begun.map(({ profile }) => profile)).toEqual(['hangs', 'well']);
    expect(limiters.of('well').counts).toMatchObject({ active: 1, queued: 0, totalRejected: 0 });
    const leaving = new ProxyError('shutting-down', 'The proxy is ending.', { sent: 'no' });
    limiters.of('hangs').refuseQueued(leaving);
    expect(await queued).toBe(leaving);
  });
});

describe('the reference load', () => {
  it('the reference load: 30 calls of 1 s, 5 places, queue of 10: 15 refused, 5 done at 1, 2 and 3 s each', async () => {
    const clock = new FakeClock();
    const limiter = new Limiter({
      maxConcurrent: 5,
      queueSize: 10,
      queueTimeoutMs: 5_000,
      errorCode: -32001,
      clock,
    });
    const second = backpressure(
      { of: () => limiter },
      new Events(),
    )(() => new Promise((resolve) => clock.schedule(1_000, () => resolve(RESULT))));
    const ends: string[] = [];
    const calls = Array.from({ length: 30 }, (_, at) =>
      second(makeToolCall(at).call).then(
        () => ends.push(`done at ${clock.monotonic()}`),
        (error: OverloadedError) => ends.push(`${error.overload} at ${clock.monotonic()}`),
      ),
    );
    await clock.advance(3_000);
    await Promise.all(calls);
    expect(ends).toEqual([
      ...Array(15).fill('queue_full at 0'),
      ...Array(5).fill('done at 1000'),
      ...Array(5).fill('done at 2000'),
      ...Array(5).fill('done at 3000'),
    ]);
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0, totalRejected: 15 });
  });
});

describe('on the wire', () => {
  it('a refusal by backpressure equals the reference line, under the id as its client spelled it', async () => {
    const { handler } = occupied({ maxConcurrent: 1, queueTimeoutMs: 2_500 });
    const lines: string[] = [];
    const relay = new Relay({
      handler,
      client: { id: 'client-1' },
      profile: '',
      clock: new FakeClock(),
      events: new Events(),
      limits: { timeoutMs: 0, toolTimeoutMs: 0, initializeTimeoutMs: 0, maxLineBytes: 0 },
      send: async (line) => void lines.push(line),
    });
    for (const id of ['0', '""', '-1.0']) {
      relay.receive(`{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"t"}}`);
    }
    await settle();
    const error =
      '"error":{"code":-32001,"message":"SERVER_OVERLOADED","data":{"reason":"concurrency_limit","active":1,"queued":0,"max_concurrent":1,"queue_size":0,"queue_timeout_ms":2500,"retry_after_ms":1000}}';
    expect(lines).toEqual(['0', '""', '-1.0'].map((id) => `{"jsonrpc":"2.0","id":${id},${error}}`));
  });
});
