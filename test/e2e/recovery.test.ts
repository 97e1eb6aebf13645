import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import {
  errorOf,
  type Handler,
  SessionServer,
  type SessionServerOptions,
} from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

async function start(options: SessionServerOptions = {}, ...args: string[]) {
  const sessions = new SessionServer(options);
  const server = await ScriptedServer.start(sessions.behaviour, { verify: signingVerify });
  const proxy = BinDriver.start({ args: [server.url, ...signingArgs, ...args], env: signingEnv });
  const posted = (method: string): number =>
    server.requests.filter(({ rpc }) => rpc.method === method).length;
  const echo = (text: string, id?: number | string) =>
    proxy.request('tools/call', { name: 'echo', arguments: { text } }, id);
  return { sessions, server, proxy, posted, echo };
}

describe('a session that the server has lost', () => {
  it('a lost session is replaced once for 16 calls that fail together, and every call is answered', async () => {
    const { sessions, proxy, posted, echo } = await start({}, '--max-connections', '16');
    await proxy.initialize();
    sessions.forgetSessions();
    const answers = await Promise.all(Array.from({ length: 16 }, (_, at) => echo(String(at))));
    for (const answer of answers) expect(answer).toHaveProperty('result.content');
    expect(posted('initialize')).toBe(2);
    expect(posted('notifications/initialized')).toBe(2);
    expect(sessions.sessions.size).toBe(1);
  });

  it("a lost session is replaced with the params of the client's initialize, without the lost session id", async () => {
    const { sessions, server, proxy, echo } = await start();
    await proxy.initialize();
    sessions.forgetSessions();
    expect(await echo('again', '')).toHaveProperty('result');
    const [first, second] = server.requests.filter(({ rpc }) => rpc.method === 'initialize');
    expect(second?.rpc.params).toEqual(first?.rpc.params);
    expect(second?.headers['mcp-session-id']).toBeUndefined();
    expect(proxy.messages.filter(({ id }) => id !== undefined)).toHaveLength(2);
  });

  it.each<[string, Handler]>([
    ['404', (_request, response) => sendJson(response, 404, errorOf(null, -32001, 'Session not found'))],
    ['404 without a body', (_request, response) => void response.writeHead(404).end()],
    ['-30001 with 200', (_request, _response, context) => context.error(-30001, 'SessionId was not found')],
    ['-30001 with 403', (_request, response) => sendJson(response, 403, errorOf(null, -30001, 'expired'))],
    [
      "the reference server's 400",
      (_request, response) =>
        sendJson(response, 400, errorOf(null, -32000, 'Bad Request: No valid session ID provided')),
    ],
    [
      '-30001 in an event stream',
      (request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`data: ${JSON.stringify(errorOf(request.rpc.id ?? null, -30001, 'expired'))}\n\n`);
      },
    ],
  ])('a session loss is recognized by %s', async (_what, refuse) => {
    let refused = false;
    const { proxy, posted, echo } = await start({
      on: {
        'tools/call': (request, response, context) => {
          if (refused) return context.fallback();
          refused = true;
          return refuse(request, response, context);
        },
      },
    });
    await proxy.initialize();
    expect(await echo('once more', -1)).toHaveProperty('result.content');
    expect(posted('initialize')).toBe(2);
    expect(posted('tools/call')).toBe(2);
  });

  it('an expired credential does not count as a session loss', async () => {
    const { proxy, posted, echo } = await start({
      on: {
        'tools/call': (request, response) =>
          sendJson(
            response,
            400,
            errorOf(request.rpc.id ?? null, -32001, 'Your AWS session token has expired.'),
          ),
      },
    });
    await proxy.initialize();
    expect((await echo('x')).error).toMatchObject({ code: -32001 });
    expect(posted('initialize')).toBe(1);
  });

  it('a replacement session receives the log level and the subscriptions again', async () => {
    const ok: Handler = (_request, _response, context) => context.result({});
    const on = { 'logging/setLevel': ok, 'resources/subscribe': ok, 'resources/unsubscribe': ok };
    const { sessions, server, proxy, echo } = await start({ on });
    await proxy.initialize();
    await proxy.request('logging/setLevel', { level: 'warning' });
    await proxy.request('resources/subscribe', { uri: 'a://kept' });
    await proxy.request('resources/subscribe', { uri: 'a://left' });
    await proxy.request('resources/unsubscribe', { uri: 'a://left' });
    const before = server.requests.length;
    sessions.forgetSessions();
    await echo('x');
    const again = server.requests.slice(before).map(({ rpc }) => [rpc.method, rpc.params]);
    expect(again).toContainEqual(['logging/setLevel', { level: 'warning' }]);
    expect(again).toContainEqual(['resources/subscribe', { uri: 'a://kept' }]);
    expect(again).not.toContainEqual(['resources/subscribe', { uri: 'a://left' }]);
  });

  it('a replacement session receives any number of subscriptions, and stderr stays empty', async () => {
    const ok: Handler = (_request, _response, context) => context.result({});
    const { sessions, server, proxy, echo } = await start({ on: { 'resources/subscribe': ok } });
    await proxy.initialize();
    const uris = Array.from({ length: 12 }, (_, at) => `a://${at}`);
    for (const uri of uris) await proxy.request('resources/subscribe', { uri });
    sessions.forgetSessions();
    expect(await echo('x', '')).toHaveProperty('result');
    const received = server.of('resources/subscribe').slice(uris.length);
    // They use several connections, so their order is open.
    expect(received.map(({ rpc }) => rpc.params?.uri).sort()).toEqual([...uris].sort());
    proxy.closeStdin();
    await proxy.exit();
    expect(proxy.stderr).toBe('');
  });

  it('a replacement session that declares other capabilities makes the proxy emit list_changed', async () => {
    let version = 1;
    const { sessions, proxy, echo } = await start({
      on: {
        initialize: (_request, response, context) => {
          response.setHeader('mcp-session-id', `s-${version}`);
          sessions.sessions.set(`s-${version}`, {
            id: `s-${version}`,
            initializeParams: {},
            initialized: false,
            streams: new Set(),
          });
          return context.result({
            protocolVersion: '2025-11-25',
            capabilities: { tools: { listChanged: true }, prompts: {} },
            serverInfo: { name: 'x', version: String(version++) },
          });
        },
      },
    });
    await proxy.initialize();
    sessions.forgetSessions();
    await echo('x');
    await proxy.next(({ method }) => method === 'notifications/tools/list_changed');
    expect(proxy.messages.filter(({ method }) => method === 'notifications/prompts/list_changed')).toEqual(
      [],
    );
  });

  it.each<[string, Handler, RegExp]>([
    [
      'an error',
      (_request, _response, context) => context.error(-32603, 'out of order'),
      /refused initialize: out of order/,
    ],
    [
      'another revision',
      (_request, _response, context) =>
        context.result({
          protocolVersion: '2024-11-05',
          capabilities: {},
          serverInfo: { name: 'x', version: '1' },
        }),
      /now speaks revision 2024-11-05, not 2025-11-25/,
    ],
  ])(
    'every waiting call gets one clear error if initialize of the replacement session returns %s',
    async (_what, refuse, words) => {
      let initialized = 0;
      const { sessions, proxy, echo } = await start({
        on: {
          initialize: (request, response, context) =>
            initialized++ === 0 ? context.fallback() : refuse(request, response, context),
        },
      });
      await proxy.initialize();
      sessions.forgetSessions();
      for (const { error } of await Promise.all([echo('a', ''), echo('b', -1)])) {
        expect(error).toMatchObject({ code: -31005, data: { reason: 'session-lost', mayHaveRun: false } });
        expect(error).toHaveProperty('message', expect.stringMatching(words));
      }
      expect(proxy.messages.filter(({ id }) => id === '' || id === -1)).toHaveLength(2);
    },
  );

  it('a lost session is replaced while a call holds the only connection, and the new one receives the log level', async () => {
    const gate = makeGate();
    const ok: Handler = (_request, _response, context) => context.result({});
    const { sessions, server, proxy, echo } = await start(
      {
        on: {
          'logging/setLevel': ok,
          'tools/call': async (_request, _response, context) => {
            await gate.opened;
            return context.fallback();
          },
        },
      },
      ...['--max-connections', '1'],
    );
    await proxy.initialize();
    await proxy.request('logging/setLevel', { level: 'debug' });
    const long = echo('long', '');
    await server.until(() => server.of('tools/call').length === 1);
    // The standalone stream reconnects and discovers the loss.
    sessions.forgetSessions();
    await server.until(() => server.of('logging/setLevel').length === 2);
    expect(server.of('initialize')).toHaveLength(2);
    expect(proxy.messages.some(({ id }) => id === '')).toBe(false);
    gate.open();
    expect(await long).toHaveProperty('result');
  });

  it.each<[string, string[], Handler, object, RegExp]>([
    [
      'is throttled',
      [],
      (_request, response) => void response.writeHead(429, { 'retry-after': '30' }).end(),
      { code: -31005, data: { reason: 'session-lost', httpStatus: 429, retryAfterMs: 30_000 } },
      /could not be opened: HTTP 429 from 127\.0\.0\.1:\d+\. This call did not run\./,
    ],
    [
      'fails',
      ['--retries', '1', '--retry-base-delay', '0', '--breaker-threshold', '50'],
      (_request, response) => void response.writeHead(500).end(),
      { code: -31005, data: { reason: 'session-lost', httpStatus: 500, attempts: 2 } },
      /could not be opened: HTTP 500 from 127\.0\.0\.1:\d+\. It was tried 2 times\. This call did not run\./,
    ],
    [
      'is left alone by the breaker',
      ['--retries', '0', '--breaker-threshold', '1', '--breaker-reset', '300'],
      (_request, response) => void response.writeHead(503).end(),
      { code: -31014, data: { reason: 'circuit-open', breaker: 'open', retryAfterMs: expect.any(Number) } },
      /no attempt is made for another [\d.]+ s .* The last failure: HTTP 503 from 127\.0\.0\.1:\d+\. This call did not run\./,
    ],
  ])(
    'if the server of a lost session %s, the error states the retry time and no wrong cause',
    async (_what, args, refuse, error, words) => {
      let initialized = 0;
      const { sessions, proxy, echo } = await start(
        {
          on: {
            initialize: (request, response, context) =>
              initialized++ === 0 ? context.fallback() : refuse(request, response, context),
          },
        },
        ...args,
      );
      await proxy.initialize();
      sessions.forgetSessions();
      await echo('the first may be what opens the breaker', 'first');
      const answer = await echo('x', '');
      expect(answer.error).toMatchObject(error);
      expect(answer).toHaveProperty('error.message', expect.stringMatching(words));
      expect(answer).toHaveProperty('error.message', expect.not.stringContaining('may have run'));
      expect(answer).toHaveProperty('error.data.mayHaveRun', false);
    },
  );

  it('a call waits no longer than its own time limit for a replacement session if the server stays silent', async () => {
    let initialized = 0;
    const { sessions, server, proxy, posted, echo } = await start(
      {
        on: {
          initialize: (_request, _response, context) =>
            initialized++ === 0 ? context.fallback() : undefined,
        },
      },
      ...['--tool-timeout', '1'],
    );
    await proxy.initialize();
    await server.until((requests) => requests.some(({ method }) => method === 'GET'));
    sessions.forgetSessions();
    for (const { error } of await Promise.all([echo('a', ''), echo('b', -1), echo('c', 0.5)])) {
      expect(error).toMatchObject({ code: -31008, data: { reason: 'timeout', mayHaveRun: false } });
      expect(error).toHaveProperty('message', expect.stringContaining('It did not run'));
    }
    expect(posted('initialize')).toBe(2);
    expect(posted('notifications/cancelled')).toBe(0);
  });
});

