import { describe, expect, it } from 'vitest';
import { readOption } from '../../src/config/option.ts';
import { type ErrorReason, ProxyError } from '../../src/core/errors/errors.ts';
import type { Reply } from '../../src/core/pipeline/call.ts';
import { Events } from '../../src/core/pipeline/events.ts';
import { failureOfError, failureOfReply } from '../../src/core/pipeline/failure.ts';
import { Breaker, breaker, breakerOptions, countsAsFailure } from '../../src/layers/breaker.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { HeldHandler } from '../support/held-handler.ts';
import { answerOf, CANCELLED, makeCall, messageOf, RESULT, requestOf } from '../support/make-call.ts';

function setUp({ threshold = 2, resetMs = 30_000 } = {}) {
  const clock = new FakeClock();
  const circuit = new Breaker({ threshold, resetMs, clock, profile: '', events: new Events() });
  const server = new HeldHandler();
  const handler = breaker(circuit)(server.handle);
  const open = (made = makeCall(requestOf('initialize', {}))) =>
    handler(made.call).catch((error: unknown) => error);
  const fails = async (error: unknown = DOWN) => {
    const answer = open();
    server.running.at(-1)?.fail(error);
    await answer;
  };
  return { clock, circuit, server, handler, open, fails };
}

const DOWN = new ProxyError('connect-failed', 'Cannot connect to example.com: connect ECONNREFUSED.', {
  sent: 'no',
});

/** Two failures have opened it. */
async function opened() {
  const set = setUp();
  await set.fails();
  await set.fails();
  return set;
}

describe('the options of the breaker', () => {
  it.each([
    ['breakerThreshold', '1', { value: 1 }],
    ['breakerThreshold', '0', { problem: 'must be an integer >= 1' }],
    ['breakerThreshold', '2.5', { problem: 'must be an integer >= 1' }],
    ['breakerReset', '0.5', { value: 0.5 }],
    ['breakerReset', '0', { problem: 'must be a number of seconds > 0' }],
    ['breakerReset', '-30', { problem: 'must be a number of seconds > 0' }],
  ] as const)('the breaker option %s=%s becomes %o', (key, raw, read) => {
    expect(readOption(breakerOptions[key], [raw], 'flag')).toEqual(read);
  });

  it('the breaker defaults to 5 failures and 30 s', () => {
    expect([breakerOptions.breakerThreshold.fallback, breakerOptions.breakerReset.fallback]).toEqual([5, 30]);
  });
});

describe('a closed breaker', () => {
  it('a closed breaker lets everything through, and opens at the threshold of failures in a row', async () => {
    const { circuit, fails, open, server } = setUp({ threshold: 3 });
    await fails();
    await fails();
    expect(circuit.state).toEqual({ is: 'closed', failures: 2 });
    const good = open();
    server.running[0]?.finish();
    expect(await good).toBe(RESULT);
    expect(circuit.state).toEqual({ is: 'closed', failures: 0 });
    for (let failure = 0; failure < 3; failure++) await fails();
    expect(circuit.state).toMatchObject({ is: 'open', failures: 3, until: 30_000 });
  });

  it('a closed breaker opens once for many concurrent failures, with one timer', async () => {
    const { clock, circuit, server, open } = setUp({ threshold: 2 });
    const answers = Array.from({ length: 20 }, () => open());
    for (const [at, running] of [...server.running].entries()) {
      if (at === 10) await clock.advance(1_000);
      running.fail(DOWN);
      await Promise.resolve();
    }
    expect(await Promise.all(answers)).toEqual(Array(20).fill(DOWN));
    expect(circuit.state).toMatchObject({ is: 'open', failures: 2, until: 30_000 });
  });

  it('a breaker lets notifications through, also when it is open', async () => {
    const { open, server } = await opened();
    const before = server.begun.length;
    void open(makeCall(messageOf({ method: 'notifications/initialized' })));
    expect(server.begun).toHaveLength(before + 1);
  });
});

describe('an open breaker', () => {
  it('an open breaker fails calls at once, with the number of failures, the cause and the wait', async () => {
    const { clock, open, server } = await opened();
    await clock.advance(17_750);
    const error = (await open()) as ProxyError;
    expect(error.toJsonRpc()).toEqual({
      code: -31014,
      message:
        'Opening a session failed 2 times in a row (--breaker-threshold 2), so no attempt is made for another 12.3 s (--breaker-reset 30). This request was not sent. The last failure: Cannot connect to example.com: connect ECONNREFUSED.',
      data: {
        source: 'mcp-sigv4-proxy',
        reason: 'circuit-open',
        mayHaveRun: false,
        retryAfterMs: 12_250,
        failures: 2,
        cause: 'Cannot connect to example.com: connect ECONNREFUSED.',
        breaker: 'open',
      },
    });
    expect(server.begun).toHaveLength(2);
  });

  it('an open breaker closes when an earlier attempt succeeds after all', async () => {
    const { circuit, fails, open, server } = setUp();
    const slow = open();
    await fails();
    await fails();
    expect(circuit.state.is).toBe('open');
    server.running[0]?.finish();
    await slow;
    expect(circuit.state).toEqual({ is: 'closed', failures: 0 });
  });

  it('an open breaker shows only the beginning of a long cause', async () => {
    const { fails, open } = setUp({ threshold: 1 });
    await fails(new Error('x'.repeat(5_000)));
    expect(((await open()) as ProxyError).details.cause).toBe('x'.repeat(300));
  });
});

