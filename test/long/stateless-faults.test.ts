import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { claiming, type Script, startDual } from '../support/claims.ts';
import { freePort } from '../support/connections.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const resultFor: Script = ({ rpc }, response) =>
  sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
/** The learned rate would add seconds of waits; test/long/adaptive-rate.test.ts is about it. */
const QUICK = ['--retry-mode', 'standard', '--retry-base-delay', '0.01', '--retry-max-delay', '0.01'];

describe('server/discover with faults', () => {
  it.each<[string, Script]>([
    ['503', (_request, response) => void response.writeHead(503).end()],
    ['429', (_request, response) => void response.writeHead(429).end()],
    ['a broken connection', (_request, response) => void response.destroy()],
    ['a stream without an answer', (_request, response) => void new EventWriter(response).end()],
    [
      'throttling',
      ({ rpc }, response) =>
        sendJson(response, 200, {
          jsonrpc: '2.0',
          id: rpc.id,
          error: { code: -32004, message: 'Too many requests' },
        }),
    ],
  ])(
    'server/discover gets more retries than others after %s, so that no client falls back to old revisions',
    async (_what, fails) => {
      const { server, bin } = await startDual(
        (request, response) => (server.requests.length < 5 ? fails : resultFor)(request, response),
        { args: QUICK },
      );
      bin.send(claiming('server/discover', {}, 'server-discover-probe-1'));
      expect(await bin.answer('server-discover-probe-1')).toMatchObject({ result: {} });
      expect(server.requests).toHaveLength(5);
      expect(bin.stderr).toBe('');
    },
  );

  it('server/discover waits for a server that is starting', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/mcp`;
    const bin = BinDriver.start({ args: [url, ...signingArgs, '--log-level', 'debug'], env: signingEnv });
    bin.send(claiming('server/discover', {}, 0));
    // Five attempts are more than --retries allows other requests.
    await bin.stderrMatching(/"attempt":5,/);
    await ScriptedServer.start(resultFor, { port, verify: signingVerify });
    expect(await bin.answer(0)).toMatchObject({ result: {} });
  });

  it('server/discover that keeps failing returns an error, and stderr states the failure', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`;
    const bin = BinDriver.start({ args: [url, ...signingArgs, '--retries', '0'], env: signingEnv });
    bin.send(claiming('server/discover', {}, ''));
    expect(await bin.answer('')).toMatchObject({
      error: { code: -31001, data: { reason: 'connect-failed' } },
    });
    await bin.stderrMatching(/probe\.failed.*/);
    expect(JSON.parse(bin.stderr)).toMatchObject({ level: 50, reason: 'connect-failed' });
  });

  it('server/discover fails as fast as other requests if the server returns an error of its own, as some old ones do', async () => {
    const { server, bin } = await startDual((_request, response) => void response.writeHead(500).end(), {
      args: QUICK,
    });
    bin.send(claiming('server/discover', {}, -1));
    expect(await bin.answer(-1)).toMatchObject({
      error: { data: { reason: 'http-status', httpStatus: 500 } },
    });
    expect(server.requests).toHaveLength(3);
  });

  it("server/discover at a server of the session era returns the server's error at once and silently", async () => {
    const { server, bin } = await startDual((_request, response) => {
      sendJson(response, 400, {
        jsonrpc: '2.0',
        id: null,
        error: { code: -32000, message: 'Server not initialized' },
      });
    });
    bin.send(claiming('server/discover', {}, 'probe'));
    expect(await bin.answer('probe')).toMatchObject({ error: { code: -32000 } });
    expect(server.requests).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });
});

describe('a call without a session', () => {
  it.each<[string, Script, number]>([
    ['broken connections', (_request, response) => void response.destroy(), 1],
    ['a server that fails', (_request, response) => void response.writeHead(503).end(), 1],
    ['a server that throttles', (_request, response) => void response.writeHead(429).end(), 3],
  ])(
    'a stateless call that met %s is sent again only if it certainly did not run',
    async (_what, fails, times) => {
      const { server, bin } = await startDual(fails, { args: [...QUICK, '--retry-mode', 'standard'] });
      bin.send(claiming('tools/call', { name: 'tool' }, 0));
      expect(await bin.answer(0)).toMatchObject({ error: { data: { source: 'mcp-sigv4-proxy' } } });
      expect(server.requests).toHaveLength(times);
    },
  );

  it.each([401, 403])(
    'a stateless call refused with %s returns the cause, the identity and the remedy',
    async (status) => {
      const { bin } = await startDual((_request, response) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end('{"message":"User is not authorized to perform: execute-api:Invoke"}');
      });
      bin.send(claiming('tools/call', { name: 'tool' }, 0));
      expect(await bin.answer(0)).toMatchObject({
        error: { data: { reason: 'auth-rejected', httpStatus: status } },
      });
    },
  );
});

