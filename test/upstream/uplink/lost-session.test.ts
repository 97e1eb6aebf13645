import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors.ts';
import type { Response } from '../../../src/core/message.ts';
import { jsonRpcErrorOf } from '../../../src/upstream/uplink/answer.ts';
import { isLost, lostSession, saysSessionLost } from '../../../src/upstream/uplink/lost-session.ts';

describe('a request that carried a session id lost its session', () => {
  it.each([
    ['404 without a body', 404, undefined, ''],
    ['404 with a JSON-RPC error', 404, -32600, 'Session not found'],
    ["AWS's code with 404", 404, -30001, 'The provided SessionId was not found or has expired'],
    ["AWS's code with 400", 400, -30001, 'anything'],
    ["AWS's code with 200", 200, -30001, 'The provided SessionId was not found or has expired'],
    ['400 of the reference server', 400, -32000, 'Bad Request: No valid session ID provided'],
    ['400 of other servers', 400, -32001, 'Session not found'],
    ['400 without JSON-RPC', 400, undefined, 'unknown session'],
    ['400 that names the header', 400, -32600, 'Invalid session id: 12345'],
  ])('%s', (_what, status, code, message) => {
    expect(saysSessionLost({ status, code, message })).toBe(true);
  });
});

describe('a request did not lose its session', () => {
  it.each([
    [
      'an expired session token is about credentials',
      400,
      -32001,
      'Your AWS session token has expired. Please refresh',
    ],
    ['a token that is no session id', 400, -32000, 'Session ID token expired'],
    ['a 400 about something else', 400, -32602, 'Invalid params: missing name'],
    ['the same words in a result code of 500', 500, -32000, 'Session not found'],
    ['the same words with 200: a tool may speak of its own sessions', 200, -32000, 'Session not found'],
    ['401', 401, undefined, 'no valid session'],
  ])('%s', (_what, status, code, message) => {
    expect(saysSessionLost({ status, code, message })).toBe(false);
  });
});

describe('the error of a lost session', () => {
  const errorOf = (json: unknown): Response | undefined => jsonRpcErrorOf(Buffer.from(JSON.stringify(json)));

  it('says that the request did not run, and what the server said', () => {
    const error = errorOf({ jsonrpc: '2.0', id: '', error: { code: -30001, message: 'SessionId expired' } });
    const lost = lostSession(200, error, undefined);
    expect(lost).toMatchObject({ reason: 'session-lost', sent: 'refused', details: { httpStatus: 200 } });
    expect(lost?.message).toContain('SessionId expired');
    expect(isLost(lost)).toBe(true);
  });

  it('reads the words of a body that is no JSON-RPC', () => {
    expect(isLost(lostSession(400, undefined, Buffer.from('Unknown session')))).toBe(true);
    expect(lostSession(400, undefined, Buffer.from('Unknown tool'))).toBeUndefined();
    expect(lostSession(400, undefined, undefined)).toBeUndefined();
  });

  it('is told from one that could not be mended', () => {
    expect(isLost(new ProxyError('session-lost', 'no new one', { sent: 'no' }))).toBe(false);
    expect(isLost(new Error('session-lost'))).toBe(false);
  });
});
