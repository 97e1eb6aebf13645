import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver, type BinOptions } from '../support/bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

async function serve(options: SessionServerOptions = {}) {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  return { mcp, server };
}

const run = (args: readonly string[], options: Partial<BinOptions> = {}): BinDriver =>
  BinDriver.start({ args: [...args, ...signingArgs], env: signingEnv, anyStdout: true, ...options });

const answering =
  (result: unknown): Handler =>
  (_request, _response, context) =>
    context.result(result);

const PIXEL = Buffer.from('a red pixel').toString('base64');

describe('call with name=value words', () => {
  it('call with name=value words sends the types of the schema, before and after a list and beside --args', async () => {
    const { server } = await serve();
    const bin = run([
      'call',
      'sleep',
      'ms=0',
      'url=https://x.example/?a=1',
      server.url,
      '--args',
      '{"n" : 1.0}',
    ]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('tools/call')[0]?.text).toContain(
      '"arguments":{"url":"https://x.example/?a=1","ms":0,"n" : 1.0}',
    );
    const after = run(['call', 'echo', server.url, '--allow-tool', 'echo', 'text=7']);
    expect(await after.exit()).toEqual({ code: 0, signal: null });
    expect(after.lines).toEqual(['{"text":"7"}']);
  });

  it('call refuses a value of the wrong type before it sends the call, and names the command that shows the types', async () => {
    const { server } = await serve();
    const bin = run(['call', 'sleep', 'ms=geheim', server.url]);
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: ms must be a number. Run "mcp-sigv4-proxy tools sleep" for the arguments.\n',
    );
    expect(server.of('tools/call')).toEqual([]);
  });

  it('call sends an argument that the tool does not list, and suggests the one that the user may have meant', async () => {
    const { server } = await serve();
    const bin = run(['call', 'sleep', 'ms=0', 'mss=1', server.url]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe(
      'mcp-sigv4-proxy: the tool lists no argument "mss"; did you mean ms? It is sent all the same.\n',
    );
    expect(server.of('tools/call')[0]?.text).toContain('"mss":1');
    const quiet = run(['call', 'sleep', 'ms=0', 'mss=1', server.url, '--quiet']);
    expect(await quiet.exit()).toEqual({ code: 0, signal: null });
    expect(quiet.stderr).toBe('');
  });

  it('call suggests the tool that the user may have meant, with and without words', async () => {
    const { server } = await serve();
    const words = run(['call', 'ehco', 'a=1', server.url]);
    expect(await words.exit()).toEqual({ code: 1, signal: null });
    expect(words.stderr).toBe('mcp-sigv4-proxy: The server lists no tool "ehco". Did you mean echo?\n');
    const plain = run(['call', 'ehco', server.url]);
    expect(await plain.exit()).toEqual({ code: 1, signal: null });
    expect(plain.stderr).toBe(
      'mcp-sigv4-proxy: The server answered with error -32602: Unknown tool: ehco. Did you mean echo?\n',
    );
  });

  it('call --args @file sends the object as it is written there, and refuses a file without an object', async () => {
    const { server } = await serve();
    const files = { 'args.json': '\uFEFF{"n" : 1.0}\n', 'list.json': '["geheim"]' };
    const read = (name: string) =>
      run(['call', 'echo', server.url, '--args', `@../${name}`], { files, env: { ...signingEnv } });
    const bin = BinDriver.start({
      args: ['--version'],
      files,
      anyStdout: true,
    });
    const found = run(['call', 'echo', server.url, '--args', `@${join(bin.home, 'args.json')}`, 'text=2']);
    expect(await found.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('tools/call')[0]?.text).toContain('"arguments":{"text":"2","n" : 1.0} ');
    const wrong = run(['call', 'echo', server.url, '--args', `@${join(bin.home, 'list.json')}`]);
    expect(await wrong.exit()).toEqual({ code: 2, signal: null });
    expect(wrong.stderr).toMatch(/list\.json \(--args\) must be a JSON object/);
    expect(wrong.stderr).not.toContain('geheim');
    const absent = read('absent.json');
    expect(await absent.exit()).toEqual({ code: 2, signal: null });
    expect(absent.stderr).toMatch(/absent\.json \(--args\) cannot be read: .*ENOENT/);
  });
});

