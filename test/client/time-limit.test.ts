import { describe, expect, it } from 'vitest';
import { timeLimitFor, timeoutError } from '../../src/client/time-limit.ts';
import type { Request } from '../../src/core/jsonrpc/message.ts';
import { requestOf } from '../support/make-call.ts';

const LIMITS = { timeoutMs: 180_000, toolTimeoutMs: 300_000, initializeTimeoutMs: 25_000 };
const request = (method: string): Request => requestOf(method, {}, 0) as Request;

describe('how long a request may take', () => {
  it.each([
    ['tools/call', 300_000, '--tool-timeout'],
    ['tasks/result', 300_000, '--tool-timeout'],
    ['tools/list', 180_000, '--timeout'],
    ['initialize', 25_000, '--initialize-timeout'],
    ['server/discover', 25_000, '--initialize-timeout'],
    ['vendor/anything', 180_000, '--timeout'],
    ['subscriptions/listen', 0, ''],
  ])('the time limit of %s: %i ms (%s)', (method, ms, option) => {
    expect(timeLimitFor(request(method), LIMITS)).toEqual({ ms, option });
  });
});

it.each([
  [{ timeoutMs: 10_000 }, 10_000, '--timeout'],
  [{ timeoutMs: 0 }, 25_000, '--initialize-timeout'],
  [{ initializeTimeoutMs: 0 }, 180_000, '--timeout'],
  [{ initializeTimeoutMs: 0, timeoutMs: 0 }, 0, '--timeout'],
])('initialize obeys the shorter of two limits: %j', (limits, ms, option) => {
  expect(timeLimitFor(request('initialize'), { ...LIMITS, ...limits })).toEqual({ ms, option });
});

describe('a request whose time is over', () => {
  const limit = timeLimitFor(request('tools/call'), LIMITS);

  it('a timeout names the method, the time, the option, and whether the call may have run', () => {
    const error = timeoutError(request('tools/call'), limit, { how: 'It may have run.', sent: 'maybe' });
    expect(error.message).toBe(
      'No answer to tools/call within 300 s (--tool-timeout). It may have run. If the tool needs longer, raise --tool-timeout; 0 = no limit.',
    );
    expect(error.details).toEqual({ limit: 'tool-timeout', seconds: 300 });
    expect(error.unsent.message).toContain('It did not run: it waited for a free connection');
    expect(error.unsentBecause('it rained').message).toContain('It did not run: it rained. If the tool');
    expect(error.unsent.sent).toBe('no');
  });

  it('a timeout of an unsent call says so', () => {
    const error = timeoutError(request('tools/call'), limit, { how: 'It was not sent.', sent: 'no' });
    expect(error.unsent).toBe(error);
  });
});
