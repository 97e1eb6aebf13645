import { describe, expect, it } from 'vitest';
import type { UnreadCut } from '../support/fault-server.ts';
import type { CutBy, Fault, ResetAt } from '../support/faults.ts';
import { marked, startFaulty } from '../support/faulty.ts';

const connectionLost = (cause: RegExp) => ({
  code: -31002,
  message: expect.stringMatching(
    new RegExp(
      `broke before the answer was complete: ${cause.source}\\. The call may have run; check before`,
    ),
  ),
  data: { source: 'mcp-sigv4-proxy', reason: 'connection-lost', mayHaveRun: true },
});

const GONE = /(other side closed|read ECONNRESET)/;
const BROKEN_ANSWERS: readonly ResetAt[] = [
  'before-headers',
  'in-headers',
  'in-body',
  'between-events',
  'in-event',
];
const CUTS: readonly CutBy[] = ['fin', 'rst'];

describe('a call whose connection is cut', () => {
  it.each(BROKEN_ANSWERS.flatMap((at) => CUTS.map((by) => [at, by] as const)))(
    'a call cut by the server %s (%s) ran once and returns an error that it may have run',
    async (at, by) => {
      const { server, call } = await startFaulty();
      server.inject('tools/call', { kind: 'reset', at, by });
      expect((await call('a', 0)).error).toEqual(connectionLost(GONE));
      expect(await call('b', '')).toEqual(marked('b', ''));
      expect([...server.executions]).toEqual([
        ['a', 1],
        ['b', 1],
      ]);
      expect(server.initializes).toBe(1);
    },
  );

  // A reset during connect would count as a connection that was never open.
  const unread: readonly (readonly [UnreadCut, CutBy])[] = [
    ['connect', 'fin'],
    ['head', 'fin'],
    ['head', 'rst'],
    ['body', 'fin'],
    ['body', 'rst'],
  ];

  it.each(unread)(
    'a call cut before the server has read it (at its %s, %s) is not sent a second time',
    async (at, by) => {
      const { server, call } = await startFaulty('--max-keepalive-connections', '0');
      server.cutUnread(at, by);
      const { error } = await call('a', -1, { padding: 'x'.repeat(at === 'body' ? 2_000_000 : 10) });
      // The proxy cannot know that the server never read the bytes.
      expect(error).toEqual(connectionLost(/(other side closed|(read|write) (ECONNRESET|EPIPE))/));
      expect(await call('b', 0)).toEqual(marked('b', 0));
      expect([...server.executions]).toEqual([['b', 1]]);
      expect(server.initializes).toBe(1);
    },
  );

  it('a call to a server that is down runs once when the server is back', async () => {
    const { server, bin, call } = await startFaulty('--retries', '10', '--log-level', 'debug');
    await server.goDown();
    const answer = call('a', '');
    await bin.stderrMatching(/call\.retried/);
    await server.comeBack();
    expect(await answer).toEqual(marked('a', ''));
    expect(server.executions.get('a')).toBe(1);
  });

  it('a call on a kept connection after a pause ran once', async () => {
    const { server, call } = await startFaulty();
    await call('warm');
    server.inject('tools/call', { kind: 'hang', ms: 300 });
    expect((await call('a', 0)).error).toEqual(connectionLost(GONE));
    expect(await call('b')).toEqual(marked('b'));
    expect(server.executions.get('a')).toBe(1);
  });

  it('a call that is cut is sent again if its tool is declared read-only', async () => {
    const { server, bin, call } = await startFaulty();
    await bin.request('tools/list', {}, 'tools');
    server.inject('tools/call', { kind: 'reset', at: 'in-body', by: 'rst' });
    expect(await call('a', 0, {}, 'look')).toEqual(marked('a', 0));
    expect(server.executions.get('look a')).toBe(2);
  });
});

