import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { failureOfError, failureOfReply, isThrottled } from '../../../src/core/pipeline/failure.ts';
import { answerOf, RESULT } from '../../support/make-call.ts';

describe('a failure', () => {
  it('a failure is read from an error response with its HTTP status', () => {
    const reply = answerOf(
      { error: { code: -32004, message: 'Too many requests' } },
      { status: 429, headers: { 'retry-after': '2' } },
    );
    expect(failureOfReply(reply, 0)).toEqual({
      how: 'answered',
      status: 429,
      code: -32004,
      message: 'Too many requests',
      retryAfterMs: 2_000,
    });
  });

  it('a failure has no details if the error has none', () => {
    expect(failureOfReply(answerOf({ error: { code: 0, message: '' } }), 0)).toEqual({
      how: 'answered',
      status: undefined,
      code: 0,
      message: '',
      retryAfterMs: undefined,
    });
  });

  it.each([
    ['a result', RESULT],
    ['a tool that says it failed: it ran', answerOf({ result: { isError: true } }, { status: 200 })],
    ['a notification that was accepted', { kind: 'accepted', http: { status: 202, headers: {} } } as const],
  ])('a reply is no failure: %s', (_what, reply) => {
    expect(failureOfReply(reply, 0)).toBeUndefined();
  });

  it('a failure is read from a thrown ProxyError, and from nothing else', () => {
    const error = new ProxyError('http-status', 'HTTP 503 from example.com', {
      sent: 'maybe',
      retryAfterMs: 1_000,
      details: { httpStatus: 503 },
    });
    expect(failureOfError(error)).toEqual({
      how: 'http-status',
      status: 503,
      code: undefined,
      message: 'HTTP 503 from example.com',
      retryAfterMs: 1_000,
    });
    expect(failureOfError(new TypeError('a fault'))).toBeUndefined();
    expect(failureOfError('cancelled')).toBeUndefined();
  });
});

describe('throttling', () => {
  const answered = (status: number, code: number, message: string) =>
    failureOfReply(answerOf({ error: { code, message } }, { status }), 0);

  it.each([
    ['429 with any error', answered(429, -32603, 'Internal error'), true],
    ['the code of AWS with its words, at 429', answered(429, -32004, 'Too many requests. Wait.'), true],
    ['the code and words of AWS with 200', answered(200, -32004, 'Too many requests'), true],
    ['the code and words of AWS with 503', answered(503, -32004, 'Request was throttled'), true],
    ['the code with other words', answered(200, -32004, 'Resource not found'), false],
    [
      'the words with another code: a tool may speak of its own limits',
      answered(200, -32000, 'Too many requests'),
      false,
    ],
    ['503', answered(503, -32603, 'unavailable'), false],
  ])('throttling is recognized or not: %s', (_what, failure, expected) => {
    expect(failure && isThrottled(failure)).toBe(expected);
  });

  it('throttling is HTTP 429 without a JSON-RPC answer, but not a limit of the proxy', () => {
    const of = (reason: 'http-status' | 'circuit-open') =>
      failureOfError(new ProxyError(reason, '', { sent: 'refused', details: { httpStatus: 429 } }));
    const [server, own] = [of('http-status'), of('circuit-open')];
    expect(server && isThrottled(server)).toBe(true);
    expect(own && isThrottled(own)).toBe(false);
  });
});
