import { describe, expect, it } from 'vitest';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { TOOL_DEFINITIONS } from '../support/mcp-tools.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

async function serve(options: SessionServerOptions = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  return { mcp, server };
}

const run = (args: readonly string[], options: Partial<BinOptions> = {}): BinDriver =>
  BinDriver.start({ args: ['tools', ...signingArgs, ...args], env: signingEnv, anyStdout: true, ...options });

/** Three pages, in the server's own spelling. */
const paged: Handler = (_request, response, { id, params }) => {
  const page = Number(params.cursor ?? 0);
  const next = page < 2 ? `, "nextCursor": "${page + 1}"` : '';
  const text = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":[{"name" : "t${page}", "n": 12345678901234567890, "f":1.0}]${next}}}`;
  response.writeHead(200, { 'content-type': 'application/json' }).end(text);
};

describe('tools', () => {
  it('tools lists the tools of the server and deletes its session', async () => {
    const { server, mcp } = await serve();
    const bin = run([server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
    expect(bin.lines).toEqual([
      'NAME      HINT       DESCRIPTION',
      'echo      read-only  The echo tool',
      'sleep     -          The sleep tool',
      'elicit    -          The elicit tool',
      'progress  -          The progress tool',
      'big       -          The big tool',
    ]);
    expect(mcp.deleted).toHaveLength(1);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });

  it('tools requests all pages, and prints the tools as the server sent them with --json', async () => {
    const { server } = await serve({ on: { 'tools/list': paged } });
    const bin = run([server.url, '--json']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual([
      `[${[0, 1, 2].map((page) => `{"name" : "t${page}", "n": 12345678901234567890, "f":1.0}`).join(',')}]`,
    ]);
    expect(server.of('tools/list')).toHaveLength(3);
  });

  it('tools uses settings from the environment', async () => {
    const { server } = await serve();
    const bin = BinDriver.start({
      args: ['tools'],
      env: {
        ...signingEnv,
        MCP_PROXY_ENDPOINT: server.url,
        MCP_PROXY_SERVICE: 'execute-api',
        MCP_PROXY_REGION: 'eu-west-1',
      },
      anyStdout: true,
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toHaveLength(TOOL_DEFINITIONS.length + 1);
  });

  it('tools cuts descriptions to the width of a terminal', async () => {
    const description = 'It does what it says on the tin, and a little more than that.';
    const { server } = await serve({ tools: [{ name: 'echo', description }] });
    const args = ['tools', server.url, ...signingArgs];
    const terminal = await Terminal.start({ args, env: signingEnv, columns: 50 });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe(
      'NAME  HINT  DESCRIPTION\necho  -     It does what it says on the tin, an...\n',
    );
  });

  it('tools reports on stderr that the server has no tools', async () => {
    const { server } = await serve({ tools: [] });
    const bin = run([server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe('The server offers no tools.\n');
    const json = run([server.url, '--json']);
    await json.exit();
    expect(json.lines).toEqual(['[]']);
    expect(json.stderr).toBe('');
  });

  it('tools names the option that filters all tools', async () => {
    const { server } = await serve();
    const bin = run([server.url, '--deny-tool', '*', '--log-level', 'silent']);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe('The server offers no tools that --deny-tool lets through.\n');
  });

  it.each<[what: string, handler: Handler, said: string]>([
    [
      'the server refuses',
      (_request, _response, { error }) => error(-32601, 'Method not found'),
      'The server answered with error -32601: Method not found',
    ],
    [
      'the answer contains no list',
      (_request, _response, { result }) => result({ tools: {} }),
      "The server's answer cannot be used: page 1 of tools/list contains no list of tools.",
    ],
    [
      'the server returns the same cursor twice',
      (_request, _response, { result }) => result({ tools: [], nextCursor: '' }),
      "The server's answer cannot be used: tools/list returned the same cursor twice.",
    ],
  ])('tools returns 1 if %s', async (_what, handler, said) => {
    const { server } = await serve({ on: { 'tools/list': handler } });
    const bin = run([server.url]);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe(`mcp-sigv4-proxy: ${said}\n`);
  });

  it('tools returns 1 and prints the remedy without credentials', async () => {
    const { server } = await serve();
    const bin = run([server.url, '--profile', 'dev'], { env: { AWS_EC2_METADATA_DISABLED: 'true' } });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toMatch(/^mcp-sigv4-proxy: No AWS credentials for profile 'dev': .*aws configure/);
    expect(server.requests).toEqual([]);
  });

  it('tools ends without an error if its pipe is closed', async () => {
    const { server, mcp } = await serve();
    const args = ['tools', server.url, ...signingArgs];
    const terminal = await Terminal.start({ args, env: signingEnv, redirect: '| head -n 1' });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe('NAME      HINT       DESCRIPTION\n');
    await server.until(() => mcp.deleted.length === 1);
  });

  it('tools accepts every option of the proxy and reports all problems at once', async () => {
    const { server } = await serve();
    const bin = run([server.url, '--args', '{}', '--timeout', '-1', '--json=perhaps']);
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: 3 problems with the settings:\n' +
        '  --args is for call only\n' +
        '  --timeout must be a number of seconds >= 0, not "-1"\n' +
        '  --json must be true, false, 1 or 0\n' +
        'Run mcp-sigv4-proxy tools --help-all for all options.\n',
    );
    const header = run([server.url, '--header', 'x-team: blue', '--log-level', 'info']);
    expect(await header.exit()).toMatchObject({ code: 0 });
    expect(server.requests.every(({ headers }) => headers['x-team'] === 'blue')).toBe(true);
    expect(header.stderr).toContain('"session.opened"');
  });
});
