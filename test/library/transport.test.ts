import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import { createProxy, OptionsError, SigV4ClientTransport } from '../../src/library/index.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { type RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';
import { startSdkServer } from '../support/sdk-servers.ts';

const INFO = { name: 'test', version: '1' };
const OPTIONS = {
  region: 'eu-west-1',
  service: 'execute-api',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
};

const text = (result: unknown): unknown => (result as { content: { text: string }[] }).content[0]?.text;

/** One method name for both generations. */
const GENERATIONS = {
  v1: () => new ClientV1(INFO) as unknown as ClientV2,
  v2: () => new ClientV2(INFO),
};

it.each(['v1', 'v2'] as const)(
  'the client of SDK %s calls tools over SigV4ClientTransport, and close leaves the session open',
  async (generation) => {
    const server = await startSdkServer(generation);
    const transport = new SigV4ClientTransport(server.url, OPTIONS);
    const closed: string[] = [];
    const client = GENERATIONS[generation]();
    client.onclose = () => closed.push('client');
    await client.connect(transport);
    const added = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
    expect(text(added)).toBe('3');
    const progress: number[] = [];
    const stepped = await client.callTool(
      { name: 'steps', arguments: {} },
      ...((generation === 'v1' ? [undefined] : []) as []),
      { onprogress: ({ progress: step }: { progress: number }) => progress.push(step) },
    );
    expect([text(stepped), progress]).toEqual(['stepped', [1, 2, 3]]);
    expect(transport.sessionId).toBe(server.opened[0]);
    expect(transport.protocolVersion).toMatch(/^\d{4}-/);
    const { sessionId, protocolVersion } = transport;
    await client.close();
    await client.close();
    expect([closed, server.deleted]).toEqual([['client'], []]);
    // Another client continues the session without initialize, and ends it.
    const next = new SigV4ClientTransport(server.url, { ...OPTIONS, sessionId, protocolVersion });
    const later = GENERATIONS[generation]();
    await later.connect(next);
    const again = await later.callTool({ name: 'add', arguments: { a: -1, b: 0 } });
    expect([text(again), server.opened.length]).toEqual(['-1', 1]);
    await next.terminateSession();
    await later.close();
    expect(server.deleted).toEqual(server.opened);
  },
);

it('a signal that aborts cancels the call at the server, and the transport goes on', async () => {
  const server = await startSdkServer('v1');
  const client = GENERATIONS.v1();
  await client.connect(new SigV4ClientTransport(server.url, OPTIONS));
  afterThisTest(() => client.close());
  const abort = new AbortController();
  const args = [undefined, { signal: abort.signal }] as unknown as [];
  const hanging = client.callTool({ name: 'hang', arguments: { label: 'x' } }, ...args);
  await expect.poll(() => server.hanging).toEqual(['x']);
  abort.abort();
  await expect(hanging).rejects.toThrow();
  await expect.poll(() => server.cancelled).toEqual(['x']);
  expect(text(await client.callTool({ name: 'add', arguments: { a: 0, b: 0 } }))).toBe('0');
});

it('transports of one proxy have sessions of their own, send their own headers and sign each request', async () => {
  const verify = {
    service: 'execute-api',
    region: 'eu-west-1',
    keys: { AKIDEXAMPLE: { secretAccessKey: 'secret' } },
  };
  const server = await ScriptedServer.start(new SessionServer().behaviour, { verify });
  const proxy = await createProxy({ ...OPTIONS, endpoint: server.url });
  afterThisTest(() => proxy.close());
  const open = async (tenant: string) => {
    const client = new ClientV2(INFO);
    const transport = new SigV4ClientTransport(proxy, { headers: { 'X-Tenant': tenant } });
    await client.connect(transport);
    return { client, transport };
  };
  const [one, other] = [await open('a'), await open('b')];
  expect(one.transport.sessionId).not.toBe(other.transport.sessionId);
  await one.client.callTool({ name: 'echo', arguments: { text: 'x' } });
  one.transport.setHeaders({ 'x-tenant': 'c' });
  await one.client.callTool({ name: 'echo', arguments: { text: 'x' } });
  const calls = server.requests.filter(({ rpc }) => rpc.method === 'tools/call');
  expect(calls.map(({ headers }) => headers['x-tenant'])).toEqual(['a', 'c']);
  expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  await one.client.close();
  // The other one goes on.
  await other.client.callTool({ name: 'echo', arguments: { text: 'x' } });
});

