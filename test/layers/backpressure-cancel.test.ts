import { describe, expect, it } from 'vitest';
import { Events } from '../../src/core/pipeline/events.ts';
import { backpressure } from '../../src/layers/backpressure.ts';
import { occupied, limited as setUp } from '../support/limited.ts';
import { CANCELLED, makeToolCall, RESULT, settle } from '../support/make-call.ts';

describe('a cancelled call', () => {
  it('a cancelled call in the queue leaves it at once, and its handler is never called', async () => {
    const { clock, limiter, server, send } = occupied({ queueSize: 1 });
    const made = makeToolCall(-1);
    const cancelled = send(made);
    made.cancel();
    expect(limiter.queued).toBe(0);
    const next = send(makeToolCall(''));
    expect(limiter.queued).toBe(1);
    expect(await cancelled).toBe(CANCELLED);
    server.finishOldest();
    await settle();
    server.finishOldest();
    expect(await next).toBe(RESULT);
    expect(server.begun.map(({ message }) => message.json.id)).toEqual([0, '']);
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0, totalRejected: 0 });
    expect(clock.timers).toBe(0);
  });

  it('a cancelled call gives its place to the oldest in the queue at once', async () => {
    const { limiter } = setUp({ queueSize: 2 });
    const begun: unknown[] = [];
    const deaf = backpressure(
      { of: () => limiter },
      new Events(),
    )(({ message }) => {
      begun.push(message.json.id);
      return new Promise(() => undefined);
    });
    const [running, waiting] = [makeToolCall(0), makeToolCall(-1)];
    void deaf(running.call);
    void deaf(waiting.call);
    running.cancel();
    expect(limiter.counts).toMatchObject({ active: 1, queued: 0 });
    await settle();
    expect(begun).toEqual([0, -1]);
  });

  it('a call that is cancelled as it ends releases its place once', async () => {
    const { limiter, server, send } = occupied({ maxConcurrent: 2, queueSize: 3 });
    const made = makeToolCall('both');
    server.finishOldest();
    await settle();
    const answer = send(made);
    server.running.find(({ call }) => call === made.call)?.finish();
    made.cancel();
    await answer;
    expect(limiter.counts).toMatchObject({ active: 1, queued: 0 });
  });

  it.each([
    ['before it is admitted', 0],
    ['between its promotion and its start', 1],
  ])('a cancelled call never reaches the handler and never keeps a place: %s', async (_when, when) => {
    const { limiter, server, send, first } = occupied({ queueSize: 1 });
    const made = makeToolCall(-1);
    if (when === 0) made.cancel();
    const answer = send(made);
    if (when === 1) {
      first[0]?.cancel();
      made.cancel();
    }
    expect(await answer).toBe(CANCELLED);
    expect(server.begun).toHaveLength(1);
    expect(limiter.queued).toBe(0);
    first[0]?.cancel();
    await settle();
    expect(limiter.active).toBe(0);
  });

  it('ten calls cancelled at once leave every place for later calls', async () => {
    const { limiter, server, send } = occupied({ maxConcurrent: 3, queueSize: 10 });
    const gone = Array.from({ length: 10 }, () => makeToolCall());
    const answers = gone.map((made) => send(made));
    for (const made of gone) made.cancel();
    expect(await Promise.all(answers)).toEqual(Array(10).fill(CANCELLED));
    while (server.running.length > 0) server.finishOldest();
    await settle();
    const fresh = [send(), send(), send()];
    expect(server.running).toHaveLength(3);
    while (server.running.length > 0) server.finishOldest();
    expect(await Promise.all(fresh)).toEqual([RESULT, RESULT, RESULT]);
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0, totalRejected: 0 });
  });

  it('every second queued call cancelled in one turn leaves the others in order', async () => {
    const { limiter, server, send } = occupied({ maxConcurrent: 2, queueSize: 8 });
    const waiting = Array.from({ length: 8 }, (_, at) => makeToolCall(`w${at}`));
    const answers = waiting.map((made) => send(made));
    for (const at of [0, 2, 4, 6]) waiting[at]?.cancel();
    expect(limiter.counts).toMatchObject({ active: 2, queued: 4 });
    while (server.running.length > 0) {
      server.finishOldest();
      await settle();
    }
    await Promise.all(answers);
    expect(server.begun.slice(2).map(({ message }) => message.json.id)).toEqual(['w1', 'w3', 'w5', 'w7']);
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0 });
  });

  it('a running call cancelled after three of five in the queue: 5, 2, then 1 waits', async () => {
    const { limiter, send, first } = occupied({ maxConcurrent: 2, queueSize: 5 });
    const waiting = Array.from({ length: 5 }, (_, at) => makeToolCall(at));
    for (const made of waiting) void send(made);
    for (const at of [0, 2, 4]) waiting[at]?.cancel();
    expect(limiter.counts).toMatchObject({ active: 2, queued: 2 });
    first[0]?.cancel();
    expect(limiter.counts).toMatchObject({ active: 2, queued: 1 });
    for (const made of [...first, ...waiting]) made.cancel();
    await settle();
    expect(limiter.counts).toMatchObject({ active: 0, queued: 0 });
  });
});
