import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Rpc } from '../support/mcp-answers.ts';
import { type Relayed, startInitialized } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

type Body = string | Buffer;
interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: Body;
}

/** A session in which tools/call gets exactly this answer. */
const answering = (
  { status = 200, headers = {}, body = '' }: Answer,
  args: readonly string[] = [],
): Promise<Relayed> =>
  startInitialized({
    args,
    on: {
      'tools/call': (_request, response) => {
        response.writeHead(status, headers).end(body);
      },
    },
  });

const call = ({ bin }: Relayed, id: unknown = 0): Promise<Rpc> =>
  bin.request('tools/call', { name: 'x' }, id);

const json = { 'content-type': 'application/json' };
const host = ({ server }: Relayed): string => `127.0.0.1:${server.port}`;

/** Returns exactly this error; the session remains usable. */
async function expectError(relayed: Relayed, error: Record<string, unknown>): Promise<void> {
  expect(await call(relayed)).toEqual({ jsonrpc: '2.0', id: 0, error });
  expect(await relayed.bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
  expect(relayed.server.of('tools/call')).toHaveLength(1);
  expect(relayed.bin.stderr).toBe('');
}

describe('a 200 without a usable response', () => {
  const page = '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please</body></html>';
  const atPlace = 'Check that the endpoint URL is that of an MCP server, and any gateway in front of it.';
  const inLog = "The server's log may tell why.";
  it.each<[string, Answer, string, Record<string, unknown>, string]>([
    [
      'with another content type',
      { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: 'hello there' },
      'HTTP 200 with text/plain: hello there',
      { contentType: 'text/plain; charset=utf-8', body: 'hello there' },
      atPlace,
    ],
    [
      'with no content type',
      { body: '{"jsonrpc":"2.0","id":0,"result":{}}' },
      'HTTP 200 with no content type: {"jsonrpc":"2.0","id":0,"result":{}}',
      { body: '{"jsonrpc":"2.0","id":0,"result":{}}' },
      atPlace,
    ],
    [
      'with an empty body',
      { headers: json },
      'HTTP 200 with an empty body (application/json)',
      { contentType: 'application/json' },
      inLog,
    ],
    [
      'with an HTML page',
      { headers: { 'content-type': 'text/html' }, body: page },
      'HTTP 200 with text/html: Sign in',
      { contentType: 'text/html', body: page },
      atPlace,
    ],
    [
      'with XML',
      {
        headers: { 'content-type': 'text/xml' },
        body: '<Error><Code>X</Code><Message>Nothing here</Message></Error>',
      },
      'HTTP 200 with text/xml: Nothing here',
      { contentType: 'text/xml', body: '<Error><Code>X</Code><Message>Nothing here</Message></Error>' },
      atPlace,
    ],
    [
      'with JSON that breaks off',
      { headers: json, body: '{"jsonrpc":"2.0","id":0,"resu' },
      'HTTP 200 with broken JSON (29 bytes)',
      { contentType: 'application/json', body: '{"jsonrpc":"2.0","id":0,"resu' },
      inLog,
    ],
    [
      'with bytes that are no UTF-8',
      { headers: json, body: Buffer.from([0x7b, 0xff, 0x7d]) },
      'HTTP 200 with bytes that are not UTF-8 (3 bytes)',
      { contentType: 'application/json' },
      inLog,
    ],
    [
      'with JSON that is no message',
      { headers: json, body: '{"hello":1}' },
      'HTTP 200 with JSON that is no JSON-RPC message: {"hello":1}',
      { contentType: 'application/json', body: '{"hello":1}' },
      inLog,
    ],
    [
      'with answers to something else',
      {
        headers: json,
        body: '[{"jsonrpc":"2.0","id":-7,"result":{}},{"jsonrpc":"2.0","id":-8,"result":{}}]',
      },
      'HTTP 200 with JSON that does not answer the request: [{"jsonrpc":"2.0","id":-7,"result":{}},{"jsonrpc":"2.0","id":-8,"result":{}}]',
      {
        contentType: 'application/json',
        body: '[{"jsonrpc":"2.0","id":-7,"result":{}},{"jsonrpc":"2.0","id":-8,"result":{}}]',
      },
      inLog,
    ],
  ])('a 200 %s returns an error that states what came', async (_what, answer, what, details, advice) => {
    await expectError(await answering(answer), {
      code: -31004,
      message: `The server's answer cannot be used: ${what}. The call may have run. ${advice}`,
      data: {
        source: 'mcp-sigv4-proxy',
        reason: 'unusable-answer',
        mayHaveRun: true,
        httpStatus: 200,
        ...details,
      },
    });
  });

  it('a 202 to a request returns an error', async () => {
    await expectError(await answering({ status: 202 }), {
      code: -31004,
      message:
        "The server's answer cannot be used: HTTP 202 with an empty body (no content type). The call may have run. The server's log may tell why.",
      data: { source: 'mcp-sigv4-proxy', reason: 'unusable-answer', mayHaveRun: true, httpStatus: 202 },
    });
  });
});

describe('an error status', () => {
  it.each([
    ['of the request', '0'],
    ['null', 'null'],
    ['of something else', '"server-error"'],
  ])('an error status with a JSON-RPC error whose id is %s passes the error on', async (_what, id) => {
    const error = '{"code":-32602,"message":"Bad arguments","data":{"big":9007199254740993}}';
    const relayed = await answering({
      status: 400,
      headers: json,
      body: `{"jsonrpc":"2.0","id":${id},"error":${error}}`,
    });
    await call(relayed);
    expect(relayed.bin.lines.at(-1)).toBe(`{"jsonrpc":"2.0","id":0,"error":${error}}`);
  });

  it.each<[number, Answer, (host: string) => string, Record<string, unknown>]>([
    [
      413,
      {},
      (at) => `HTTP 413 from ${at}. The request is too large for the server or a firewall in front of it`,
      { mayHaveRun: false },
    ],
    [
      405,
      { headers: json, body: '{"message":"No POST"}' },
      (at) =>
        `HTTP 405 from ${at}: No POST. The URL takes no POST: check its path; a server of the HTTP+SSE transport of 2024-11-05 answers so too`,
      { mayHaveRun: false, contentType: 'application/json', body: '{"message":"No POST"}' },
    ],
    [
      429,
      { headers: { ...json, 'retry-after': '70' }, body: '{"message":"Too Many Requests"}' },
      (at) =>
        `HTTP 429 from ${at}: Too Many Requests. The server is throttling; the call did not run, try again later`,
      {
        mayHaveRun: false,
        retryAfterMs: 70_000,
        contentType: 'application/json',
        body: '{"message":"Too Many Requests"}',
      },
    ],
    [
      500,
      { headers: { 'content-type': 'text/plain', 'x-amzn-requestid': 'r-1' }, body: 'Internal Server Error' },
      (at) =>
        `HTTP 500 from ${at}: Internal Server Error. The server failed, or any gateway in front of it; the call may have run, so check before you repeat it`,
      { mayHaveRun: true, contentType: 'text/plain', requestId: 'r-1', body: 'Internal Server Error' },
    ],
    [
      502,
      { headers: { 'content-type': 'text/html' }, body: '<html><title>Bad Gateway</title></html>' },
      (at) =>
        `HTTP 502 from ${at}: Bad Gateway. The server failed, or any gateway in front of it; the call may have run, so check before you repeat it`,
      { mayHaveRun: true, contentType: 'text/html', body: '<html><title>Bad Gateway</title></html>' },
    ],
  ])(
    'status %i without a JSON-RPC error returns an error that names the status and the host',
    async (status, answer, message, data) => {
      const relayed = await answering({ ...answer, status });
      const got = await call(relayed);
      expect(got).toMatchObject({
        id: 0,
        error: {
          code: -31003,
          data: { source: 'mcp-sigv4-proxy', reason: 'http-status', httpStatus: status, ...data },
        },
      });
      expect((got.error as { message: string }).message).toBe(message(host(relayed)));
      expect(await relayed.bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
      expect(relayed.server.of('tools/call')).toHaveLength(1);
    },
  );

  it('a 404 in a session and again in its replacement returns an error that states the session loss', async () => {
    const relayed = await startInitialized({
      on: { 'tools/call': (_request, response) => void response.writeHead(404).end() },
    });
    const got = await call(relayed, '');
    expect(got).toMatchObject({
      id: '',
      error: { code: -31005, data: { reason: 'session-lost', mayHaveRun: false, httpStatus: 404 } },
    });
    expect((got.error as { message: string }).message).toBe(
      'The MCP session was lost, and so was the new one that was opened for this call, which did not run. Try again. Where this keeps happening, the server does not keep its sessions: several instances behind a load balancer must share them, or see each session always.',
    );
    expect(relayed.server.of('tools/call')).toHaveLength(2);
    expect(relayed.server.of('initialize')).toHaveLength(2);
  });

  it('a 404 without a session returns an error that names the path', async () => {
    const relayed = await startInitialized({
      sessionId: false,
      on: { 'tools/call': (_request, response) => void response.writeHead(404).end('Not Found') },
    });
    expect(await call(relayed)).toMatchObject({
      error: {
        code: -31003,
        message: expect.stringContaining('Check the path of the endpoint URL'),
        data: { reason: 'http-status', mayHaveRun: false },
      },
    });
  });

  it.each([301, 302, 307, 308])(
    'redirect %i is not followed, and the other server receives no request',
    async (status) => {
      const elsewhere = await ScriptedServer.start((_request, response) => void response.end());
      const relayed = await answering({ status, headers: { location: elsewhere.url } });
      await expectError(relayed, {
        code: -31011,
        message: `HTTP ${status}: ${host(relayed)} redirects to 127.0.0.1:${elsewhere.port}, which is not followed, because signed requests go to the configured endpoint only. Check the endpoint URL.`,
        data: {
          source: 'mcp-sigv4-proxy',
          reason: 'redirected',
          mayHaveRun: false,
          httpStatus: status,
          redirectsTo: `127.0.0.1:${elsewhere.port}`,
        },
      });
      expect(elsewhere.connections.opened).toBe(0);
    },
  );
});

describe('a response longer than --max-line', () => {
  const big = JSON.stringify({ jsonrpc: '2.0', id: 0, result: { text: 'ä'.repeat(6_000_000) } });

  it('a response longer than --max-line becomes an error that names its size, the limit and the remedy', async () => {
    const size = Buffer.byteLength(big);
    const headers = { ...json, 'content-length': String(size) };
    await expectError(await answering({ headers, body: big }), {
      code: -31010,
      message: `The answer is ${size} bytes long, more than the 10420224 bytes that MCP clients take in one message (--max-line). Ask for less at once; the call itself has run.`,
      data: {
        source: 'mcp-sigv4-proxy',
        reason: 'line-too-long',
        mayHaveRun: true,
        bytes: size,
        limit: 10_420_224,
      },
    });
  });

  it('--max-line 0 passes a long response whole, as JSON and as an event, compressed or not', async () => {
    const events = { 'content-type': 'text/event-stream' };
    const zipped = { 'content-encoding': 'gzip' };
    for (const answer of [
      { headers: json, body: big },
      { headers: events, body: `data: ${big}\n\n` },
      { headers: { ...events, ...zipped }, body: gzipSync(`data: ${big}\n\n`) },
    ]) {
      const relayed = await answering(answer, ['--max-line', '0']);
      await call(relayed);
      expect(relayed.bin.lines.at(-1) === big).toBe(true);
    }
  });
});
