import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { eventsOf, open, send, textOf } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { signingArgs } from '../support/signing.ts';

const call = (id: unknown = 0) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'slow' } });
const health = (url: string, path: string) => send(new URL(path, url).href, { method: 'GET' });

describe('SIGTERM to the listener', () => {
  it('SIGTERM lets calls in flight finish, refuses new ones, ends streams, and ends the process', async () => {
    const gate = makeGate();
    const { url, ask, bin, server } = await startListening({
      behaviour: async (request, response) => {
        if (request.method === 'GET') return new EventWriter(response).raw(': open\n\n');
        await gate.opened;
        sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
      },
    });
    expect((await health(url, '/healthz')).status).toBe(200);
    expect((await health(url, '/readyz')).status).toBe(200);
    const { response: stream } = await open(url, { method: 'GET', headers: { accept: 'text/event-stream' } });
    const cut = textOf(stream);
    cut.catch(() => undefined);
    const flying = ask({ body: call(0) });
    await server.until((requests) => requests.length === 2);
    bin.kill('SIGTERM');
    await expect(cut).rejects.toThrow('aborted');
    expect((await health(url, '/healthz')).status).toBe(200);
    expect((await health(url, '/readyz')).status).toBe(503);
    const late = await ask({ body: call('') });
    expect([late.status, late.headers['retry-after'], late.headers.connection]).toEqual([503, '1', 'close']);
    expect(late.json).toMatchObject({
      id: '',
      error: { data: { reason: 'shutting-down', mayHaveRun: false } },
    });
    gate.open();
    expect((await flying).status).toBe(200);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.requests.length).toBe(2);
  });

  it('SIGTERM ends a call whose stream has begun with an error event that states the reason', async () => {
    const { url, bin, server } = await startListening({
      args: ['--drain-timeout', '0.2'],
      behaviour: (_request, response) =>
        new EventWriter(response).send({ jsonrpc: '2.0', method: 'notifications/message', params: {} }),
    });
    const { response } = await open(url, { body: call('') });
    const text = textOf(response);
    await server.until((requests) => requests.length === 1);
    bin.kill('SIGTERM');
    expect(eventsOf(await text)).toMatchObject([
      { method: 'notifications/message' },
      { id: '', error: { data: { reason: 'shutting-down', mayHaveRun: true } } },
    ]);
  });

  it('SIGTERM gives calls in flight --drain-timeout', async () => {
    const { ask, bin, server } = await startListening({
      args: ['--drain-timeout', '0.2'],
      behaviour: () => undefined,
    });
    const flying = ask({ body: call(-1) });
    await server.until((requests) => requests.length === 1);
    bin.kill('SIGTERM');
    const answer = await flying;
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject({
      id: -1,
      error: { data: { reason: 'shutting-down', mayHaveRun: true } },
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('SIGTERM ends an idle listener at once, and a second SIGTERM ends a busy one at once', async () => {
    const idle = await startListening();
    idle.bin.kill('SIGTERM');
    expect(await idle.bin.exit()).toEqual({ code: 0, signal: null });
    const busy = await startListening({ behaviour: () => undefined });
    const flying = busy.ask({ body: call() });
    flying.catch(() => undefined);
    await busy.server.until((requests) => requests.length === 1);
    busy.bin.kill('SIGTERM');
    await busy.bin.stderrMatching(/proxy\.draining/);
    busy.bin.kill('SIGTERM');
    expect(await busy.bin.exit()).toEqual({ code: 1, signal: null });
    await expect(flying).rejects.toThrow();
  });
});

describe.skipIf(process.platform === 'win32')('SIGHUP to the listener', () => {
  it('SIGHUP to the listener logs that clients own their sessions, and has no other effect', async () => {
    const { ask, bin } = await startListening();
    const headers = await openSession(ask);
    bin.kill('SIGHUP');
    await bin.stderrMatching(/session\.not-ours/);
    expect((await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'ping' } })).status).toBe(200);
  });
});

describe('a listener address that is in use', () => {
  it('a listener address that is in use prints one line and ends the process with 1', async () => {
    const other = createServer();
    const port = await listenOnLoopback(other);
    afterThisTest(() => void other.close());
    const bin = BinDriver.start({
      args: ['http://127.0.0.1:9/mcp', ...signingArgs, '--listen', `127.0.0.1:${port}`],
    });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toBe(
      `mcp-sigv4-proxy: cannot listen on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}. Name another address with --listen.\n`,
    );
  });
});

it('conflicting listener settings end the process with 2, and stdout stays empty', async () => {
  const bin = BinDriver.start({
    args: ['http://127.0.0.1:9/mcp', ...signingArgs, '--listen', '0.0.0.0:0', '--max-sessions', '2'],
  });
  expect(await bin.exit()).toEqual({ code: 2, signal: null });
  expect(bin.stderr).toContain('--listen-token');
  expect(bin.stderr).toContain('--max-sessions has a meaning on stdio only');
  expect(bin.lines).toEqual([]);
});
