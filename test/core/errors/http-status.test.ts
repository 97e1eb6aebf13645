import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorReason, ProxyError } from '../../../src/core/errors/errors.ts';
import { retryHeaders, statusOf } from '../../../src/core/errors/http-status.ts';

const errorOf = (reason: ErrorReason, details: Record<string, unknown> = {}, retryAfterMs?: number) =>
  new ProxyError(reason, 'what happened', {
    sent: 'no',
    details,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

describe('the HTTP status beside an error of the proxy', () => {
  it.each<[ErrorReason, number]>([
    ['parse-error', 400],
    ['invalid-request', 400],
    ['message-too-large', 413],
    ['client-refused', 403],
    ['overloaded', 503],
    ['rate-limited', 429],
    ['circuit-open', 503],
    ['listener-full', 503],
    ['subscription-lost', 502],
    ['shutting-down', 503],
    ['timeout', 504],
    ['connect-failed', 502],
    ['connection-lost', 502],
    ['no-credentials', 502],
    ['session-lost', 404],
    ['internal', 500],
    ['tool-refused', 200],
  ])('the error %s has the HTTP status %i', (reason, status) => {
    expect(statusOf(errorOf(reason))).toBe(status);
  });

  it('auth-rejected has the status 403 if a permission is missing, and 502 for other verdicts', () => {
    expect(statusOf(errorOf('auth-rejected', { verdict: 'denied', httpStatus: 403 }))).toBe(403);
    for (const verdict of ['expired', 'clock', 'signature', 'unsigned', 'foreign-page', 'other']) {
      expect(statusOf(errorOf('auth-rejected', { verdict, httpStatus: 403 }))).toBe(502);
    }
  });

  it.each([
    [500, 500],
    [503, 503],
    [429, 429],
    [418, 418],
    [401, 502],
    [302, 502],
    [undefined, 502],
    ['404', 502],
  ])('an http-status error repeats the status of the server (%s -> %i)', (httpStatus, status) => {
    expect(statusOf(errorOf('http-status', { httpStatus }))).toBe(status);
  });

  it('no error has the status 401, because clients would log in to the proxy', () => {
    for (const reason of Object.keys(ERROR_CODES) as ErrorReason[]) {
      const status = statusOf(errorOf(reason, { httpStatus: 401 }));
      expect(status === 200 || (status >= 400 && status < 600 && status !== 401), reason).toBe(true);
    }
  });
});

describe('Retry-After', () => {
  it.each([
    [503, undefined, '1'],
    [429, undefined, '1'],
    [503, 0, '1'],
    [429, 1_001, '2'],
    [503, 30_000, '30'],
    [500, 2_000, '2'],
  ])('Retry-After beside status %i and a wait of %s ms is %s seconds', (status, ms, seconds) => {
    expect(retryHeaders(status, errorOf('overloaded', {}, ms))).toEqual({ 'retry-after': seconds });
  });

  it('Retry-After is absent if a retry is not known to help', () => {
    expect(retryHeaders(502, errorOf('connect-failed'))).toEqual({});
  });
});
