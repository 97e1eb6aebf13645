import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import { bytesOf } from '../../../src/core/jsonrpc/parse.ts';
import { readLimit } from '../../../src/core/jsonrpc/read-limit.ts';
import {
  type AnswerContext,
  decodeBody,
  jsonRpcErrorOf,
  missingAnswer,
  parseBody,
  toStatusError,
} from '../../../src/upstream/transport/answer.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const context: AnswerContext = {
  path: '/mcp',
  host: 'mcp.example.com',
  profile: 'dev',
  scope: { service: 'execute-api', region: 'eu-west-1' },
  signed: true,
};
const JSON_TYPE = { 'content-type': 'application/json' };

const errorOf = (
  status: number,
  body: string,
  headers: Record<string, string> = JSON_TYPE,
  changes: Partial<AnswerContext> = {},
) => toStatusError(status, headers, Buffer.from(body), { ...context, ...changes }, NOW).toJsonRpc();

const thrownBy = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

describe('errors for non-2xx answers', () => {
  it('a redirect without a location gives an error that does not name the host itself', () => {
    const { message } = errorOf(304, '', {});
    expect(message).toMatch(/^HTTP 304: mcp\.example\.com redirects, which is not followed/);
  });

  it.each<[status: number, body: string, code: number, reason: string, mayHaveRun: boolean, message: RegExp]>(
    [
      [
        301,
        '',
        -31011,
        'redirected',
        false,
        /redirects to other\.example\.com, which is not followed.*Check the endpoint URL\.$/,
      ],
      [400, '{"message":"bad"}', -31003, 'http-status', false, /^HTTP 400 from mcp\.example\.com: bad$/],
      [
        400,
        '{"message":"The security token included in the request is expired"}',
        -31007,
        'auth-rejected',
        false,
        /have expired \(HTTP 400\)\. Run aws sso login --profile dev/,
      ],
      [401, '', -31007, 'auth-rejected', false, /refused the request \(HTTP 401\)/],
      [
        403,
        '{"message":"Forbidden"}',
        -31007,
        'auth-rejected',
        false,
        /Access was denied with the credentials of profile 'dev' \(HTTP 403\)\. The answer gives no reason/,
      ],
      [
        404,
        '',
        -31003,
        'http-status',
        false,
        /^HTTP 404 from mcp\.example\.com\. Check the path of the endpoint URL on mcp\.example\.com$/,
      ],
      [405, '', -31003, 'http-status', false, /takes no POST: check its path/],
      [413, '', -31003, 'http-status', false, /too large/],
      [431, '', -31003, 'http-status', false, /headers are too long for the server/],
      [
        429,
        '{"message":"slow down"}',
        -31003,
        'http-status',
        false,
        /slow down\. The server is throttling; the call did not run, try again later$/,
      ],
      [
        500,
        '{"message":"oh"}',
        -31003,
        'http-status',
        true,
        /^HTTP 500 from mcp\.example\.com: oh\. .*may have run/,
      ],
      [502, '<html><title>Bad Gateway</title></html>', -31003, 'http-status', true, /: Bad Gateway/],
      [504, '', -31003, 'http-status', true, /^HTTP 504/],
    ],
  )(
    'a non-2xx answer becomes an error with a remedy: %i %s',
    (status, body, code, reason, mayHaveRun, message) => {
      const headers = { ...JSON_TYPE, location: 'https://other.example.com/login?token=secret' };
      const error = errorOf(status, body, headers);
      expect(error).toMatchObject({
        code,
        data: { source: 'mcp-sigv4-proxy', reason, mayHaveRun, httpStatus: status },
      });
      expect(error.message).toMatch(message);
      expect(JSON.stringify(error)).not.toContain('token=secret');
    },
  );

  it('a 404 with ResourceNotFoundException names what the endpoint URL names', () => {
    const headers = {
      ...JSON_TYPE,
      'x-amzn-errortype': 'ResourceNotFoundException:http://internal.amazon.com/',
    };
    const error = errorOf(404, '{"message":"No endpoint or agent found with qualifier \'OLD\'"}', headers);
    expect(error).toMatchObject({ code: -31003, data: { reason: 'http-status', mayHaveRun: false } });
    expect(error.message).toMatch(
      /ResourceNotFoundException: No endpoint or agent found with qualifier 'OLD'\. The runtime, gateway or qualifier/,
    );
  });

  it.each<[value: string, ms: number | undefined]>([
    ['3', 3_000],
    ['0', 0],
    [new Date(NOW + 90_000).toUTCString(), 90_000],
    [new Date(NOW - 90_000).toUTCString(), 0],
    ['soon', undefined],
    ['', undefined],
  ])('a non-2xx answer with Retry-After "%s" becomes an error with that wait', (value, ms) => {
    const { data } = errorOf(503, '', { 'retry-after': value });
    expect(data.retryAfterMs).toBe(ms);
  });

  it('a non-2xx answer becomes an error with the request id for AWS support and the start of the body', () => {
    const { data } = errorOf(500, 'x'.repeat(5000), {
      'x-amzn-requestid': 'req-1',
      'www-authenticate': 'Bearer realm="x"',
      'content-type': 'text/plain',
    });
    expect(data).toMatchObject({
      requestId: 'req-1',
      wwwAuthenticate: 'Bearer realm="x"',
      contentType: 'text/plain',
      body: 'x'.repeat(2048),
    });
  });

  it('a non-2xx answer becomes an error without the session token that AWS repeats', () => {
    const body = JSON.stringify({
      message:
        "does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:SECRETTOKEN\n'",
    });
    expect(JSON.stringify(errorOf(403, body))).not.toContain('SECRETTOKEN');
  });
});

