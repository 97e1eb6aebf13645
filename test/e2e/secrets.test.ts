import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListener } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { type Behaviour, type RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';

const TOKEN = `session-token-${'Ab1/+='.repeat(8)}`;
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const ENV = { AWS_ACCESS_KEY_ID: 'AKIDX', AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: TOKEN };
const HEADER = 'team-password-42';
const QUERY = 'qwerty/secret 77';
const SECRETS = [TOKEN, SECRET, HEADER, QUERY, encodeURIComponent(QUERY)];

/** A server that repeats the request's headers and URL in its answer to tools/call, as `how` sets. */
const echoing = (how: string): Promise<ScriptedServer> =>
  ScriptedServer.start(
    new SessionServer({
      on: {
        'tools/call': (request, response, context) => {
          const { id } = request.rpc;
          const echo = {
            headers: request.headers,
            url: request.url,
            py: `{'x-amz-security-token': '${TOKEN}'}`,
          };
          const error = { code: -32000, message: `bad ${JSON.stringify(echo)}`, data: echo };
          if (how === 'an HTTP error that is JSON')
            sendJson(response, 500, { message: JSON.stringify(echo), ...echo });
          else if (how === 'an HTTP 400 that is JSON') sendJson(response, 400, echo);
          else if (how === 'a JSON-RPC error at HTTP 400')
            sendJson(response, 400, { jsonrpc: '2.0', id, error });
          else if (how === 'a JSON-RPC error at HTTP 200')
            sendJson(response, 200, { jsonrpc: '2.0', id, error });
          else if (how === 'a JSON-RPC error in a stream') {
            response.writeHead(200, { 'content-type': 'text/event-stream' });
            response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, error })}\n\n`);
          } else context.result({ isError: true, content: [{ type: 'text', text: JSON.stringify(echo) }] });
        },
      },
    }).behaviour,
  );

const HOWS = [
  'an HTTP error that is JSON',
  'an HTTP 400 that is JSON',
  'a JSON-RPC error at HTTP 400',
  'a JSON-RPC error at HTTP 200',
  'a JSON-RPC error in a stream',
  'a result with isError',
];

const CLAIM = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

const argsFor = (server: ScriptedServer): string[] => [
  `${server.url}?api_key=${encodeURIComponent(QUERY)}&q=1`,
  ...signingArgs,
  '--header',
  `x-team: ${HEADER}`,
  '--retries',
  '0',
];

describe('a server that repeats the request in its answer', () => {
  it.each(HOWS)('a repeated request gives no secret to a client on stdio: %s', async (how) => {
    const server = await echoing(how);
    const bin = BinDriver.start({ args: [...argsFor(server), '--log-level', 'trace'], env: ENV });
    await bin.initialize({}, 0);
    await bin.request('tools/call', { name: 'any', arguments: {} }, '');
    await bin.request('tools/call', { name: 'any', arguments: {}, _meta: CLAIM }, -1);
    const seen = server.requests.find(({ rpc }) => rpc.method === 'tools/call');
    expect(seen?.headers['x-amz-security-token']).toBe(TOKEN);
    expect(seen?.headers['x-team']).toBe(HEADER);
    const written = bin.lines.join('\n');
    expect(written).toContain('[redacted]');
    for (const secret of SECRETS) {
      expect(written).not.toContain(secret);
      expect(bin.stderr).not.toContain(secret);
    }
  });

  it.each(HOWS)('a repeated request gives no secret to a client of the listener: %s', async (how) => {
    const server = await echoing(how);
    const [endpoint = '', ...args] = argsFor(server);
    const { ask } = await startListener(endpoint, { args, env: ENV });
    const headers = await openSession(ask);
    const body = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'any', arguments: {} } };
    const { text } = await ask({ headers, body });
    expect(text.length).toBeGreaterThan(10);
    for (const secret of SECRETS) expect(text).not.toContain(secret);
  });

  const errorOf = (request: RecordedRequest): string => {
    const data = { headers: request.headers, url: request.url };
    return JSON.stringify({
      jsonrpc: '2.0',
      id: request.rpc.id,
      error: { code: -32000, message: 'bad', data },
    });
  };
  const json = { 'content-type': 'application/json' };
  /** Sends the text in two pieces, the first of which ends within the session token. */
  const inPieces = (response: ServerResponse, text: string): void => {
    const cut = text.indexOf(TOKEN) + 20;
    response.write(text.slice(0, cut));
    // The next turn of the server's loop is another piece for its reader.
    setTimeout(() => response.end(text.slice(cut)), 20);
  };

  it.each<[string, Behaviour]>([
    [
      'an error in two pieces',
      (request, response) => inPieces(response.writeHead(200, json), errorOf(request)),
    ],
    [
      'an event in two pieces',
      (request, response) =>
        inPieces(
          response.writeHead(200, { 'content-type': 'text/event-stream' }),
          `data: ${errorOf(request)}\n\n`,
        ),
    ],
    [
      'an error that is longer than the proxy holds',
      (request, response) => {
        const long = errorOf(request).replace('"bad"', JSON.stringify('bad '.repeat(30_000)));
        inPieces(response.writeHead(200, json), long);
      },
    ],
    [
      'a compressed error',
      (request, response) =>
        void response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(gzipSync(errorOf(request))),
    ],
    [
      'a web page',
      (request, response) =>
        void response.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${errorOf(request)}`),
    ],
    [
      'a response header',
      (request, response) =>
        void response
          .writeHead(200, { ...json, 'mcp-echo': String(request.headers['x-amz-security-token']) })
          .end(JSON.stringify({ jsonrpc: '2.0', id: request.rpc.id, result: { padding: 'x' } })),
    ],
  ])('a passing response of the listener gives no secret to its client: %s', async (_how, behaviour) => {
    const server = await ScriptedServer.start(behaviour);
    const [endpoint = '', ...args] = argsFor(server);
    const { ask } = await startListener(endpoint, { args, env: ENV });
    const body = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'any', arguments: {} } };
    const { text, headers } = await ask({ body });
    expect(server.requests[0]?.headers['x-amz-security-token']).toBe(TOKEN);
    expect(text.length).toBeGreaterThan(10);
    const given = text + JSON.stringify(headers);
    for (const secret of SECRETS) expect(given).not.toContain(secret);
    expect(given).not.toContain(TOKEN.slice(20));
    expect(given).not.toMatch(/Signature=[0-9a-f]/);
  });

  it('a listen token, also one of a file, reaches neither the client nor the log', async () => {
    const inFile = 'a-token-that-a-file-holds';
    const given = 'a-token-that-the-environment-holds';
    const server = await ScriptedServer.start((request, response) =>
      sendJson(response, 200, {
        jsonrpc: '2.0',
        id: request.rpc.id,
        error: { code: 1, message: request.text },
      }),
    );
    const file = join((await makeTempHome()).home, 'tokens');
    await writeFile(file, `file=${inFile}\n`);
    const { ask, bin } = await startListener(server.url, {
      args: ['--listen-token-file', file, '--log-level', 'trace'],
      env: { MCP_PROXY_LISTEN_TOKEN: given },
    });
    const params = { name: 'any', arguments: { tokens: [inFile, given] } };
    const { text } = await ask({
      headers: { authorization: `Bearer ${given}` },
      body: { jsonrpc: '2.0', id: '', method: 'tools/call', params },
    });
    await bin.stderrMatching(/"http\.response"/);
    for (const token of [inFile, given]) {
      expect(server.requests[0]?.text).toContain(token);
      expect(text).not.toContain(token);
      expect(bin.stderr).not.toContain(token);
    }
  });

  it('an error of the server without secrets passes with its text unchanged', async () => {
    const error =
      '{ "code":-32000.0, "message":"authorization: requests are signed; Basic authentication is off \\u00e9", "data":{"n":12345678901234567890} }';
    const server = await ScriptedServer.start(
      new SessionServer({
        on: {
          'tools/call': (request, response) => {
            response.writeHead(200, { 'content-type': 'application/json' });
            response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(request.rpc.id)},"error":${error}}`);
          },
        },
      }).behaviour,
    );
    const bin = BinDriver.start({ args: argsFor(server), env: ENV });
    await bin.initialize({}, 0);
    await bin.request('tools/call', { name: 'any', arguments: {} }, '');
    expect(bin.lines.at(-1)).toBe(`{"jsonrpc":"2.0","id":"","error":${error}}`);
  });

  it('a result of the server passes unchanged, whatever it repeats', async () => {
    const server = await ScriptedServer.start(new SessionServer().behaviour);
    const bin = BinDriver.start({ args: argsFor(server), env: ENV });
    await bin.initialize({}, 0);
    const answer = await bin.request('tools/call', { name: 'echo', arguments: { text: HEADER } }, 1);
    expect(JSON.stringify(answer)).toContain(HEADER);
  });
});

describe('a usage error', () => {
  it.each<[string, string[], Record<string, string>]>([
    ['of the endpoint', ['ftp://user:pass-w0rd@h.example/mcp?api_key=s3cr3t-k3y'], {}],
    ['of MCP_PROXY_ENDPOINT', [], { MCP_PROXY_ENDPOINT: 'http://h.example/mcp?token=s3cr3t-k3y&a=b' }],
    ['of an endpoint without its scheme', ['h.example/mcp?access_token=s3cr3t-k3y'], {}],
    ['of a second endpoint', ['https://h.example/mcp', 'https://i.example/mcp?sig=s3cr3t-k3y'], {}],
    ['of --proxy', ['--proxy', 'ftp://u:s3cr3t-k3y@h'], {}],
  ])('a usage error does not print a secret: %s', async (_what, args, env) => {
    const bin = BinDriver.start({ args, env });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toMatch(/settings:/);
    expect(bin.stderr).not.toMatch(/s3cr3t-k3y|pass-w0rd/);
  });
});

describe('the last line of a credential_process', () => {
  const saidWith = async (line: string, args = ''): Promise<string> => {
    const home = await makeTempHome();
    const command = await home.script(
      'helper.mjs',
      `console.error(${JSON.stringify(line)}); process.exit(1)`,
    );
    await home.config(`[default]\ncredential_process = ${command}${args}\n`);
    const server = await ScriptedServer.start(new SessionServer().behaviour);
    const bin = BinDriver.start({ args: [server.url, ...signingArgs], env: { HOME: home.home } });
    const { error } = (await bin.initialize({}, 0)) as { error: { message: string } };
    return error.message;
  };

  it.each([
    ['a session token', `got SessionToken=${TOKEN}`, TOKEN],
    ['a secret key', `aws_secret_access_key = ${SECRET}`, SECRET],
    ['JSON', JSON.stringify({ SecretAccessKey: SECRET }), SECRET],
    ['a password', 'login with password: hunter2-hunter2 failed', 'hunter2-hunter2'],
    ['a bare token', 'refused 0123456789abcdef0123456789abcdef0123', '0123456789abcdef0123456789abcdef0123'],
  ])('the last line of a credential_process is shown without %s', async (_what, line, secret) => {
    const message = await saidWith(line);
    expect(message).toContain('credential_process exited with code 1: ');
    expect(message).not.toContain(secret);
  });

  it('the last line of a credential_process keeps a sentence whose words are also in the command', async () => {
    expect(await saidWith('the login of production has expired', ' login production has expired')).toContain(
      'credential_process exited with code 1: the login of production has expired',
    );
  });
});

describe('cookies of the endpoint and session ids that a server echoes', () => {
  const COOKIE = 'cookie-of-a-load-balancer-1234';
  const FORMS: readonly (readonly [string, (request: RecordedRequest) => object])[] = [
    ['a JSON-RPC error', (q) => ({ error: { code: -32000, message: 'no', data: q.rawHeaders } })],
    [
      'a result with isError',
      (q) => ({ result: { isError: true, content: [{ type: 'text', text: JSON.stringify(q.rawHeaders) }] } }),
    ],
  ];
  const behaving = (form: (request: RecordedRequest) => object): SessionServer =>
    new SessionServer({
      on: {
        initialize: (_request, response, { fallback }) => {
          response.setHeader('set-cookie', `AWSALB=${COOKIE}; Path=/`);
          return fallback();
        },
        'tools/call': (q, response) => sendJson(response, 200, { jsonrpc: '2.0', id: q.rpc.id, ...form(q) }),
      },
    });

  it.each(FORMS)(
    'cookies and the session id reach neither the client nor the log: %s',
    async (_how, form) => {
      const server = await ScriptedServer.start(behaving(form).behaviour);
      const bin = BinDriver.start({
        args: [server.url, ...signingArgs, '--log-level', 'trace'],
        env: signingEnv,
      });
      await bin.initialize({}, 'handshake');
      const got = JSON.stringify(await bin.request('tools/call', { name: 'x' }, 0));
      const { cookie, 'mcp-session-id': session } = server.of('tools/call')[0]?.headers ?? {};
      expect(cookie).toContain(COOKIE);
      expect(got).toContain('[redacted]');
      for (const secret of [COOKIE, String(session)]) {
        expect(got).not.toContain(secret);
        expect(bin.stderr).not.toContain(secret);
      }
    },
  );

  it.each(FORMS)('cookies do not reach a client of the listener: %s', async (_how, form) => {
    const server = await ScriptedServer.start(behaving(form).behaviour);
    const { ask, bin } = await startListener(server.url, { args: ['--log-level', 'trace'] });
    const headers = await openSession(ask);
    const { text } = await ask({
      headers,
      body: { jsonrpc: '2.0', id: '', method: 'tools/call', params: { name: 'x' } },
    });
    expect(server.of('tools/call')[0]?.headers.cookie).toContain(COOKIE);
    expect(text).toContain('AWSALB');
    expect(text + bin.stderr).not.toContain(COOKIE);
  });
});
