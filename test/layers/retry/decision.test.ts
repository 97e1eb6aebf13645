import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorReason } from '../../../src/core/errors/errors.ts';
import type { Failure } from '../../../src/core/pipeline/failure.ts';
import {
  classifyFailure,
  decideRetry,
  type FailedAttempt,
  type FailureKind,
} from '../../../src/layers/retry/decision.ts';

const thrown = (how: ErrorReason, status?: number, retryAfterMs?: number): Failure => ({
  how,
  status,
  code: undefined,
  message: 'words',
  retryAfterMs,
});

const answered = (status: number | undefined, code = -32603, message = 'words'): Failure => ({
  how: 'answered',
  status,
  code,
  message,
  retryAfterMs: undefined,
});

const FIRST: FailedAttempt = {
  method: 'tools/list',
  annotations: undefined,
  stateless: false,
  attempt: 1,
  elapsedMs: 0,
  responded: false,
  failure: thrown('connect-failed'),
  limits: { retries: 2, baseDelayMs: 100, maxDelayMs: 2_000, adaptive: false },
  remainingMs: Number.POSITIVE_INFINITY,
  random: 0.5,
};

const decide = (facts: Partial<FailedAttempt>) => decideRetry({ ...FIRST, ...facts });

/** One failure of each kind that could be worth another attempt. */
const KINDS = {
  'not-sent': thrown('connect-failed'),
  'turned-away': thrown('http-status', 429),
  unavailable: thrown('http-status', 503),
  interrupted: thrown('connection-lost'),
  broken: thrown('http-status', 500),
} as const satisfies Partial<Record<FailureKind, Failure>>;

describe('the kind of a failure', () => {
  it.each<[Failure, FailureKind]>([
    [thrown('connect-failed'), 'not-sent'],
    [thrown('connection-lost'), 'interrupted'],
    [thrown('http-status', 429), 'turned-away'],
    [thrown('http-status', 408), 'unavailable'],
    [thrown('http-status', 500), 'broken'],
    [thrown('http-status', 502), 'unavailable'],
    [thrown('http-status', 503), 'unavailable'],
    [thrown('http-status', 504), 'unavailable'],
    [thrown('http-status', 501), 'final'],
    [thrown('http-status', 400), 'final'],
    [thrown('http-status', 404), 'final'],
    [thrown('http-status', 405), 'final'],
    [thrown('http-status', 413), 'final'],
    [answered(429), 'turned-away'],
    [answered(408), 'unavailable'],
    [answered(200, -32004, 'Too many requests'), 'turned-away'],
    [answered(400, -32004, 'Too many requests'), 'turned-away'],
    [answered(503, -32004, 'Too many requests'), 'turned-away'],
    [answered(200, -32004, 'Resource not found'), 'final'],
    [answered(500), 'broken'],
    [answered(502), 'unavailable'],
    [answered(503), 'unavailable'],
    [answered(504), 'unavailable'],
    [answered(200), 'final'],
    [answered(400, -32602, 'Invalid params'), 'final'],
    [answered(404, -32601, 'Method not found'), 'final'],
    [answered(undefined, -32000, 'server error'), 'final'],
  ])('the failure %o is of the kind %s', (failure, kind) => {
    expect(classifyFailure(failure)).toBe(kind);
  });

  it('a failure of our own reasons is final unless it concerns the way to the server', () => {
    const others = (Object.keys(ERROR_CODES) as ErrorReason[]).filter(
      (reason) => !['connect-failed', 'connection-lost', 'http-status'].includes(reason),
    );
    expect(others.length).toBeGreaterThan(14);
    // Not even a status among the details makes one of them worth another attempt.
    for (const reason of others) {
      expect([reason, classifyFailure(thrown(reason, 503))]).toEqual([reason, 'final']);
      expect(decide({ failure: thrown(reason, 429, 1) })).toEqual({ giveUp: 'final' });
    }
  });
});