it('a call continues after an event id, and reports the ids of its events', async () => {
  const server = await ScriptedServer.start(async (request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`id: 8\ndata: {"jsonrpc":"2.0","id":"old","result":{"content":[]}}\n\n`);
      return;
    }
    response.writeHead(405).end();
  });
  const transport = new SigV4ClientTransport(server.url, {
    ...OPTIONS,
    sessionId: 's',
    protocolVersion: '2025-11-25',
  });
  const received: object[] = [];
  const tokens: string[] = [];
  const answered = new Promise<void>((resolve) => {
    transport.onmessage = (message) => {
      received.push(message);
      resolve();
    };
  });
  await transport.start();
  afterThisTest(() => transport.close());
  await transport.send(
    { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'x' } },
    { resumptionToken: '7', onresumptiontoken: (token) => tokens.push(token) },
  );
  await answered;
  expect(received).toEqual([{ jsonrpc: '2.0', id: 0, result: { content: [] } }]);
  await expect.poll(() => tokens).toEqual(['8']);
  const [sent] = server.requests;
  expect(sent?.headers).toMatchObject({
    'last-event-id': '7',
    'mcp-session-id': 's',
    'mcp-protocol-version': '2025-11-25',
  });
});

it('invalid options are reported together, each by the name of its member', async () => {
  const options = {
    maxConnections: 0,
    retries: '2',
    maxConection: 1,
    timeout: Number.NaN,
    endpoint: 'ftp://x',
  };
  const failure = await createProxy(options as object).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(OptionsError);
  const { problems } = failure as OptionsError;
  expect(problems.map(({ field }) => field).sort()).toEqual([
    'endpoint',
    'maxConection',
    'maxConnections',
    'retries',
    'timeout',
  ]);
  expect((failure as Error).message).toContain('did you mean maxConnections?');
  expect((failure as Error).message).not.toMatch(/--|MCP_PROXY/);
  const broken = { ...OPTIONS, credentials: { accessKeyId: 'A', secretAccessKey: '' } };
  await expect(createProxy(broken)).rejects.toThrow('credentials must have secretAccessKey');
  expect(() => new SigV4ClientTransport('https://x', { headers: { Host: 'y' } })).toThrow(OptionsError);
});

it('a transport that was not started, was started twice or is closed refuses messages and starts', async () => {
  const transport = new SigV4ClientTransport('http://127.0.0.1:9/mcp', { auth: 'none' });
  await expect(transport.send({})).rejects.toThrow('not started');
  await transport.start();
  await expect(transport.start()).rejects.toThrow('called before');
  await transport.close();
  await expect(transport.send({})).rejects.toThrow('closed');
});