describe('JSON-RPC errors in non-2xx bodies', () => {
  it.each([
    ['{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"a"}}', -32000],
    ['{"jsonrpc":"2.0","id":"","error":{"code":-1,"message":"a"},"result":null}', -1],
    ['{"error":{"code":5,"message":"no jsonrpc member"}}', 5],
    [' [{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"a"}}]', 1],
  ])('a JSON-RPC error in a non-2xx body is found: %s', (body, code) => {
    expect(jsonRpcErrorOf(Buffer.from(body))?.json.error).toMatchObject({ code });
  });

  it.each([
    [''],
    ['{"message":"Forbidden"}'],
    ['{"error":"Unauthorized"}'],
    ['{"error":{"message":"no code"}}'],
    ['{"jsonrpc":"2.0","id":1,"result":{}}'],
    ['<html>'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":1'],
    ['"text"'],
  ])('a JSON-RPC error is not found in %s', (body) => {
    expect(jsonRpcErrorOf(Buffer.from(body))).toBeUndefined();
  });
});

/** The inside of a string of 600 kB. */
const LONG_CONTENT = 'a line of a log, 200 \\"é\\"\\n'.repeat(24_000);

describe('a 2xx body', () => {
  it('a 2xx body yields its messages, each on one line', () => {
    const body = Buffer.from(
      '\uFEFF[{"jsonrpc":"2.0",\r\n"id":-1,"result":{}},{"jsonrpc":"2.0","method":"a"}]',
    );
    expect(parseBody(body, 200, JSON_TYPE, readLimit(0)).map(({ text }) => text)).toEqual([
      expect.not.stringMatching(/[\r\n]/),
      '{"jsonrpc":"2.0","method":"a"}',
    ]);
  });

  it.each([
    [Buffer.from('{"jsonrpc":'), /HTTP 200 with broken JSON \(11 bytes\)/],
    [Buffer.from([0x7b, 0xff, 0x7d]), /HTTP 200 with bytes that are not UTF-8 \(3 bytes\)/],
  ])('a 2xx body that cannot be read is an error: %s', (body, message) => {
    const error = thrownBy(() => parseBody(body, 200, JSON_TYPE, readLimit(0)));
    expect(error).toMatchObject({
      reason: 'unusable-answer',
      sent: 'maybe',
      message: expect.stringMatching(message),
    });
  });

  it('a long 2xx body keeps its bytes, behind a byte order mark too', () => {
    const text = `{"jsonrpc":"2.0","id":1,"result":{"text":"${LONG_CONTENT}"}}`;
    for (const body of [text, `\uFEFF${text}`]) {
      const [message] = parseBody(Buffer.from(body), 200, JSON_TYPE, readLimit(0)) as [Message];
      expect(bytesOf(message)?.equals(Buffer.from(text))).toBe(true);
      expect(message.text === text).toBe(true);
    }
  });

  it.each([
    ['no end', `{"jsonrpc":"2.0","id":1,"result":{"text":"${LONG_CONTENT}"}`],
    ['a tab in a string', `{"jsonrpc":"2.0","id":1,"result":{"text":"${LONG_CONTENT}\t"}}`],
    ['an unknown escape', `{"jsonrpc":"2.0","id":1,"result":{"text":"\\x${LONG_CONTENT}"}}`],
  ])('a long 2xx body with %s is an error', (_what, body) => {
    const error = thrownBy(() => parseBody(Buffer.from(body), 200, JSON_TYPE, readLimit(0)));
    expect(error).toMatchObject({ message: expect.stringContaining('HTTP 200 with broken JSON') });
  });

  it.each([
    ['', '', /HTTP 202 with an empty body \(no content type\)/],
    ['', 'application/json', /HTTP 202 with an empty body \(application\/json\)/],
    ['<html><title>Login</title></html>', 'text/html; charset=utf-8', /HTTP 202 with text\/html: Login/],
    ['hello', 'text/plain', /HTTP 202 with text\/plain: hello/],
    ['<p></p>', 'text/html', /HTTP 202 with text\/html\. /],
  ])('a 2xx body without an answer is an error that shows it: "%s" of type "%s"', (body, type, message) => {
    const headers = type === '' ? {} : { 'content-type': type };
    const error = missingAnswer(202, headers, Buffer.from(body));
    expect([error.reason, error.sent, error.code]).toEqual(['unusable-answer', 'maybe', -31004]);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/may have run/);
  });

  it('a 2xx body is decoded as UTF-8 or is an error', () => {
    expect(decodeBody(Buffer.from('é😀'))).toBe('é😀');
    expect(decodeBody(Buffer.from([0xe9]))).toBeUndefined();
    expect(decodeBody(Buffer.alloc(0))).toBe('');
  });
});