describe('the kinds of retry', () => {
  const AGAIN = { afterMs: 50 };
  const NO = { giveUp: 'may-have-run' };
  const readOnly = { readOnly: true, idempotent: false };
  const idempotent = { readOnly: false, idempotent: true };
  const neither = { readOnly: false, idempotent: false };

  it.each<[string, Partial<FailedAttempt>, Record<keyof typeof KINDS, object>]>([
    [
      'a method that only reads',
      { method: 'tools/list' },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: AGAIN, broken: AGAIN },
    ],
    [
      'tools/call of an unknown tool',
      { method: 'tools/call' },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: NO, interrupted: NO, broken: NO },
    ],
    [
      'tools/call of a tool without hints',
      { method: 'tools/call', annotations: neither },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: NO, interrupted: NO, broken: NO },
    ],
    [
      'tools/call of a tool that only reads',
      { method: 'tools/call', annotations: readOnly },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: AGAIN, broken: NO },
    ],
    [
      'tools/call of a tool that may be repeated',
      { method: 'tools/call', annotations: idempotent },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: AGAIN, broken: NO },
    ],
    [
      'an unknown method, whatever a tool of its name says',
      { method: 'vendor/do', annotations: readOnly },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: NO, interrupted: NO, broken: NO },
    ],
    [
      'a method that only reads, of a revision without sessions',
      { method: 'tools/list', stateless: true },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: NO, broken: AGAIN },
    ],
    [
      'a tool that only reads, of a revision without sessions',
      { method: 'tools/call', annotations: readOnly, stateless: true },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: NO, broken: NO },
    ],
    [
      'server/discover, where any error makes a client assume an old server',
      { method: 'server/discover', stateless: true },
      { 'not-sent': AGAIN, 'turned-away': AGAIN, unavailable: AGAIN, interrupted: AGAIN, broken: AGAIN },
    ],
    [
      'a call that has already emitted something',
      { method: 'tools/list', responded: true },
      { 'not-sent': AGAIN, 'turned-away': NO, unavailable: NO, interrupted: NO, broken: NO },
    ],
  ])('the retry decision for %s', (_what, facts, expected) => {
    const decisions = Object.entries(KINDS).map(([kind, failure]) => [kind, decide({ ...facts, failure })]);
    expect(Object.fromEntries(decisions)).toEqual(expected);
  });

  it.each([
    ...['initialize', 'server/discover', 'ping', 'tools/list', 'resources/list', 'resources/templates/list'],
    ...['resources/read', 'prompts/list', 'prompts/get', 'completion/complete', 'tasks/get', 'tasks/list'],
    ...['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'],
  ])('a broken connection is retried for %s', (method) => {
    expect(decide({ method, failure: KINDS.interrupted })).toEqual(AGAIN);
  });

  it.each(['tools/call', 'tasks/result', 'tasks/cancel', 'subscriptions/listen', 'elicitation/create', ''])(
    'a broken connection is never retried for %s',
    (method) => {
      expect(decide({ method, failure: KINDS.interrupted })).toEqual(NO);
    },
  );
});

describe('when it is retried', () => {
  it.each([
    [1, 0, 0],
    [1, 0.5, 50],
    [1, 0.999, 100],
    [2, 0.5, 100],
    [3, 0.5, 200],
    [6, 0.5, 1_000],
    [10, 0.999, 1_998],
  ])(
    'a retry after failure %s, with chance %s, waits %s ms: up to a limit that doubles',
    (attempt, random, afterMs) => {
      const limits = { retries: 10, baseDelayMs: 100, maxDelayMs: 2_000, adaptive: false };
      expect(decide({ attempt, random, limits })).toEqual({ afterMs });
    },
  );

  it.each([
    [0, { afterMs: 50 }],
    [1, { afterMs: 51 }],
    [20_000, { afterMs: 20_050 }],
    [20_001, { giveUp: 'asked-to-wait-longer' }],
    [3_600_000, { giveUp: 'asked-to-wait-longer' }],
  ])(
    'a retry waits the %s ms that the server requests, and is not made above 20 s',
    (retryAfterMs, decision) => {
      for (const status of [429, 503, 408]) {
        expect(decide({ failure: thrown('http-status', status, retryAfterMs) })).toEqual(decision);
      }
    },
  );

  it.each([
    [0, 1, { giveUp: 'attempts-spent' }],
    [1, 1, { afterMs: 50 }],
    [1, 2, { giveUp: 'attempts-spent' }],
    [2, 2, { afterMs: 100 }],
    [2, 3, { giveUp: 'attempts-spent' }],
  ])('a retry with --retries %s, after failure %s: %o', (retries, attempt, decision) => {
    const limits = { retries, baseDelayMs: 100, maxDelayMs: 2_000, adaptive: false };
    for (const failure of [KINDS['turned-away'], KINDS['not-sent']]) {
      expect(decide({ method: 'prompts/list', attempt, limits, failure })).toEqual(decision);
    }
  });

  it.each<[remainingMs: number, decision: object]>([
    [5_051, { afterMs: 5_050 }],
    [5_050, { giveUp: 'out-of-time' }],
    [0, { giveUp: 'out-of-time' }],
  ])(
    'a retry is not made if the caller has only %i ms left and the server requests 5 s',
    (remainingMs, decision) => {
      expect(decide({ failure: thrown('http-status', 429, 5_000), remainingMs })).toEqual(decision);
    },
  );
});