describe('a subscription (subscriptions/listen)', () => {
  const FILTER = { toolsListChanged: true, resourceSubscriptions: ['file:///a'] };
  const META = 'io.modelcontextprotocol/subscriptionId';
  const tagged = (method: string, id: unknown, params: object = {}) => ({
    jsonrpc: '2.0',
    method,
    params: { ...params, _meta: { [META]: id } },
  });
  const ackOf = (id: unknown) =>
    tagged('notifications/subscriptions/acknowledged', id, { notifications: FILTER });
  const listen = (id: number | string) => claiming('subscriptions/listen', { notifications: FILTER }, id);

  it.each([0, '', 'listen:0'])(
    'the subscription %j is reopened after its stream ends, and list_changed is emitted for the gap',
    async (id) => {
      const streams: EventWriter[] = [];
      const { bin, server } = await startDual(({ rpc }, response) => {
        const events = new EventWriter(response);
        streams.push(events);
        events.send(ackOf(rpc.id));
      });
      bin.send(listen(id));
      await bin.next(({ method }) => method === 'notifications/subscriptions/acknowledged');
      streams[0]?.send(tagged('notifications/resources/updated', id, { uri: 'file:///a' }));
      await bin.next(({ method }) => method === 'notifications/resources/updated');
      streams[0]?.destroy();
      await server.until((requests) => requests.length === 2);
      await bin.next(({ method }) => method === 'notifications/resources/updated');
      streams[1]?.send({ jsonrpc: '2.0', id, result: { resultType: 'complete' } });
      streams[1]?.end();
      await bin.answer(id);
      expect(bin.messages).toEqual([
        ackOf(id),
        tagged('notifications/resources/updated', id, { uri: 'file:///a' }),
        tagged('notifications/tools/list_changed', id),
        tagged('notifications/resources/updated', id, { uri: 'file:///a' }),
        { jsonrpc: '2.0', id, result: { resultType: 'complete' } },
      ]);
      expect(bin.stderr).toBe('');
    },
  );

  it('a subscription returns an error if the server cannot reopen it', async () => {
    const { bin, server } = await startDual(({ rpc }, response) => {
      if (server.requests.length > 1) return void response.writeHead(404).end();
      const events = new EventWriter(response);
      events.send(ackOf(rpc.id));
      events.end();
    });
    bin.send(listen(0));
    expect(await bin.answer(0)).toMatchObject({
      error: { code: -31025, data: { reason: 'subscription-lost' } },
    });
    expect(server.requests).toHaveLength(2);
  });

  it('a subscription that its server cancels has ended and is not reopened', async () => {
    const { bin, server } = await startDual((request, response) => {
      if (request.rpc.method !== 'subscriptions/listen') return resultFor(request, response);
      const events = new EventWriter(response);
      events.send(ackOf(request.rpc.id));
      events.send({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: request.rpc.id },
      });
      events.end();
    });
    bin.send(listen('listen:0'));
    await bin.next(({ method }) => method === 'notifications/cancelled');
    bin.send(claiming('tools/list', {}, 'listen:0'));
    expect(await bin.answer('listen:0')).toMatchObject({ result: {} });
    expect(server.of('subscriptions/listen')).toHaveLength(1);
    expect(bin.messages).toHaveLength(3);
  });

  it('subscriptions take no connection from requests, whatever their number', async () => {
    const { bin, server } = await startDual(
      (request, response) => {
        if (request.rpc.method !== 'subscriptions/listen') return resultFor(request, response);
        new EventWriter(response).send(ackOf(request.rpc.id));
      },
      { args: ['--max-connections', '1', '--timeout', '5'] },
    );
    const ids = Array.from({ length: 30 }, (_, at) => `listen:${at}`);
    for (const id of ids) bin.send(listen(id));
    await server.until((requests) => requests.length === ids.length);
    bin.send(claiming('tools/call', { name: 'tool' }, 0));
    expect(await bin.answer(0)).toMatchObject({ result: {} });
    bin.closeStdin();
    await bin.exit();
    const refusals = bin.messages.filter(({ error }) => error !== undefined);
    expect(refusals).toHaveLength(ids.length);
  });
});