describe('a replacement session that is being opened', () => {
  /** A server whose second initialize waits for the test. */
  async function reopening() {
    let initialized = 0;
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const started = await start({
      on: {
        initialize: async (_request, _response, context) => {
          if (++initialized === 2) await held;
          return context.fallback();
        },
      },
    });
    await started.proxy.initialize();
    await started.server.until((requests) => requests.some(({ method }) => method === 'GET'));
    started.sessions.forgetSessions();
    const lost = started.echo('lost', 'lost');
    await started.server.until(() => initialized === 2);
    return { ...started, go, lost };
  }

  it('a replacement session that is being opened gives way to one that the client initializes itself', async () => {
    const { sessions, server, proxy, echo, go, lost } = await reopening();
    await proxy.initialize({}, 'again');
    const own = [...sessions.sessions.keys()][0];
    go();
    expect(await lost).toHaveProperty('id', 'lost');
    expect(await echo('x', -1)).toHaveProperty('result');
    const last = server.requests.findLast(({ rpc }) => rpc.method === 'tools/call');
    expect(last?.headers['mcp-session-id']).toBe(own);
  });

  it('a replacement session that is being opened is deleted if the client leaves meanwhile', async () => {
    const { sessions, proxy, go } = await reopening();
    proxy.closeStdin();
    go();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
    expect(sessions.sessions.size).toBe(0);
  });
});

describe('a response stream that breaks before its response', () => {
  const polled = (last: string[]): SessionServerOptions => ({
    on: {
      'tools/call': (request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        // An event with an id and a retry time only, then a clean end.
        response.end(`id: e-1\nretry: 10\ndata:\n\n`);
        last.push(`call ${JSON.stringify(request.rpc.id)}`);
      },
      GET: (request, response, context) => {
        const after = request.headers['last-event-id'];
        if (after === undefined) return context.fallback();
        last.push(`resume ${after}`);
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        if (after === 'e-1')
          response.end('id: e-2\ndata: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
        else response.end('id: e-3\ndata: {"jsonrpc":"2.0","id":"","result":{"content":[]}}\n\n');
      },
    },
  });

  it('a broken response stream is resumed by Last-Event-ID until the response comes; the call is not posted again', async () => {
    const log: string[] = [];
    const { proxy, echo } = await start(polled(log));
    await proxy.initialize();
    expect(await echo('slow', '')).toEqual({ jsonrpc: '2.0', id: '', result: { content: [] } });
    expect(log).toEqual(['call ""', 'resume e-1', 'resume e-2']);
    expect(proxy.messages.filter(({ method }) => method === 'notifications/message')).toHaveLength(1);
  });
});
