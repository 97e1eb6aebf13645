import { describe, expect, it } from 'vitest';
import { saysSessionLost } from '../../src/upstream/lost-session.ts';

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