describe('a startup request', () => {
  const spent = { attempt: 9, elapsedMs: 5_000 };

  it.each(['initialize', 'server/discover', 'tools/list'])(
    'a startup request is retried for 20 s: %s',
    (method) => {
      for (const failure of [KINDS['turned-away'], KINDS.unavailable]) {
        expect(decide({ method, failure, ...spent })).toEqual({ afterMs: 1_000 });
        expect(decide({ method, failure, ...spent, elapsedMs: 19_000 })).toEqual({ afterMs: 1_000 });
        expect(decide({ method, failure, ...spent, elapsedMs: 19_001 })).toEqual({
          giveUp: 'attempts-spent',
        });
      }
    },
  );

  it('a startup request is retried for 20 s if its error would make the client assume an old server', () => {
    const { broken, ...passing } = KINDS;
    for (const failure of Object.values(passing)) {
      const facts = { method: 'server/discover', claims: true, failure, ...spent };
      expect(decide(facts)).toEqual({ afterMs: 1_000 });
      expect(decide({ ...facts, elapsedMs: 19_001 })).toEqual({ giveUp: 'attempts-spent' });
    }
    // An old server that fails at a method that it does not know fails each time.
    const asked = { method: 'server/discover', claims: true, failure: broken };
    expect(decide(asked)).toEqual({ afterMs: 50 });
    expect(decide({ ...asked, ...spent })).toEqual({ giveUp: 'attempts-spent' });
  });

  it('a startup request is retried with a pause of at least 250 ms, whatever --retry-base-delay is', () => {
    const limits = { retries: 2, baseDelayMs: 0, maxDelayMs: 0, adaptive: false };
    expect(decide({ ...spent, failure: KINDS['turned-away'], random: 0 })).toEqual({ afterMs: 250 });
    expect(decide({ ...spent, failure: KINDS['turned-away'], limits })).toEqual({ afterMs: 250 });
    expect(decide({ failure: KINDS['turned-away'], limits })).toEqual({ afterMs: 0 });
  });

  it.each<[string, Partial<FailedAttempt>]>([
    ['where nothing listens: the endpoint is wrong or the network down', { failure: KINDS['not-sent'] }],
    ['where the connection breaks', { failure: KINDS.interrupted }],
    ['where the server has a fault', { failure: KINDS.broken }],
    ['for another method', { method: 'prompts/list', failure: KINDS['turned-away'] }],
    ['for tools/call', { method: 'tools/call', failure: KINDS['turned-away'] }],
    ['with --retries 0', { failure: KINDS['turned-away'], limits: { ...FIRST.limits, retries: 0 } }],
  ])('a startup request is not retried for 20 s %s', (_what, facts) => {
    expect(decide({ ...spent, ...facts })).toEqual({ giveUp: 'attempts-spent' });
  });

  it('a startup request gets its --retries also if the first attempt took all the time', () => {
    expect(decide({ elapsedMs: 60_000, failure: KINDS.unavailable })).toEqual({ afterMs: 50 });
  });
});