describe('a half-open breaker', () => {
  it('a half-open breaker lets one probe through, and the others fail at once', async () => {
    const { clock, circuit, open, server } = await opened();
    await clock.advance(30_000);
    const probe = open();
    const others = (await Promise.all([open(), open()])) as ProxyError[];
    expect(server.begun).toHaveLength(3);
    expect(others.map(({ reason }) => reason)).toEqual(['circuit-open', 'circuit-open']);
    expect(others[0]?.message).toBe(
      'Opening a session failed 2 times in a row (--breaker-threshold 2), so one attempt decides now whether more are made. This request was not sent. The last failure: Cannot connect to example.com: connect ECONNREFUSED.',
    );
    expect(others[0]?.retryAfterMs).toBe(1_000);
    server.running[0]?.finish();
    expect(await probe).toBe(RESULT);
    expect(circuit.state).toEqual({ is: 'closed', failures: 0 });
    void open();
    void open();
    expect(server.begun).toHaveLength(5);
  });

  it('a half-open breaker opens again when the probe fails, with a new timer and the new cause', async () => {
    const { clock, circuit, fails } = await opened();
    await clock.advance(45_000);
    await fails(new ProxyError('connection-lost', 'broke', { sent: 'maybe' }));
    expect(circuit.state).toEqual({ is: 'open', failures: 3, cause: 'broke', until: 75_000 });
  });

  it.each([
    ['is cancelled', CANCELLED],
    ['finds its credentials refused', new ProxyError('auth-rejected', '403', { sent: 'refused' })],
    ['finds no credentials', new ProxyError('no-credentials', 'none', { sent: 'no' })],
    ['has no time left before it is sent', new ProxyError('timeout', 'waited', { sent: 'no' })],
    ['is refused by a limit of our own', new ProxyError('rate-limited', 'too many', { sent: 'no' })],
  ])('a half-open breaker lets the next call probe when the probe %s', async (_how, why) => {
    const { clock, circuit, open, server } = await opened();
    await clock.advance(30_000);
    const made = makeCall(requestOf('initialize', {}, -1));
    const probe = open(made);
    if (why === CANCELLED) made.cancel();
    else server.running[0]?.fail(why);
    expect(await probe).toBe(why);
    expect(circuit.state).toMatchObject({ is: 'open', failures: 2, until: 30_000 });
    const next = open();
    expect(server.begun).toHaveLength(4);
    server.running[0]?.finish();
    expect(await next).toBe(RESULT);
    expect(circuit.state.is).toBe('closed');
  });

  it('a half-open breaker starts another probe when one hangs, whose late failure does not count', async () => {
    const { clock, circuit, open, server } = await opened();
    await clock.advance(30_000);
    const hung = open();
    await clock.advance(29_999);
    expect(await open()).toMatchObject({ reason: 'circuit-open' });
    await clock.advance(1);
    const second = open();
    expect(server.running).toHaveLength(2);
    server.running[0]?.fail(DOWN);
    expect(await hung).toBe(DOWN);
    expect(circuit.state.is).toBe('half-open');
    server.running[0]?.finish();
    await second;
    expect(circuit.state.is).toBe('closed');
  });
});

describe('failures that the breaker counts', () => {
  const thrown = (reason: ErrorReason, httpStatus?: number) =>
    new ProxyError(reason, 'words', { sent: 'maybe', details: { httpStatus } });
  const answered = (status: number, code = -32603, message = 'words') =>
    answerOf({ error: { code, message } }, { status });

  it.each<[string, ProxyError | Reply, boolean]>([
    ['no connection', thrown('connect-failed'), true],
    ['a broken connection', thrown('connection-lost'), true],
    ['a time limit', thrown('timeout'), true],
    ['an unusable answer', thrown('unusable-answer', 200), true],
    ['a redirect', thrown('redirected', 307), true],
    ['HTTP 500', thrown('http-status', 500), true],
    ['HTTP 503', thrown('http-status', 503), true],
    ['HTTP 404', thrown('http-status', 404), true],
    ['HTTP 401', thrown('http-status', 401), false],
    ['HTTP 403', thrown('http-status', 403), false],
    ['HTTP 429', thrown('http-status', 429), false],
    ['refused credentials', thrown('auth-rejected', 403), false],
    ['no credentials', thrown('no-credentials'), false],
    ['the end of the proxy', thrown('shutting-down'), false],
    ['an error that a live server answers', answered(200), false],
    ['an error with 400', answered(400), false],
    ['an error with 401', answered(401), false],
    ['an error with 403', answered(403), false],
    ['an error with 429', answered(429), false],
    ['an error with 500', answered(500), true],
    ['an error with 502', answered(502), true],
    ['throttling with 503', answered(503, -32004, 'Too many requests'), false],
    ['an error without HTTP facts', answerOf({ error: { code: 0, message: '' } }), false],
  ])('the breaker on %s', (_what, outcome, expected) => {
    const failure = outcome instanceof Error ? failureOfError(outcome) : failureOfReply(outcome, 0);
    expect(failure && countsAsFailure(failure)).toBe(expected);
  });

  it('the breaker counts unexpected errors, and no cancellations', async () => {
    const { circuit, fails, open } = setUp();
    await fails(new TypeError('a fault'));
    expect(circuit.state).toEqual({ is: 'closed', failures: 1 });
    const made = makeCall(requestOf('initialize'));
    const answer = open(made);
    made.cancel();
    await answer;
    expect(circuit.state).toEqual({ is: 'closed', failures: 1 });
  });
});