describe('call --output', () => {
  it('call --output writes images and blobs to numbered files and prints the text', async () => {
    const content = [
      { type: 'text', text: 'two images' },
      { type: 'image', mimeType: 'image/png', data: PIXEL },
      { type: 'resource', resource: { uri: 'file:///b', mimeType: 'image/gif', blob: PIXEL } },
    ];
    const { server } = await serve({ on: { 'tools/call': answering({ content }) } });
    const terminal = await Terminal.start({
      args: ['call', 'any', server.url, '--output', 'shot.png', ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe(
      'mcp-sigv4-proxy: wrote 11 bytes (image/png) to shot.png\nmcp-sigv4-proxy: wrote 11 bytes (image/gif) to shot-2.png\ntwo images\n',
    );
    for (const name of ['shot.png', 'shot-2.png'])
      expect(readFileSync(join(terminal.home, name), 'utf8')).toBe('a red pixel');
  });

  it('call --output writes the text where the result has nothing else, and reports a file that cannot be written', async () => {
    const { server } = await serve();
    const terminal = await Terminal.start({
      args: ['call', 'echo', 'text=hi', server.url, '--output', 'out.txt', ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(readFileSync(join(terminal.home, 'out.txt'), 'utf8')).toBe('{"text":"hi"}\n');
    const bin = run(['call', 'echo', 'text=hi', server.url, '--output', '/dev/full']);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toMatch(/^mcp-sigv4-proxy: --output: ENOSPC/);
  });

  it.each([
    ['/no/such/folder/x', '--output: the folder /no/such/folder does not exist'],
    ['/tmp', '--output must be a file: /tmp is a folder'],
  ])(
    'call refuses --output %s before it calls the tool, whose result would be lost',
    async (path, problem) => {
      const { server } = await serve();
      const bin = run(['call', 'echo', 'text=hi', server.url, '--output', path]);
      expect(await bin.exit()).toEqual({ code: 2, signal: null });
      expect(bin.stderr).toContain(`\n  ${problem}\n`);
      expect(server.requests).toEqual([]);
    },
  );

  it.each([
    ['call', 'echo', 'text=0'],
    ['tools', '--json'],
  ])('the command %s returns 1 if its output cannot be written, and names the cause', async (...words) => {
    const { server } = await serve();
    const args = [...words, server.url, ...signingArgs];
    const terminal = await Terminal.start({ args, env: signingEnv, redirect: '>/dev/full' });
    expect(await terminal.exit()).toBe(1);
    expect(terminal.output).toMatch(/^mcp-sigv4-proxy: the output cannot be written: .*ENOSPC/);
  });
});

describe('call of a tool that runs as a task', () => {
  const tools = [{ name: 'build', inputSchema: { type: 'object' }, execution: { taskSupport: 'required' } }];
  const task = (status: string, more = {}) => ({ taskId: 't-0', status, pollInterval: 0, ...more });
  const handlers = (states: string[]): Readonly<Record<string, Handler>> => ({
    'tools/call': (_request, _response, { params, result, error }) =>
      params.task === undefined
        ? error(-32601, 'Tool build requires task augmentation')
        : result({ task: task('working', { statusMessage: 'step 1' }) }),
    'tasks/get': (_request, _response, { result }) => result(task(states.shift() ?? 'completed')),
    'tasks/result': answering({ content: [{ type: 'text', text: 'built' }] }),
    'tasks/cancel': answering(task('cancelled')),
  });

  it('call asks for a task that the tool requires, polls it, and prints its result', async () => {
    const { server } = await serve({ tools, on: handlers(['working']) });
    const terminal = await Terminal.start({
      args: ['call', 'build', server.url, ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe('\r\u001b[Kstep 1\r\u001b[Ktask working\r\u001b[Kbuilt\n');
    expect(server.of('tools/call').map(({ rpc }) => (rpc.params as { task?: unknown }).task)).toEqual([
      undefined,
      {},
    ]);
    expect(server.of('tasks/get')).toHaveLength(2);
  });

  it('call cancels the task of a tool on Ctrl-C', async () => {
    const { server } = await serve({ tools, on: handlers(Array<string>(10_000).fill('working')) });
    const bin = run(['call', 'build', server.url]);
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tasks/get'));
    bin.kill('SIGINT');
    expect(await bin.exit()).toEqual({ code: 130, signal: null });
    expect(server.of('tasks/cancel')[0]?.rpc.params).toMatchObject({ taskId: 't-0' });
  });
});

describe('errors with --json', () => {
  const errorIn = (bin: BinDriver) => JSON.parse(bin.stderr).error;

  it('errors with --json are JSON with code and reason: of the server, of the proxy, of the tool, of the settings', async () => {
    const { server } = await serve({
      on: { 'prompts/list': (_request, _response, { error }) => error(-32050, 'no', { why: 'x' }) },
    });
    const refused = run(['prompts', server.url, '--json']);
    expect(await refused.exit()).toEqual({ code: 1, signal: null });
    expect(refused.lines).toEqual([]);
    expect(errorIn(refused)).toEqual({
      code: -32050,
      reason: 'server-error',
      message: 'The server answered with error -32050: no',
      data: { why: 'x' },
    });
    const denied = run(['call', 'echo', server.url, '--json', '--deny-tool', 'echo']);
    await denied.exit();
    expect(errorIn(denied)).toMatchObject({ reason: 'tool-refused', data: { source: 'mcp-sigv4-proxy' } });
    const wrong = run(['call', 'echo', server.url, '--json', '--timeout', '-1']);
    expect(await wrong.exit()).toEqual({ code: 2, signal: null });
    expect(errorIn(wrong)).toMatchObject({
      reason: 'usage',
      problems: ['--timeout must be a number of seconds >= 0, not "-1"'],
    });
    const typed = run(['call', 'sleep', 'ms=x', server.url, '--json']);
    expect(await typed.exit()).toEqual({ code: 2, signal: null });
    expect(errorIn(typed)).toMatchObject({ code: null, reason: 'usage' });
  });
});
