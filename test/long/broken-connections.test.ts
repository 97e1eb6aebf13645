import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { Connections, listenOnLoopback, shut } from '../support/connections.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import type { Handler } from '../support/mcp-behaviours.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';

const lost = (host: string, cause: unknown) => ({
  code: -31002,
  message: expect.stringMatching(
    new RegExp(
      `^The connection to ${host} broke before the answer was complete: ${cause}\\. The call may have run; check before you repeat it\\.$`,
    ),
  ),
  data: { source: 'mcp-sigv4-proxy', reason: 'connection-lost', mayHaveRun: true },
});

const dying: readonly (readonly [string, (response: ServerResponse) => void, string])[] = [
  ['before the headers', (response) => void response.destroy(), 'other side closed'],
  [
    'in the middle of the headers',
    (response) => void response.socket?.end('HTTP/1.1 200 OK\r\ncontent-ty'),
    'other side closed',
  ],
  [
    'in the middle of a JSON body',
    (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{"jsonrpc":"2.0",', () => response.destroy());
    },
    'other side closed',
  ],
  [
    'in the middle of a stream',
    (response) => {
      const events = new EventWriter(response);
      events.raw('data: {"jsonrpc":"2.0","method":"notifications/vendor"}\n\ndata: {"json');
      setImmediate(() => events.destroy());
    },
    'other side closed',
  ],
  [
    'by ending the stream without the answer',
    (response) => new EventWriter(response).end(),
    'the stream ended without the answer',
  ],
  ['with what is no HTTP', (response) => void response.socket?.end('hello\r\n\r\n'), '.*HTTP.*'],
];

describe('a server that closes connections', () => {
  it.each(dying)(
    'a connection that breaks %s returns an error, the call is not sent again, and the next call works',
    async (_when, die, cause) => {
      const { server, bin } = await startInitialized({
        on: { 'tools/call': (_request, response) => die(response) },
      });
      for (const id of [0, '']) {
        expect(await bin.request('tools/call', { name: 'x' }, id)).toEqual({
          jsonrpc: '2.0',
          id,
          error: lost(`127.0.0.1:${server.port}`, cause),
        });
      }
      expect(server.of('tools/call')).toHaveLength(2);
      expect(await bin.request('tools/list', {}, 'after')).toMatchObject({ result: {} });
      expect(bin.stderr).toBe('');
    },
  );

  it('a connection that breaks after the response has passed has no effect', async () => {
    const { bin } = await startInitialized({
      on: {
        'tools/call': (request, response) => {
          const events = new EventWriter(response);
          events.send({ jsonrpc: '2.0', id: request.rpc.id, result: {} });
          setImmediate(() => events.destroy());
        },
      },
    });
    for (const id of [0, '', -1])
      expect(await bin.request('tools/call', {}, id)).toMatchObject({ result: {} });
    expect(bin.messages).toHaveLength(4);
    expect(bin.stderr).toBe('');
  });

  it('a server that stays down returns an error for each request at once, with advice', async () => {
    const { server, bin } = await startInitialized({ args: ['--retries', '0'] });
    await server.close();
    for (const id of [0, '']) {
      const answer = await bin.request('tools/call', { name: 'x' }, id);
      expect(answer).toMatchObject({
        id,
        error: {
          code: -31001,
          message: `Cannot connect to 127.0.0.1:${server.port}: connect ECONNREFUSED 127.0.0.1:${server.port}. Nothing listens there: check the host and port of the endpoint URL.`,
          data: { reason: 'connect-failed', mayHaveRun: false },
        },
      });
    }
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });
});

describe('a silent server', () => {
  const never: Record<string, Handler> = { 'tools/call': () => undefined, 'tools/list': () => undefined };

  it.each([
    ['tools/call', '--tool-timeout', '--timeout'],
    ['tools/list', '--timeout', '--tool-timeout'],
  ])(
    'a silent server is given up for %s after %s, and receives the cancellation',
    async (method, flag, other) => {
      const { server, bin } = await startInitialized({ args: [flag, '1', other, '0'], on: never });
      expect(await bin.request(method, { name: 'x' }, 0)).toEqual({
        jsonrpc: '2.0',
        id: 0,
        error: {
          code: -31008,
          message: expect.stringMatching(
            new RegExp(
              `^No answer to ${method} within 1 s \\(${flag}\\)\\. A cancellation was sent to the server; the request may have run\\. .*raise ${flag}; 0 = no limit\\. 127\\.0\\.0\\.1:\\d+ took the request and sent no response\\.$`,
            ),
          ),
          data: {
            source: 'mcp-sigv4-proxy',
            reason: 'timeout',
            mayHaveRun: true,
            limit: flag.slice(2),
            seconds: 1,
          },
        },
      });
      await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/cancelled'));
      expect(server.of('notifications/cancelled')[0]?.rpc.params).toEqual({
        requestId: 0,
        reason: 'timed out after 1 s',
      });
      expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
      expect(bin.stderr).toBe('');
    },
  );

  it('a server that is silent from the start returns an error for initialize, and nothing is cancelled', async () => {
    const { server, bin } = await startInitialized({
      args: ['--timeout', '1'],
      on: {
        initialize: (request, _response, { fallback }) =>
          request.rpc.id === 'again' ? undefined : fallback(),
      },
    });
    expect(await bin.request('initialize', {}, 'again')).toMatchObject({
      error: { code: -31008, data: { reason: 'timeout', limit: 'timeout', seconds: 1 } },
    });
    await bin.request('ping');
    expect(server.of('notifications/cancelled')).toEqual([]);
  });

  it('a silent event stream is given up after --read-timeout and cancelled; comments count as activity', async () => {
    const gate = makeGate();
    const { server, bin } = await startInitialized({
      args: ['--read-timeout', '1'],
      on: {
        'tools/call': (_request, response) => {
          const events = new EventWriter(response);
          // Together longer than the limit; each silence is much shorter.
          let comments = 0;
          const timer = setInterval(() => {
            events.raw(': still here\n\n');
            if (++comments < 12) return;
            clearInterval(timer);
            gate.open();
          }, 100);
        },
      },
    });
    const call = bin.request('tools/call', { name: 'x' }, 0);
    await gate.opened;
    expect(bin.messages).toHaveLength(1);
    expect(await call).toMatchObject({
      error: {
        code: -31008,
        message:
          'The server sent nothing for 1 s in the middle of an answer (--read-timeout). The call may have run. If the server needs longer between two messages, raise --read-timeout; 0 = no limit.',
        data: { reason: 'timeout', mayHaveRun: true, limit: 'read-timeout', seconds: 1 },
      },
    });
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'notifications/cancelled'));
    expect(server.of('notifications/cancelled')[0]?.rpc.params).toMatchObject({ requestId: 0 });
  });

  it('many silent event streams are each cancelled at the server, and stderr stays empty', async () => {
    const { server, bin } = await startInitialized({
      args: ['--read-timeout', '0.2', '--max-connections', '16'],
      on: { 'tools/call': (_request, response) => new EventWriter(response).raw(': begun\n\n') },
    });
    const calls = Array.from({ length: 12 }, (_, at) => bin.request('tools/call', { name: 'x' }, at - 1));
    for (const answer of await Promise.all(calls)) expect(answer).toHaveProperty('error.code', -31008);
    await server.until(() => server.of('notifications/cancelled').length === 12);
    bin.closeStdin();
    await bin.exit();
    expect(bin.stderr).toBe('');
  });

  it('a silent connection attempt is given up after --connect-timeout', async () => {
    // A full backlog accepts no more connections; a TLS handshake that stalls has the same effect.
    const mute = createServer();
    const connections = new Connections(mute);
    const port = await listenOnLoopback(mute);
    const bin = BinDriver.start({
      args: [`https://127.0.0.1:${port}/mcp`, ...signingArgs, '--connect-timeout', '0.3', '--retries', '0'],
      env: { ...signingEnv },
    });
    try {
      expect(await bin.request('initialize')).toMatchObject({
        error: {
          code: -31001,
          message: expect.stringContaining('--connect-timeout'),
          data: { reason: 'connect-failed', mayHaveRun: false },
        },
      });
    } finally {
      await shut(mute, connections);
    }
  });
});