describe('an HTTP error for a call', () => {
  it.each([500, 502, 503, 504])(
    'HTTP %i to a call is returned as an error, and the call is not sent again',
    async (status) => {
      const { server, call } = await startFaulty();
      server.inject('tools/call', { kind: 'status', status });
      expect((await call('a', '')).error).toMatchObject({
        code: -31003,
        message: expect.stringMatching(
          new RegExp(
            `^HTTP ${status} from .*: status ${status}\\. .*may have run, so check before you repeat it`,
          ),
        ),
        data: { reason: 'http-status', mayHaveRun: true, httpStatus: status },
      });
      expect(server.executions.get('a')).toBe(1);
      expect(await call('b', 0)).toEqual(marked('b', 0));
      expect(server.initializes).toBe(1);
    },
  );

  it.each([undefined, '0', '1', new Date(0).toUTCString()])(
    'HTTP 429 with Retry-After %j is retried, and the call runs once',
    async (retryAfter) => {
      const { server, call } = await startFaulty();
      const fault: Fault = { kind: 'status', status: 429, ...(retryAfter ? { retryAfter } : {}) };
      server.inject('tools/call', fault, ...(retryAfter === '1' ? [] : [fault]));
      const started = performance.now();
      expect(await call('a', 0)).toEqual(marked('a', 0));
      // A timer may be a millisecond early.
      if (retryAfter === '1') expect(performance.now() - started).toBeGreaterThanOrEqual(990);
      expect(server.executions.get('a')).toBe(1);
    },
  );

  it('HTTP 429 with a Retry-After over the limit is returned at once, with the time', async () => {
    const { server, call } = await startFaulty();
    server.inject('tools/call', { kind: 'status', status: 429, retryAfter: '21' });
    expect((await call('a', 0)).error).toMatchObject({
      code: -31003,
      message: expect.stringContaining('did not run, try again later'),
      data: { reason: 'http-status', mayHaveRun: false, httpStatus: 429, retryAfterMs: 21_000 },
    });
    expect(server.executions.size).toBe(0);
  });

  it('slow response headers do not fail a call', async () => {
    const { server, call } = await startFaulty();
    server.inject('tools/call', { kind: 'slow-headers', ms: 200 });
    expect(await call('a', '')).toEqual(marked('a', ''));
    expect(server.executions.get('a')).toBe(1);
  });

  it('a server that closes the connection after each response, without notice, fails no call', async () => {
    const { server, call } = await startFaulty();
    server.plan = () => ({ kind: 'close-after' });
    for (let id = -1; id < 12; id++) expect(await call(`t${id}`, id)).toEqual(marked(`t${id}`, id));
    expect([...server.executions.values()]).toEqual(Array.from({ length: 13 }, () => 1));
    expect(server.initializes).toBe(1);
  });
});

describe('an event stream that ends without the response', () => {
  it.each(CUTS)(
    'an event stream without ids that ends early (%s) returns an error; the call ran once',
    async (by) => {
      const { server, call } = await startFaulty();
      server.inject('tools/call', { kind: 'stream', ids: false, pieces: 1, by });
      const cause = by === 'fin' ? /(the stream ended without the answer|other side closed)/ : GONE;
      expect((await call('a', 0)).error).toEqual(connectionLost(cause));
      expect(server.executions.get('a')).toBe(1);
      expect(await call('b', -1)).toEqual(marked('b', -1));
    },
  );

  it.each(CUTS)('an event stream with ids that ends early (%s) is resumed piece by piece', async (by) => {
    const { server, bin, call } = await startFaulty();
    server.inject('tools/call', { kind: 'stream', ids: true, pieces: 3, by, retryMs: 10 });
    expect(await call('a', '')).toEqual(marked('a', ''));
    expect(server.resumes).toEqual(['0-0', '0-1', '0-2']);
    expect(server.executions.get('a')).toBe(1);
    expect(bin.messages.filter(({ method }) => method === 'notifications/message')).toHaveLength(2);
  });
});
