import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, it, vi } from 'vitest';
import {
  type CreateListenerOptions,
  createListener,
  type Layer,
  type Listener,
  McpProxy,
  OptionsError,
  withReadableAnswer,
  withResult,
} from '../../src/library/index.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { type HttpQuestion, open, send, textOf } from '../support/http-client.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a-secret-of-the-program' };
const SCOPE = { service: 'execute-api', region: 'eu-west-1' };
const verify = { ...SCOPE, keys: { AKIDEXAMPLE: { secretAccessKey: KEYS.secretAccessKey } } };

const ping = (id: unknown = 0) => ({ jsonrpc: '2.0', id, method: 'ping' });
const call = (id: unknown, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

interface Started {
  readonly options?: CreateListenerOptions;
  readonly session?: SessionServerOptions;
  /** The request listener of the server; by default the handler itself. */
  readonly serve?: (listener: Listener) => RequestListener;
}

/** A server of the program with the handler of a listener, in front of a server that verifies signatures. */
async function start({ options = {}, session = {}, serve = ({ handler }) => handler }: Started = {}) {
  const mcp = new SessionServer(session);
  const upstream = await ScriptedServer.start(mcp.behaviour, { verify });
  const listener = await createListener({
    endpoint: upstream.url,
    ...SCOPE,
    credentials: KEYS,
    ...options,
  });
  const server = createServer(serve(listener));
  const port = await listenOnLoopback(server);
  afterThisTest(async () => {
    await listener.close();
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${port}/mcp`;
  const ask = (question: HttpQuestion, path = '/mcp') => send(new URL(path, url).href, question);
  const openSession = async () => {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    };
    const { headers } = await ask({ body: { jsonrpc: '2.0', id: 'i', method: 'initialize', params } });
    return { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' };
  };
  return { listener, upstream, mcp, url, ask, openSession };
}

it('a client of the SDK uses the handler of a listener on a server of node:http, and each request is signed', async () => {
  const { url, upstream, mcp, listener } = await start();
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const result = await client.callTool({ name: 'echo', arguments: { text: 'x' } });
  expect(result.content).toEqual([{ type: 'text', text: '{"text":"x"}' }]);
  expect(listener.state().connections).toBeGreaterThan(0);
  expect(mcp.sessions.size).toBe(1);
  expect(upstream.requests.every(({ verification }) => verification?.ok)).toBe(true);
  await client.close();
});

describe('the handler of a listener has the checks of --listen', () => {
  const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  it.each<[string, HttpQuestion, string, number]>([
    ['a foreign host', { headers: { host: 'evil.example' }, body: ping() }, '/mcp', 403],
    ['a foreign origin', { headers: { origin: 'https://evil.example' }, body: ping() }, '/mcp', 403],
    ['another site', { headers: { 'sec-fetch-site': 'cross-site' }, body: ping() }, '/mcp', 403],
    ['another path', { body: ping() }, '/other', 404],
    ['a path of OAuth discovery', { method: 'GET' }, '/.well-known/oauth-protected-resource', 404],
    ['a health path', { method: 'GET' }, '/readyz', 404],
    ['another method', { method: 'PUT', headers: json }, '/mcp', 405],
    ['another media type', { headers: { 'content-type': 'text/plain' }, body: ping() }, '/mcp', 415],
    ['a long body', { body: 'x'.repeat(2_000) }, '/mcp', 413],
    ['a body that is no JSON', { body: '{' }, '/mcp', 400],
  ])('the handler refuses %s and sends nothing', async (_what, question, path, status) => {
    const { ask, upstream } = await start({ options: { maxBody: 1_024 } });
    expect((await ask(question, path)).status).toBe(status);
    expect(upstream.requests).toEqual([]);
  });

  it('the handler asks for its token, and accepts the right one only', async () => {
    const { ask } = await start({ options: { listenToken: 'a-token-of-16-chars' } });
    const asked = (token: string) => ask({ headers: { authorization: `Bearer ${token}` }, body: ping() });
    expect((await asked('another-token-of-16')).status).toBe(401);
    expect((await asked('a-token-of-16-chars')).status).not.toBe(401);
  });

  it('without a token, the handler serves loopback addresses only, unless the program authenticates clients', async () => {
    const remote =
      ({ handler }: Listener): RequestListener =>
      (request, response) => {
        Object.defineProperty(request.socket, 'remoteAddress', { value: '203.0.113.5' });
        handler(request, response);
      };
    const { ask, upstream } = await start({ serve: remote });
    const refused = await ask({ body: ping() });
    expect([refused.status, upstream.requests.length]).toEqual([403, 0]);
    expect(refused.text).toContain('loopback addresses only');
    const trusting = await start({ serve: remote, options: { authenticated: true } });
    expect((await trusting.ask({ body: ping() })).status).not.toBe(403);
    const token = { authorization: 'Bearer a-token-of-16-chars' };
    const guarded = await start({ serve: remote, options: { listenToken: 'a-token-of-16-chars' } });
    expect((await guarded.ask({ headers: token, body: ping() })).status).not.toBe(403);
  });

  it('invalid options of a listener are reported together, each by the name of its member', async () => {
    const wrong = { maxClients: 0, allowedOrigin: 'x', authenticated: 'yes', lazy: true, listen: '[::]:1' };
    const failure = await createListener(wrong as object).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OptionsError);
    const fields = (failure as OptionsError).problems.map(({ field }) => field);
    expect(fields.sort()).toEqual(['allowedOrigin', 'authenticated', 'lazy', 'listen', 'maxClients']);
  });
});

describe('the body of a request to a handler', () => {
  const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  };

  it('a raw body that a framework has read is relayed with the numbers that it has', async () => {
    const { ask, upstream, openSession } = await start({
      serve:
        ({ handler }) =>
        (request, response) =>
          void bodyOf(request).then((body) => handler(request, response, body)),
    });
    const headers = await openSession();
    const text =
      '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"echo","arguments":{"n":1.0}}}';
    expect((await ask({ headers, body: text })).json.id).toBe(-1);
    expect(upstream.requests.at(-1)?.text).toContain('{"n":1.0}');
  });

  it.each<[string, (request: IncomingMessage) => Promise<unknown>]>([
    ['was read', (request) => bodyOf(request)],
    ['was given an encoding', async (request) => request.setEncoding('utf8')],
  ])('a request whose body %s before the handler ran is refused with the remedy', async (_what, before) => {
    const { ask, upstream } = await start({
      serve:
        ({ handler }) =>
        (request, response) =>
          void before(request).then(() => handler(request, response)),
    });
    const { status, json } = await ask({ body: ping() });
    expect([status, upstream.requests.length]).toEqual([500, 0]);
    expect(json.error).toMatchObject({
      message: expect.stringContaining('before middleware that reads bodies'),
    });
  });

  it('a handler that Express mounts finds its path in originalUrl', async () => {
    const { ask } = await start({
      serve:
        ({ handler }) =>
        (request, response) => {
          Object.assign(request, { originalUrl: request.url, url: '/' });
          handler(request, response, () => undefined);
        },
    });
    expect((await ask({ body: ping() })).status).not.toBe(404);
    expect((await ask({ body: ping() }, '/other')).status).toBe(404);
  });
});

it('close ends streams, lets a call finish, refuses what comes later, and leaves other requests of the server alone', async () => {
  const gate = makeGate();
  const { listener, ask, url, openSession } = await start({
    serve:
      ({ handler }) =>
      (request, response) => {
        if (request.url === '/other') response.write('begun');
        else handler(request, response);
      },
    session: {
      on: {
        'tools/call': async ({ rpc }, response) => {
          await gate.opened;
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify({ jsonrpc: '2.0', id: rpc.id, result: { content: [] } }));
        },
      },
    },
  });
  const headers = await openSession();
  const stream = await open(url, { method: 'GET', headers: { ...headers, accept: 'text/event-stream' } });
  const other = await open(new URL('/other', url).href, { method: 'GET' });
  const calling = ask({ headers, body: call(0, 'any') });
  await expect.poll(() => listener.state().requests).toBe(2);
  const closing = listener.close();
  expect(listener.close()).toBe(closing);
  await textOf(stream.response).catch(() => undefined);
  gate.open();
  expect((await calling).json).toEqual({ jsonrpc: '2.0', id: 0, result: { content: [] } });
  await closing;
  expect(listener.state()).toMatchObject({ requests: 0, streams: 0 });
  expect((await ask({ headers, body: ping('') })).status).toBe(503);
  expect(other.response.destroyed).toBe(false);
});

it('a layer edits the results of HTTP clients too, and no stream is resumed around it', async () => {
  const hide: Layer = (next) => async (passing) => {
    const { message } = passing;
    if (message.kind !== 'request' || message.method !== 'tools/call') return next(passing);
    const reply = await next(withReadableAnswer(passing));
    return reply.kind === 'answer'
      ? { ...reply, message: withResult(reply.message, { content: [] }) }
      : reply;
  };
  const { ask, openSession, upstream } = await start({
    options: { layers: { after: [hide] } },
    session: {
      on: {
        'tools/call': ({ rpc }, response) => {
          const events = new EventWriter(response);
          events.send({
            jsonrpc: '2.0',
            id: rpc.id,
            result: { content: [{ type: 'text', text: 'secret' }] },
          });
          events.end();
        },
      },
    },
  });
  const headers = await openSession();
  const { text } = await ask({ headers, body: call('', 'any') });
  expect(text).toContain('"result":{"content":[]}');
  const resumed = { ...headers, accept: 'text/event-stream', 'last-event-id': '1' };
  const before = upstream.requests.length;
  expect((await ask({ method: 'GET', headers: resumed })).status).toBe(400);
  expect(upstream.requests).toHaveLength(before);
});

it('a listener that cannot be created releases its proxy and the watch of its tokens', async () => {
  const clock = new FakeClock();
  const folder = mkdtempSync(join(tmpdir(), 'tokens-'));
  afterThisTest(() => rmSync(folder, { recursive: true }));
  const listenTokenFile = join(folder, 'tokens');
  writeFileSync(listenTokenFile, 'ada=a-token-of-16-chars', { mode: 0o600 });
  const stopped = vi.spyOn(McpProxy.prototype, 'stop');
  const profile = vi.spyOn(McpProxy.prototype, 'profileTransport').mockImplementation(() => {
    throw new Error('no transport');
  });
  afterThisTest(() => {
    profile.mockRestore();
    stopped.mockRestore();
  });
  const options = { listenIssuer: 'https://issuer.example', listenAudience: 'https://x.example/mcp' };
  const endpoint = 'https://mcp.example/mcp';
  const created = createListener({ endpoint, ...SCOPE, ...options, listenTokenFile, clock });
  await expect(created).rejects.toThrow('no transport');
  expect([clock.timers, stopped.mock.calls.length]).toEqual([0, 1]);
});
