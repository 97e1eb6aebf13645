import { describe, expect, it } from 'vitest';
import { causeText, ERROR_CODES, ProxyError } from '../../../src/core/errors/errors.ts';

describe('the table of codes', () => {
  const codes = Object.entries(ERROR_CODES);

  it('every error reason has a code of its own', () => {
    expect(new Set(Object.values(ERROR_CODES)).size).toBe(codes.length);
  });

  it('error codes keep their released numbers, because scripts match them', () => {
    expect(ERROR_CODES).toMatchObject({
      'parse-error': -32700,
      'invalid-request': -32600,
      internal: -32603,
      'connect-failed': -31001,
      'connection-lost': -31002,
      'http-status': -31003,
      'unusable-answer': -31004,
      'session-lost': -31005,
      'no-credentials': -31006,
      'auth-rejected': -31007,
      timeout: -31008,
      'shutting-down': -31009,
      'line-too-long': -31010,
      redirected: -31011,
      'too-many-waiting': -31012,
      'no-session': -31015,
      'tools-unknown': -31016,
      'tool-refused': -31017,
      'unknown-profile': -31018,
      'unknown-tool': -31019,
      'restart-needed': -31020,
      'not-opened': -31021,
      'client-refused': -31022,
      'message-too-large': -31023,
      'listener-full': -31024,
      'subscription-lost': -31025,
      'header-mismatch': -32020,
    });
  });

  it('error codes avoid the reserved range, except codes of JSON-RPC, of MCP and of overload', () => {
    // The code of overload is that of the system whose behaviour is ported, and can be set.
    const standard = new Set([-32700, -32600, -32603, -32020, -32042, -32001]);
    const ours = codes.filter(([, code]) => !standard.has(code));
    for (const [, code] of ours) expect(code < -32768 || code > -32000).toBe(true);
  });
});

describe('a proxy error', () => {
  it('a proxy error states source, reason and mayHaveRun in JSON-RPC', () => {
    const error = new ProxyError('timeout', 'No answer.', { sent: 'maybe', details: { seconds: 3 } });
    expect(error.toJsonRpc()).toEqual({
      code: -31008,
      message: 'No answer.',
      data: { source: 'mcp-sigv4-proxy', reason: 'timeout', mayHaveRun: true, seconds: 3 },
    });
  });

  it.each([
    ['no', false],
    ['refused', false],
    ['maybe', true],
  ] as const)('a proxy error with sent: %s has mayHaveRun %s', (sent, mayHaveRun) => {
    expect(new ProxyError('http-status', '', { sent }).toJsonRpc().data).toMatchObject({ mayHaveRun });
  });

  it('a proxy error states retryAfterMs if it is known, 0 included', () => {
    const waiting = (retryAfterMs?: number) =>
      new ProxyError('http-status', '', {
        sent: 'no',
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
    expect(waiting(0).toJsonRpc().data).toMatchObject({ retryAfterMs: 0 });
    expect(waiting().toJsonRpc().data).not.toHaveProperty('retryAfterMs');
  });

  it('a proxy error keeps its cause for the log and hides it from the client', () => {
    const error = new ProxyError('internal', 'Sorry.', { sent: 'no', cause: new Error('inner') });
    expect(error.cause).toEqual(new Error('inner'));
    expect(JSON.stringify(error.toJsonRpc())).not.toContain('inner');
    expect('cause' in new ProxyError('internal', 'Sorry.', { sent: 'no' })).toBe(false);
  });
});

describe('the text of a cause', () => {
  const chain = new Error('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:9') });
  const circle = new Error('a');
  circle.cause = new Error('b', { cause: circle });
  const bare = Object.assign(new Error(''), { code: 'ECONNRESET' });
  it.each([
    ['one error', new Error('alone'), 'alone'],
    ['a chain', chain, 'fetch failed: connect ECONNREFUSED 127.0.0.1:9'],
    ['a wrapper that repeats', new Error('x', { cause: new Error('x') }), 'x'],
    ['an aggregate', new AggregateError([new Error('first'), new Error('second')], 'all'), 'first'],
    [
      'an aggregate of a chain',
      new AggregateError([chain]),
      'fetch failed: connect ECONNREFUSED 127.0.0.1:9',
    ],
    ['an empty aggregate', new AggregateError([], 'none'), 'none'],
    ['a circle', circle, 'a: b'],
    ['an error with nothing but a code', bare, 'ECONNRESET'],
    ['a thrown text', 'text', 'text'],
    ['a text as cause', new Error('outer', { cause: 'inner' }), 'outer: inner'],
    ['a cause of 0', new Error('outer', { cause: 0 }), 'outer: 0'],
    ['nothing', undefined, 'unknown cause'],
    ['null', null, 'unknown cause'],
    ['an error without a message', new Error(''), 'unknown cause'],
  ])('the text of a cause is read from %s', (_what, error, text) => {
    expect(causeText(error)).toBe(text);
  });

  it('the text of a cause ends for an aggregate that contains itself', () => {
    const errors: Error[] = [];
    const aggregate = new AggregateError(errors, 'loop');
    aggregate.errors.push(aggregate);
    expect(causeText(aggregate)).toBe('unknown cause');
  });
});
