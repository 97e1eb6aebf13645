import { describe, expect, it } from 'vitest';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf, type Handler } from '../support/mcp-behaviours.ts';
import { startInitialized, startRelayed } from '../support/relayed.ts';

/** Fails as the test sets it, as often as set, and works from then on. */
function failing(times: number, fail: Handler): Handler {
  let left = times;
  return (request, response, context) => (left-- > 0 ? fail(request, response, context) : context.fallback());
}

const status =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_request, response) => {
    response.writeHead(code, headers).end();
  };

const throttled: Handler = (request, response) =>
  sendJson(
    response,
    429,
    errorOf(request.rpc.id ?? null, -32004, 'Too many requests. Please try again later.'),
  );

/** The learned rate would add seconds of waits; test/long/adaptive-rate.test.ts is about it. */
const QUICK = ['--retry-mode', 'standard', '--retry-base-delay', '0.01', '--retry-max-delay', '0.01'];
const TOOLS = [
  { name: 'echo', inputSchema: { type: 'object' } },
  { name: 'sleep', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } },
];

describe('a request that did not run', () => {
  it.each<[string, Handler]>([
    ['429', status(429)],
    ["429 with AWS's JSON-RPC error", throttled],
    ['429 with Retry-After', status(429, { 'retry-after': '0' })],
  ])('a request that did not run because of %s is retried, whatever its method', async (_what, fail) => {
    const { bin, server } = await startInitialized({ args: QUICK, on: { 'tools/call': failing(2, fail) } });
    const params = { name: 'echo', arguments: { text: 'x' } };
    expect(await bin.request('tools/call', params, '')).toHaveProperty('result');
    expect(server.of('tools/call')).toHaveLength(3);
  });

  it("a request that did not run returns an error after --retries attempts, with the server's Retry-After", async () => {
    const { bin, server } = await startInitialized({
      args: [...QUICK, '--retry-mode', 'standard', '--retries', '1'],
      on: { 'tools/call': failing(9, status(429, { 'retry-after': '0' })) },
    });
    expect(await bin.request('tools/call', { name: 'echo' }, -1)).toMatchObject({
      error: { code: -31003, data: { mayHaveRun: false, httpStatus: 429, attempts: 2 } },
    });
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it('a Retry-After of more than 20 s is not waited for: the error passes it on', async () => {
    const { bin, server } = await startInitialized({
      on: { 'tools/call': failing(9, status(429, { 'retry-after': '60' })) },
    });
    expect(await bin.request('tools/call', { name: 'echo' }, 0)).toMatchObject({
      error: { data: { retryAfterMs: 60_000 } },
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it("a Retry-After beyond the request's own time limit is not waited for: the error states the cause and the time", async () => {
    const { bin, server } = await startInitialized({
      args: ['--tool-timeout', '9'],
      on: { 'tools/call': status(429, { 'retry-after': '10' }) },
    });
    expect(await bin.request('tools/call', { name: 'echo' }, 0)).toMatchObject({
      error: { code: -31003, data: { mayHaveRun: false, httpStatus: 429, retryAfterMs: 10_000 } },
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });
});

describe('a request that may have run', () => {
  it('a request that may have run is retried if it only reads', async () => {
    const { bin, server } = await startInitialized({
      args: QUICK,
      on: { 'prompts/get': failing(1, status(503)) },
    });
    expect(await bin.request('prompts/get', { name: 'x' })).toHaveProperty('error.code', -32601);
    expect(server.of('prompts/get')).toHaveLength(2);
  });

  it('a call that may have run is not retried if its tool has no hints', async () => {
    const { bin, server } = await startInitialized({
      args: QUICK,
      tools: TOOLS,
      on: { 'tools/call': failing(1, status(503)) },
    });
    await bin.request('tools/list');
    expect(await bin.request('tools/call', { name: 'echo' }, '')).toMatchObject({
      error: { code: -31003, data: { mayHaveRun: true } },
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('a call that may have run is retried if its tool is declared read-only', async () => {
    const { bin, server } = await startInitialized({
      args: QUICK,
      tools: TOOLS,
      on: { 'tools/call': failing(1, status(503)) },
    });
    await bin.request('tools/list');
    expect(await bin.request('tools/call', { name: 'sleep', arguments: { ms: 0 } })).toHaveProperty('result');
    expect(server.of('tools/call')).toHaveLength(2);
  });

  it('a request that may have run is not retried with --retries 0', async () => {
    const { bin, server } = await startInitialized({
      args: ['--retries', '0'],
      on: { 'tools/list': failing(1, status(503)) },
    });
    expect(await bin.request('tools/list')).toHaveProperty('error.code', -31003);
    expect(server.of('tools/list')).toHaveLength(1);
  });
});

describe('retries at the start', () => {
  it('initialize and tools/list are retried through throttling, so that no client is left without tools', async () => {
    const { bin, server } = await startRelayed({
      args: QUICK,
      on: { initialize: failing(3, throttled), 'tools/list': failing(3, throttled) },
    });
    await bin.initialize();
    expect(await bin.request('tools/list')).toHaveProperty('result.tools');
    expect(server.of('initialize')).toHaveLength(4);
    expect(server.of('tools/list')).toHaveLength(4);
  });

  it('a server that keeps failing to open sessions gets no further attempts for a time', async () => {
    const { bin, server } = await startRelayed({
      args: ['--retries', '0', '--breaker-threshold', '2', '--breaker-reset', '60'],
      on: { initialize: status(500) },
    });
    for (const id of [0, '']) {
      expect(await bin.request('initialize', {}, id)).toHaveProperty('error.code', -31003);
    }
    const { error } = await bin.request('initialize', {}, -1);
    expect(error).toMatchObject({ code: -31014, data: { reason: 'circuit-open', mayHaveRun: false } });
    expect(error).toHaveProperty('data.retryAfterMs', expect.any(Number));
    expect(server.of('initialize')).toHaveLength(2);
  });

  it('the statuses 401 and 403 do not count as failures of the circuit breaker', async () => {
    const { bin, server } = await startRelayed({
      args: ['--retries', '0', '--breaker-threshold', '1'],
      on: { initialize: failing(2, status(403)) },
    });
    for (const id of ['a', 'b'])
      expect(await bin.request('initialize', {}, id)).toHaveProperty('error.code', -31007);
    expect(await bin.request('initialize', { protocolVersion: '2025-11-25' }, 'c')).toHaveProperty('result');
    expect(server.of('initialize')).toHaveLength(3);
  });
});
