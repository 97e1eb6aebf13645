import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import {
  type FailedAnswer,
  isSessionLost,
  namesSession,
  readLostSession,
  saysSessionLost,
} from '../../../src/upstream/transport/lost-session.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const AWS_404 = { ...JSON_TYPE, 'x-amzn-errortype': 'ResourceNotFoundException' };

describe('an error answer to a request that carried a session id', () => {
  it.each<[what: string, answer: FailedAnswer, lost: boolean]>([
    ['404 without a body', { status: 404, code: undefined, message: '' }, true],
    ['404 with JSON-RPC', { status: 404, code: -32600, message: 'Not found' }, true],
    ['404 with "method not found"', { status: 404, code: -32601, message: 'Method not found' }, false],
    [
      '404 with ResourceNotFoundException',
      { status: 404, errorType: 'ResourceNotFoundException', code: undefined, message: 'No agent found' },
      false,
    ],
    [
      '404 with ResourceNotFoundException in the body',
      { status: 404, code: undefined, message: 'ResourceNotFoundException. No agent found' },
      false,
    ],
    [
      '404 with ResourceNotFoundException for the session',
      { status: 404, errorType: 'ResourceNotFoundException', code: undefined, message: 'Session not found' },
      true,
    ],
    ['-30001 with 400', { status: 400, code: -30001, message: 'anything' }, true],
    ['-30001 with 200', { status: 200, code: -30001, message: 'anything' }, true],
    ...[200, 400, 401, 403, 409, 410, 422, 500, 503].map((status): [string, FailedAnswer, boolean] => [
      `the words with ${status}`,
      { status, code: -32000, message: 'Session not found' },
      true,
    ]),
    [
      'an expired token with 401',
      { status: 401, errorType: 'ExpiredTokenException', code: undefined, message: 'invalid session' },
      false,
    ],
    ['400 about something else', { status: 400, code: -32602, message: 'Invalid params' }, false],
    [
      '200 about another session',
      { status: 200, code: -32603, message: 'Session b-7 not found', sessionId: 's-1' },
      false,
    ],
    [
      '400 about an id that the server rewrote',
      { status: 400, code: -32603, message: 'Session b-7 not found', sessionId: 's-1' },
      true,
    ],
  ])('a lost session is recognized or not in an answer of %s', (_what, answer, lost) => {
    expect(saysSessionLost(answer)).toBe(lost);
  });

  it.each<[what: string, status: number, headers: Record<string, string>, body: string, lost: boolean]>([
    ['plain text', 401, { 'content-type': 'text/plain' }, 'Unauthorized: Session not found', true],
    ['a bare string as error', 200, JSON_TYPE, '{"error":"Session not found"}', true],
    [
      'a code and a message',
      400,
      JSON_TYPE,
      '{"error":"session_not_found","message":"call initialize"}',
      true,
    ],
    ['AWS JSON', 404, AWS_404, '{"message":"No endpoint or agent found"}', false],
    [
      'AWS JSON without the header',
      404,
      JSON_TYPE,
      '{"__type":"com.amazon#ResourceNotFoundException"}',
      false,
    ],
    [
      'the data of a JSON-RPC error',
      200,
      JSON_TYPE,
      '{"id":1,"error":{"code":-32603,"message":"Internal error","data":{"detail":"Session expired"}}}',
      true,
    ],
    [
      'an event stream',
      400,
      { 'content-type': 'text/event-stream' },
      'event: message\ndata: {"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}\n\n',
      true,
    ],
    [
      'an event stream without JSON-RPC',
      200,
      { 'content-type': 'text/event-stream' },
      'event: message\r\ndata: {"error":"Session not found"}\r\n\r\n',
      true,
    ],
    ['a result', 200, JSON_TYPE, '{"id":1,"result":{},"message":"Session not found"}', false],
    ['another error', 400, JSON_TYPE, '{"message":"Unknown tool"}', false],
    ['no body', 400, JSON_TYPE, '', false],
  ])('a lost session is recognized or not in %s', (_what, status, headers, body, lost) => {
    expect(readLostSession({ status, headers }, Buffer.from(body), 's-1') !== undefined).toBe(lost);
  });
});

describe('the error of a lost session', () => {
  it("the error of a lost session states that the request did not run, and the server's message", () => {
    const body = '{"jsonrpc":"2.0","id":"","error":{"code":-30001,"message":"SessionId expired"}}';
    const lost = readLostSession({ status: 200, headers: {} }, Buffer.from(body), 's-1');
    expect(lost).toMatchObject({
      reason: 'session-lost',
      sent: 'refused',
      details: { httpStatus: 200, serverMessage: 'SessionId expired' },
    });
    expect(lost?.message).toContain('SessionId expired');
    expect(isSessionLost(lost)).toBe(true);
    expect(namesSession(lost)).toBe(true);
  });

  it('the error of a lost session does not repeat the session id', () => {
    const body = '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Session s-1 not found"}}';
    const lost = readLostSession({ status: 400, headers: {} }, Buffer.from(body), 's-1');
    expect(lost?.details.serverMessage).toBe('Session ... not found');
    expect(lost?.message).not.toContain('s-1');
  });

  it('the error of a lost session differs from an error that a new session cannot resolve', () => {
    expect(isSessionLost(new ProxyError('session-lost', 'no new one', { sent: 'no' }))).toBe(false);
    expect(isSessionLost(new Error('session-lost'))).toBe(false);
  });

  it('a bare 404 counts as a lost session, but does not name the session', () => {
    const bare = readLostSession({ status: 404, headers: {} }, Buffer.from('Not Found'), 's-1');
    expect(isSessionLost(bare)).toBe(true);
    expect(namesSession(bare)).toBe(false);
  });
});
