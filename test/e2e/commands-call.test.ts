import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { makeGate } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

async function serve(options: SessionServerOptions = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  return { mcp, server };
}

const call = (args: readonly string[], options: Partial<BinOptions> = {}): BinDriver =>
  BinDriver.start({ args: ['call', ...args, ...signingArgs], env: signingEnv, anyStdout: true, ...options });

const answering =
  (result: unknown): Handler =>
  (_request, _response, context) =>
    context.result(result);

const interrupted = async (server: ScriptedServer): Promise<void> => {
  await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
};

describe('call', () => {
  it("call prints the text of the tool's result and nothing else", async () => {
    const { server, mcp } = await serve();
    const bin = call(['echo', server.url, '--args', '{"text":"hello"}']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual(['{"text":"hello"}']);
    expect(bin.stderr).toBe('');
    expect(mcp.deleted).toHaveLength(1);
    expect(server.of('tools/call')[0]?.rpc.params).toMatchObject({
      name: 'echo',
      arguments: { text: 'hello' },
    });
  });

  it('call uses settings from the environment, and sends {} without --args', async () => {
    const { server } = await serve();
    const bin = BinDriver.start({
      args: ['call', 'echo'],
      env: {
        ...signingEnv,
        MCP_PROXY_ENDPOINT: server.url,
        MCP_PROXY_SERVICE: 'execute-api',
        MCP_PROXY_REGION: 'eu-west-1',
      },
      anyStdout: true,
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual(['{}']);
  });

  it('call sends the arguments exactly as the user wrote them', async () => {
    const { server } = await serve();
    const bin = call(['echo', server.url, '--args', '{"n" : 12345678901234567890,\n"f":1.0}']);
    await bin.exit();
    expect(server.of('tools/call')[0]?.text).toContain('"arguments":{"n" : 12345678901234567890, "f":1.0}');
  });

  it('call reads the arguments from stdin with --args -', async () => {
    const { server } = await serve();
    const bin = call(['echo', server.url, '--args', '-']);
    bin.write('\uFEFF{"text":\n');
    bin.write('"from a pipe"}\n');
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual(['{"text":"from a pipe"}']);
  });

  it('call refuses stdin that is not a JSON object before it sends anything', async () => {
    const { server } = await serve();
    const bin = call(['echo', server.url, '--args', '-']);
    bin.write('["geheim"');
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe(
      `mcp-sigv4-proxy: the text on stdin (--args -) must be a JSON object, such as '{"a":1}'.\n`,
    );
    expect(server.requests).toEqual([]);
  });

  it.each(['[]', '7', 'null', '{"a":', 'geheim', "{'a':1}"])(
    'call refuses --args %s and reports all other problems with it',
    async (args) => {
      const bin = call(['echo', 'http://example.com/', '--args', args]);
      expect(await bin.exit()).toEqual({ code: 2, signal: null });
      expect(bin.lines).toEqual([]);
      expect(bin.stderr).toContain('2 problems with the settings:\n  the endpoint must use https');
      expect(bin.stderr).toContain(
        `\n  --args must be a JSON object, such as '{"a":1}'; @file reads it from a file, - from stdin\n`,
      );
      expect(bin.stderr).not.toContain('geheim');
    },
  );

  it('call requires the name of a tool', async () => {
    const bin = BinDriver.start({ args: ['call', '--args', '{}'] });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain('\n  call needs a <tool> before its options\n');
  });

  it.each<[what: string, result: unknown, printed: string]>([
    [
      'several texts',
      {
        content: [
          { type: 'text', text: 'one\n' },
          { type: 'text', text: '' },
          { type: 'text', text: 'two' },
        ],
      },
      'one\ntwo\n',
    ],
    [
      'content that is not text',
      {
        content: [
          { type: 'image', mimeType: 'image/png', data: 'AAAA' },
          { type: 'resource_link', uri: 'file:///a' },
          { type: 'resource', resource: { uri: 'file:///b', text: 'b' } },
          { type: 'resource', resource: { uri: 'file:///c', blob: 'AA' } },
          { type: 'hologram' },
          7,
        ],
      },
      '[image, image/png, 4 characters of base64: --output <file> writes it]\nfile:///a\nb\n[resource, 2 characters of base64, file:///c: --output <file> writes it]\n[hologram: --json prints it]\n',
    ],
    ['structured content alone', { content: [], structuredContent: { n: 1 } }, '{"n":1}\n'],
    ['no content', {}, ''],
  ])('call prints a result with %s', async (_what, result, printed) => {
    const { server } = await serve({ on: { 'tools/call': answering(result) } });
    const bin = call(['any', server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines.map((line) => `${line}\n`).join('')).toBe(printed);
  });

  it('call prints the whole result as the server sent it with --json', async () => {
    const text = '{"content" : [], "big":12345678901234567890, "isError":false}';
    const { server } = await serve({
      on: {
        'tools/call': (_request, response, { id }) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${text}}`);
        },
      },
    });
    const bin = call(['any', server.url, '--json']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual([text]);
  });

  it('call prints a result that is longer than --max-line allows on stdio', async () => {
    const { server } = await serve();
    const bin = call(['big', server.url, '--args', '{"bytes":11000000}']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines[0]).toHaveLength(11_000_000);
  });
});

describe('call, failures', () => {
  it.each([[[]], [['--json']]])(
    'call returns 1 and prints an error result on stderr, with options %j',
    async (more) => {
      const result = { isError: true, content: [{ type: 'text', text: 'no such \u001b[31mfile' }] };
      const { server } = await serve({ on: { 'tools/call': answering(result) } });
      const bin = call(['any', server.url, ...more]);
      expect(await bin.exit()).toEqual({ code: 1, signal: null });
      const json =
        '{"error":{"code":null,"reason":"tool-error","message":"the tool reports an error: no such file"}}\n';
      expect(bin.stderr).toBe(
        more.length > 0 ? json : 'mcp-sigv4-proxy: the tool reports an error: no such file\n',
      );
      expect(bin.lines).toEqual(more.length > 0 ? [JSON.stringify(result)] : []);
    },
  );

  it('call returns 1 for a JSON-RPC error, and names the command that lists the tools', async () => {
    const { server } = await serve();
    const bin = call(['nothing', server.url]);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: The server answered with error -32602: Unknown tool: nothing. Run "mcp-sigv4-proxy tools" for the names of the tools.\n',
    );
  });

  it('call returns 1 and prints the remedy if nothing listens at the endpoint', async () => {
    const { server } = await serve();
    await server.close();
    const bin = call(['echo', server.url, '--retries', '0']);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toMatch(
      /^mcp-sigv4-proxy: Cannot connect to .*ECONNREFUSED.* Nothing listens there: check/,
    );
  });

  it('call declines an elicitation of the server and reports it on stderr', async () => {
    const { server } = await serve();
    const bin = call(['elicit', server.url, '--args', '{"message":"Go\\non?"}']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual(['{"action":"decline"}']);
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: the server sent elicitation/create (Go), which needs a person or a model: declined. Call this tool from an MCP client instead.\n',
    );
  });

  it('call returns 1 if the result is input_required', async () => {
    const result = { resultType: 'input_required', inputRequests: {} };
    const { server } = await serve({ on: { 'tools/call': answering(result) } });
    const bin = call(['any', server.url, '--json']);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.lines).toEqual([JSON.stringify(result)]);
    expect(JSON.parse(bin.stderr).error).toEqual({
      code: null,
      reason: 'input-required',
      message:
        'the tool requires more input, which this command cannot provide. Call it from an MCP client instead.',
    });
  });

  it('call answers a ping, and refuses a sampling request with a clear error', async () => {
    const { server } = await serve({
      on: {
        'tools/call': async (_request, _response, { events, ask, id }) => {
          const stream = events();
          const answers = [
            await ask(stream, 'ping'),
            await ask(stream, 'sampling/createMessage', { messages: [] }),
          ];
          const text = JSON.stringify(answers.map(({ result, error }) => result ?? error));
          stream.send({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
          stream.end();
        },
      },
    });
    const bin = call(['any', server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(bin.lines[0] ?? '')).toEqual([
      {},
      { code: -32601, message: 'Method not found: this client does not implement sampling/createMessage' },
    ]);
  });
});

describe('call, interrupted', () => {
  const hanging = () => {
    const gate = makeGate();
    const handler: Handler = async (_request, _response, { fallback }) => {
      await gate.opened;
      await fallback();
    };
    return { gate, on: { 'tools/call': handler } };
  };

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('call cancels the call at the server on %s, and returns %i', async (signal, code) => {
    const { gate, on } = hanging();
    const { server, mcp } = await serve({ on });
    const bin = call(['echo', server.url]);
    await interrupted(server);
    bin.kill(signal);
    expect(await bin.exit()).toEqual({ code, signal: null });
    gate.open();
    expect(server.of('notifications/cancelled')[0]?.rpc.params).toMatchObject({
      requestId: server.of('tools/call')[0]?.rpc.id,
    });
    expect(mcp.deleted).toHaveLength(1);
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe('');
  });

  it('call cancels the call on Ctrl-C in a terminal', async () => {
    const { gate, on } = hanging();
    const { server } = await serve({ on });
    const terminal = await Terminal.start({
      args: ['call', 'echo', server.url, ...signingArgs],
      env: signingEnv,
    });
    await interrupted(server);
    terminal.type('\u0003');
    expect(await terminal.exit()).toBe(130);
    gate.open();
    expect(server.of('notifications/cancelled')).toHaveLength(1);
  });
});

describe('call, progress', () => {
  const steps: Handler = async (_request, _response, { events, id, params }) => {
    const stream = events();
    const { progressToken } = params._meta as { progressToken: unknown };
    for (const progress of [1, 2]) {
      const message = `step ${progress}`;
      stream.send({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken, progress, total: 2, message },
      });
    }
    stream.send({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'do\u001b[31mne' }] } });
    stream.end();
  };

  it('call shows progress on a terminal and clears it before the result', async () => {
    const { server } = await serve({ on: { 'tools/call': steps } });
    const terminal = await Terminal.start({
      args: ['call', 'any', server.url, ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe('\r\u001b[K1/2 step 1\r\u001b[K2/2 step 2\r\u001b[Kdone\n');
  });

  it('call prints no progress to a pipe or file', async () => {
    const { server } = await serve({ on: { 'tools/call': steps } });
    const bin = call(['any', server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
    // To a file the text goes as the server sent it.
    expect(bin.lines).toEqual(['do\u001b[31mne']);
    const redirected = await Terminal.start({
      args: ['call', 'any', server.url, ...signingArgs],
      env: signingEnv,
      redirect: '2>errors',
    });
    expect(await redirected.exit()).toBe(0);
    expect(redirected.output).toBe('done\n');
    expect(readFileSync(join(redirected.home, 'errors'), 'utf8')).toBe('');
  });
});