describe('the end of a session', () => {
  // A clock that stands still: the wait for the server has no end.
  const session = { ...OPTIONS, clock: new FakeClock(), sessionId: 's', protocolVersion: '2025-11-25' };
  const startWith = async (status: number) => {
    const server = await ScriptedServer.start((_request, response) => void response.writeHead(status).end());
    const transport = new SigV4ClientTransport(server.url, session);
    const errors: string[] = [];
    transport.onerror = ({ message }) => errors.push(message);
    await transport.start();
    afterThisTest(() => transport.close());
    return { server, transport, errors };
  };

  it.each([200, 204, 405])(
    'terminateSession deletes a continued session on which nothing was sent, and accepts HTTP %i',
    async (status) => {
      const { server, transport, errors } = await startWith(status);
      await transport.terminateSession();
      await transport.terminateSession();
      expect(server.requests.map(({ method, headers }) => [method, headers['mcp-session-id']])).toEqual([
        ['DELETE', 's'],
      ]);
      expect([transport.sessionId, errors]).toEqual([undefined, []]);
    },
  );

  it.each([400, 403, 404, 500])(
    'terminateSession rejects where the server answers HTTP %i',
    async (status) => {
      const { transport, errors } = await startWith(status);
      const failed = `Failed to terminate session: HTTP ${status} to DELETE`;
      await expect(transport.terminateSession()).rejects.toThrow(failed);
      expect(errors).toEqual([failed]);
    },
  );

  it('terminateSession rejects where the server cannot be reached, and close still works', async () => {
    const transport = new SigV4ClientTransport('http://127.0.0.1:9/mcp', session);
    await transport.start();
    await expect(transport.terminateSession()).rejects.toThrow('Failed to terminate session: ');
    await transport.close();
  });
});

it('resumeStream delivers what the server sent after an event, under its own ids, and reports event ids', async () => {
  const server = await ScriptedServer.start((request, response) => {
    if (request.headers['last-event-id'] !== '7') return void response.writeHead(400).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('id: 8\ndata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n');
    response.end('id: 9\ndata: {"jsonrpc":"2.0","id":"","result":{}}\n\n');
  });
  const options = { sessionId: 's', protocolVersion: '2025-11-25', headers: { 'x-tenant': 'a' } };
  const transport = new SigV4ClientTransport(server.url, { ...OPTIONS, ...options });
  const received: object[] = [];
  const tokens: string[] = [];
  const errors: string[] = [];
  transport.onmessage = (message) => received.push(message);
  transport.onerror = ({ message }) => errors.push(message);
  await expect(transport.resumeStream('7')).rejects.toThrow('not started');
  await transport.start();
  await transport.resumeStream('7', { onresumptiontoken: (token) => tokens.push(token) });
  await expect.poll(() => tokens).toEqual(['8', '9']);
  expect(received).toEqual([
    { jsonrpc: '2.0', method: 'notifications/tools/list_changed' },
    { jsonrpc: '2.0', id: '', result: {} },
  ]);
  expect(server.requests[0]?.headers).toMatchObject({
    'mcp-session-id': 's',
    'mcp-protocol-version': '2025-11-25',
    'x-tenant': 'a',
    authorization: expect.stringMatching(/^AWS4-HMAC-SHA256 /),
  });
  const refused = 'the server refused to resume the stream: HTTP 400';
  await expect(transport.resumeStream('0')).rejects.toThrow(refused);
  expect(errors).toEqual([refused]);
  await transport.close();
  await expect(transport.resumeStream('7')).rejects.toThrow('closed');
});

it('resumeStream sends the cookies of the session, and the session keeps those that it gets', async () => {
  const sessions = new SessionServer();
  const server = await ScriptedServer.start((request, response) => {
    const eventId = request.headers['last-event-id'];
    if (request.rpc.method === 'initialize') response.setHeader('set-cookie', 'AWSALB=first');
    if (eventId === undefined) return sessions.behaviour(request, response);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'set-cookie': `AWSALB=${eventId}` });
    response.end('data:\n\n');
  });
  const transport = new SigV4ClientTransport(server.url, OPTIONS);
  const client = new ClientV2(INFO);
  await client.connect(transport);
  afterThisTest(() => client.close());
  await transport.resumeStream('7');
  await client.callTool({ name: 'echo', arguments: {} });
  const cookieOf = (found: (request: RecordedRequest) => boolean) =>
    server.requests.find(found)?.headers.cookie;
  expect([
    cookieOf(({ headers }) => headers['last-event-id'] === '7'),
    cookieOf(({ rpc }) => rpc.method === 'tools/call'),
  ]).toEqual(['AWSALB=first', 'AWSALB=7']);
});