describe('a compressed response', () => {
  const text = '{"jsonrpc":"2.0","id":0,"result":{"text":"ä"}}';
  const packers = { gzip: gzipSync, 'x-gzip': gzipSync, deflate: deflateSync, br: brotliCompressSync };

  it.each(Object.keys(packers) as (keyof typeof packers)[])(
    'a response compressed with %s is decoded, as JSON and as an event stream',
    async (encoding) => {
      let streaming = false;
      const { bin } = await startInitialized({
        on: {
          'tools/call': (_request, response) => {
            const type = streaming ? 'text/event-stream' : 'application/json';
            response.writeHead(200, { 'content-type': type, 'content-encoding': encoding });
            response.end(packers[encoding](streaming ? `data: ${text}\n\n` : text));
          },
        },
      });
      await bin.request('tools/call', {}, 0);
      expect(bin.lines.at(-1)).toBe(text);
      streaming = true;
      bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call' });
      await bin.request('ping', {}, 'after');
      await bin.next(({ id }) => id === 0);
      await bin.next(({ id }) => id === 0);
      expect(bin.lines.filter((line) => line === text)).toHaveLength(2);
    },
  );

  it.each([
    ['in an encoding that nobody knows', 'zstd', Buffer.from(text), /compressed with "zstd"/],
    ['that is broken', 'gzip', Buffer.from(text), /HTTP 200 with a broken gzip body/],
    ['that breaks off', 'gzip', gzipSync(text).subarray(0, 20), /HTTP 200 with a broken gzip body/],
  ])('a compressed response %s returns an error', async (_what, encoding, body, message) => {
    const { bin } = await startInitialized({
      on: {
        'tools/call': (_request, response) => {
          response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding });
          response.end(body);
        },
      },
    });
    expect(await bin.request('tools/call', {}, 0)).toMatchObject({
      error: {
        code: -31004,
        message: expect.stringMatching(message),
        data: { reason: 'unusable-answer', mayHaveRun: true, httpStatus: 200 },
      },
    });
    expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
  });
});
