import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { eventsOf, send } from '../support/http-client.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { errorOf } from '../support/mcp-behaviours.ts';
import { type Behaviour, ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';

const LIMIT = ['--initialize-timeout', '0.6'];
const initialize = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } },
};
const discover = {
  jsonrpc: '2.0',
  id: 0,
  method: 'server/discover',
  params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
};

/** Accepts connections and sends nothing: a TLS handshake with it does not end. */
async function silentPort(): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
}

const serve = async (behaviour: Behaviour): Promise<string> => (await ScriptedServer.start(behaviour)).url;
const silent: Behaviour = () => undefined;

interface Delay {
  readonly endpoint: () => Promise<string>;
  readonly args?: readonly string[];
  readonly bin?: Partial<BinOptions>;
  readonly says: RegExp;
}

const DELAYS: Readonly<Record<string, Delay>> = {
  'a server that never answers': {
    endpoint: () => serve(silent),
    says: /127\.0\.0\.1:\d+ took the request and sent no response\./,
  },
  'a stream that never brings the answer': {
    endpoint: () => serve((_request, response) => void new EventWriter(response)),
    says: /began its response and did not end it\./,
  },
  'a TLS handshake that never ends': {
    endpoint: async () => `https://${await silentPort()}/mcp`,
    says: /No connection to 127\.0\.0\.1:\d+ was open yet\./,
  },
  'a credential_process that never ends': {
    endpoint: () => serve(silent),
    args: ['--profile', 'dev'],
    bin: {
      env: {},
      files: { '.aws/config': '[profile dev]\ncredential_process = sleep 60\n' },
    },
    says: /did not run: the credentials of profile 'dev' were not there by then; aws sts get-caller-identity --profile dev/,
  },
  'a server that is overloaded, through its repeats': {
    endpoint: () => serve((_request, response) => void response.writeHead(503).end('come back later')),
    says: /HTTP 503 from .*come back later/,
  },
  'a server that throttles': {
    endpoint: () =>
      serve((request, response) =>
        sendJson(response, 429, errorOf(request.rpc.id ?? null, -32004, 'Too many requests')),
      ),
    says: /Too many requests/,
  },
  'a first attempt that fails and a second that hangs': {
    endpoint: () => {
      let asked = 0;
      return serve((_request, response) => {
        if (asked++ === 0) response.writeHead(503).end('come back later');
      });
    },
    says: /sent no response\. An earlier attempt failed: HTTP 503 from .*come back later/,
  },
};

describe.each(Object.entries(DELAYS))(
  'initialize with %s',
  (_name, { endpoint, args = [], bin: options, says }) => {
    const start = async (more: readonly string[] = []): Promise<BinDriver> =>
      BinDriver.start({
        args: [await endpoint(), ...signingArgs, ...LIMIT, ...args, ...more],
        env: signingEnv,
        ...options,
      });
    const messageOf = (answer: unknown): string => (answer as { error: { message: string } }).error.message;

    it.each([
      ['initialize', initialize],
      ['server/discover', discover],
    ])(
      'a stdio client does not wait beyond the limit for %s, and the error names the cause',
      async (_method, message) => {
        const bin = await start();
        bin.send(message);
        const answer = await bin.answer(0);
        expect(messageOf(answer)).toMatch(says);
      },
    );

    it('a listener client does not wait beyond --initialize-timeout', async () => {
      const bin = await start(['--listen', '127.0.0.1:0', '--stdio', '--log-level', 'info']);
      await bin.stderrMatching(/listener\.opened/);
      const [url = ''] = /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(bin.stderr) ?? [];
      const answer = await send(url, { body: initialize });
      const [event] = eventsOf(answer.text);
      expect(messageOf(event ?? answer.json)).toMatch(says);
      expect(event ?? answer.json).toHaveProperty('id', 0);
    });
  },
);

it('--initialize-timeout is 25 s by default, and its error names the option, the remedy and the number', async () => {
  const bin = BinDriver.start({ args: ['--initialize-timeout', '-1'] });
  expect(await bin.exit()).toEqual({ code: 2, signal: null });
  expect(bin.stderr).toContain('--initialize-timeout must be a number of seconds >= 0, not "-1"');
  const slow = BinDriver.start({ args: [await serve(silent), ...signingArgs, ...LIMIT], env: signingEnv });
  slow.send(initialize);
  expect((await slow.answer(0)).error).toMatchObject({
    code: -31008,
    message: expect.stringMatching(
      /^No answer to initialize within 0\.6 s \(--initialize-timeout\)\. .* Find the cause with mcp-sigv4-proxy doctor\. If the server needs longer to start, raise --initialize-timeout/,
    ),
    data: { reason: 'timeout', limit: 'initialize-timeout', seconds: 0.6 },
  });
  const help = BinDriver.start({ args: ['--help-all'], anyStdout: true });
  await help.exit();
  expect(help.lines.join('\n')).toMatch(/--initialize-timeout[\s\S]{0,600}default: 25/);
});
