import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListener } from '../support/listening.ts';
import type { Rpc } from '../support/mcp-answers.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { startSse2024Server } from '../support/sse-2024-server.ts';

const start = (url: string, ...args: string[]): BinDriver =>
  BinDriver.start({ args: [url, ...signingArgs, ...args], env: signingEnv });

const call = (name: string, args: object = {}, token?: string | number) => ({
  name,
  arguments: args,
  ...(token === undefined ? {} : { _meta: { progressToken: token } }),
});
const resultOf = ({ result }: Rpc): unknown =>
  (result as { content?: { text: string }[] }).content?.[0]?.text;

describe('a server of HTTP+SSE (2024-11-05)', () => {
  it('--transport auto falls back to HTTP+SSE once, and every request is signed', async () => {
    const server = await startSse2024Server(signingVerify);
    const bin = start(server.url);
    expect(await bin.initialize({}, 0)).toMatchObject({
      id: 0,
      result: { serverInfo: { name: 'sse-2024' } },
    });
    expect(await bin.request('tools/list', {}, '')).toMatchObject({ result: { tools: { length: 4 } } });
    const answers = await Promise.all(
      [-1, 'x', 7].map((id, a) => bin.request('tools/call', call('add', { a, b: 1 }), id)),
    );
    expect(answers.map(resultOf)).toEqual(['1', '2', '3']);
    expect(server.seen.slice(0, 3)).toEqual([
      'POST /sse initialize',
      'GET /sse',
      'POST /messages initialize',
    ]);
    expect(server.seen.filter((line) => line.includes(' /sse'))).toHaveLength(2);

    // Progress comes before the result, and a request of the server reaches the client.
    const steps = await bin.request('tools/call', call('steps', {}, ''), 8);
    expect(resultOf(steps)).toBe('0');
    const kinds = bin.messages
      .filter(({ method, id }) => method === 'notifications/progress' || id === 8)
      .map(({ params, id }) => (params as { progress?: number })?.progress ?? id);
    expect(kinds).toEqual([1, 2, 3, 8]);
    const asked = bin.request('tools/call', call('ask'), 9);
    const { id } = await bin.next(({ method }) => method === 'elicitation/create');
    bin.send({ jsonrpc: '2.0', id, result: { action: 'decline' } });
    expect(resultOf(await asked)).toBe('decline');

    // The server dies between the POST and the answer: one clear error, and nothing runs twice.
    const { error } = await bin.request('tools/call', call('die'), 10);
    expect(error).toMatchObject({
      data: { reason: 'connection-lost', mayHaveRun: true },
      message: expect.stringContaining('The call may have run'),
    });
    expect(server.calls.filter((name) => name === 'die')).toHaveLength(1);
    // The next call opens a new session.
    expect(resultOf(await bin.request('tools/call', call('add', { a: 20, b: 1 }), 11))).toBe('21');
    expect(server.seen.filter((line) => line === 'GET /sse')).toHaveLength(2);
    expect(server.seen.filter((line) => line === 'POST /sse initialize')).toHaveLength(1);
    bin.closeStdin();
    expect((await bin.exit()).code).toBe(0);
  });

  it('--transport sse opens the stream at once, and a lost stream opens a new session', async () => {
    const server = await startSse2024Server(signingVerify);
    const bin = start(server.url, '--transport', 'sse');
    await bin.initialize({}, 'handshake');
    expect(await bin.request('ping', {}, 0)).toMatchObject({ result: {} });
    server.dropStreams();
    expect(resultOf(await bin.request('tools/call', call('add', { a: 1, b: 2 }), -1))).toBe('3');
    expect(server.seen).not.toContain('POST /sse initialize');
    expect(server.calls).toEqual(['add']);
  });

  it('HTTP+SSE at the listener gives each client a session of its own', async () => {
    const server = await startSse2024Server(signingVerify);
    const { ask } = await startListener(server.url);
    const [one, other] = [await openSession(ask, 0), await openSession(ask, 0)];
    expect(one['mcp-session-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(other['mcp-session-id']).not.toBe(one['mcp-session-id']);
    const body = (id: unknown) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: call('add', { a: 2, b: 2 }),
    });
    const answers = await Promise.all([one, other].map((headers) => ask({ headers, body: body(0) })));
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).toContain('"text":"4"');
    }
    expect((await ask({ method: 'DELETE', headers: one })).status).toBe(200);
    expect((await ask({ headers: one, body: body('') })).status).toBe(404);
    expect((await ask({ headers: other, body: body('') })).text).toContain('"text":"4"');
  });

  it('an endpoint event that names another host is refused, and no message is posted', async () => {
    const server = await ScriptedServer.start((request, response) => {
      if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: endpoint\ndata: https://evil.example/messages\n\n');
    });
    const bin = start(server.url, '--auth', 'none');
    expect((await bin.initialize({}, -1)).error).toMatchObject({
      data: { reason: 'unusable-answer', mayHaveRun: false },
      message: expect.stringContaining('its endpoint event names https://evil.example'),
    });
    expect(server.of('POST')).toHaveLength(1);
  });

  it('--transport auto gives the first answer where GET opens no stream of HTTP+SSE', async () => {
    const server = await ScriptedServer.start((request, response) => {
      response.writeHead(request.method === 'GET' ? 200 : 404, { 'content-type': 'text/html' });
      response.end('<p>Not an MCP server</p>');
    });
    const bin = start(server.url);
    expect((await bin.initialize({}, 0)).error).toMatchObject({ data: { httpStatus: 404 } });
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'GET']);
  });

  it('--transport http never opens an event stream in place of initialize', async () => {
    const server = await startSse2024Server(signingVerify);
    const bin = start(server.url, '--transport', 'http');
    expect((await bin.initialize({}, '')).error).toMatchObject({
      message: expect.stringContaining('--transport sse'),
    });
    expect(server.seen).toEqual(['POST /sse initialize']);
  });
});
