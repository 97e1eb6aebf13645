import { describe, expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { type RelayedOptions, startInitialized } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { startClientV1, startClientV2 } from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';

const names = (answer: Record<string, unknown>): unknown[] => {
  const { tools } = answer.result as { tools: { name: unknown }[] };
  return tools.map(({ name }) => name);
};

const calling = (name: string) => ({ name, arguments: { text: 'x' } });

const start = (args: readonly string[], options: RelayedOptions = {}) =>
  startInitialized({ ...options, args });

describe('--read-only', () => {
  it('--read-only shows and runs read-only tools only, and sends no other call', async () => {
    const { bin, server } = await start(['--read-only']);
    expect(names(await bin.request('tools/list', undefined, 0))).toEqual(['echo']);
    expect(await bin.request('tools/call', calling('echo'), '')).toHaveProperty('result.content');
    expect(await bin.request('tools/call', calling('sleep'), -1)).toMatchObject({
      error: {
        code: -31_017,
        message: expect.stringContaining('--allow-tool'),
        data: { reason: 'tool-refused', mayHaveRun: false },
      },
    });
    expect(await bin.request('tools/call', calling('nothing'), 'nothing')).toMatchObject({
      error: { code: -31_019, data: { reason: 'unknown-tool', mayHaveRun: false } },
    });
    expect(server.of('tools/call').map(({ rpc }) => rpc.id)).toEqual(['']);
    // One list for the client, one to look up an unknown name.
    expect(server.of('tools/list')).toHaveLength(2);
    expect(bin.stderr).toBe('');
  });

  it('--read-only reads all pages of the list itself if the client calls first', async () => {
    const pages: Record<string, unknown> = {
      first: { tools: [{ name: 'sleep' }], nextCursor: '' },
      '': { tools: [{ name: 'echo', annotations: { readOnlyHint: true } }] },
    };
    const { bin, server } = await start(['--read-only'], {
      on: {
        'tools/list': (_request, _response, { params, result }) =>
          result(pages[String(params.cursor ?? 'first')]),
      },
    });
    const [reads, writes] = await Promise.all([
      bin.request('tools/call', calling('echo'), 0),
      bin.request('tools/call', calling('sleep'), '0'),
    ]);
    expect(reads).toHaveProperty('result');
    expect(writes).toMatchObject({ error: { data: { reason: 'tool-refused' } } });
    expect(server.of('tools/list').map(({ rpc }) => rpc.params?.cursor)).toEqual([undefined, '']);
    expect(bin.lines.join('\n')).not.toContain('mcp-sigv4-proxy:tools');
  });

  it('--read-only returns an error if the list is not available, and uses the tools that it knows', async () => {
    let down = true;
    const { bin, server } = await start(['--read-only', '--retries', '0'], {
      on: {
        'tools/list': (_request, _response, { error, fallback }) =>
          down ? error(-32_050, 'The catalogue is closed') : fallback(),
      },
    });
    expect(await bin.request('tools/call', calling('echo'), 0)).toMatchObject({
      error: {
        code: -31_016,
        message: expect.stringMatching(/The catalogue is closed.*try again/),
        data: { reason: 'tools-unknown', mayHaveRun: false },
      },
    });
    expect(await bin.request('tools/list', undefined, 'list')).toMatchObject({ error: { code: -32_050 } });
    down = false;
    expect(await bin.request('tools/list', undefined, 'again')).toHaveProperty('result');
    down = true;
    expect(await bin.request('tools/call', calling('echo'), '')).toHaveProperty('result');
    expect(await bin.request('tools/call', calling('sleep'), -1)).toHaveProperty('error.code', -31_017);
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('--read-only shows an empty list for a server without annotations, and logs one line with the remedy', async () => {
    const tools = [{ name: 'aws___call_aws', inputSchema: 'not even an object' }, { name: 'aws___suggest' }];
    const { bin } = await start(['--read-only'], { tools });
    expect(names(await bin.request('tools/list'))).toEqual([]);
    expect(names(await bin.request('tools/list'))).toEqual([]);
    await bin.stderrMatching(/\n/);
    const lines = bin.stderr.trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 50,
      msg: 'tools.all-hidden',
      message: expect.stringContaining('--allow-tool "aws___call_aws"'),
    });
  });

  it('--read-only can be extended by --allow-tool, and --deny-tool removes from both', async () => {
    const { bin, server } = await start([
      ...['--read-only', '--allow-tool', 's*,big', '--deny-tool', 'bi?', '--log-level', 'silent'],
    ]);
    expect(names(await bin.request('tools/list'))).toEqual(['echo', 'sleep']);
    expect(await bin.request('tools/call', calling('sleep'), -1)).toHaveProperty('result');
    expect(await bin.request('tools/call', calling('big'), '')).toMatchObject({
      error: { message: expect.stringContaining('--deny-tool') },
    });
    expect(server.of('tools/call')).toHaveLength(1);
  });

  it('--read-only applies to a batch, and to a call that is sent as a notification', async () => {
    const { bin, server } = await start(['--read-only'], { protocolVersion: '2025-03-26' });
    await bin.request('tools/list');
    bin.notify('tools/call', calling('sleep'));
    bin.send([
      { jsonrpc: '2.0', id: 'denied', method: 'tools/call', params: calling('sleep') },
      { jsonrpc: '2.0', method: 'tools/call', params: calling('sleep') },
    ] as never);
    expect(await bin.answer('denied')).toHaveProperty('error.data.reason', 'tool-refused');
    await bin.request('ping');
    expect(server.requests.filter(({ text }) => text.includes('sleep'))).toEqual([]);
  });
});

describe('--allow-tool and --deny-tool', () => {
  it('--allow-tool and --deny-tool apply to lists and calls, and a denied name needs no list', async () => {
    const { bin, server } = await start(['--allow-tool', 'e* sleep', '--deny-tool', 'elicit']);
    expect(await bin.request('tools/call', calling('elicit'), 0)).toMatchObject({
      error: { message: expect.stringContaining('--deny-tool') },
    });
    expect(await bin.request('tools/call', calling('big'), -1)).toMatchObject({
      error: { message: expect.stringContaining('--allow-tool does not name it') },
    });
    expect(server.of('tools/list')).toEqual([]);
    expect(await bin.request('tools/call', calling('echo'), '')).toHaveProperty('result');
    expect(names(await bin.request('tools/list', undefined, 'list'))).toEqual(['echo', 'sleep']);
    expect(server.of('tools/call')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  const LOOSE = [
    'Sleep',
    'sleep ',
    ' sleep',
    'sle\u200bep',
    '\uff53leep',
    '\u017fleep',
    'sleep\u0000',
    'SLEEP',
    'sleep/',
    '',
  ];

  it.each([
    ['a session', false],
    ['revision 2026-07-28', true],
  ])(
    '--allow-tool and --deny-tool send no name that the server does not list, in any spelling: %s',
    async (_era, stateless) => {
      const pages: Record<string, unknown> = {
        first: { tools: [{ name: 'echo' }], nextCursor: '2' },
        2: { tools: [{ name: 'sleep' }, { name: 'last' }] },
      };
      const on: RelayedOptions['on'] = {
        'tools/list': (_request, _response, { params, result }) =>
          result(pages[String(params.cursor ?? 'first')]),
        'tools/call': (_request, _response, { result }) => result({ content: [] }),
      };
      const { bin, server } = await start(['--deny-tool', 'sleep'], { on });
      const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
      const params = (name: string) => (stateless ? { name, _meta } : { name });
      for (const name of LOOSE) {
        expect(await bin.request('tools/call', params(name))).toMatchObject({
          error: { code: -31_019, data: { reason: 'unknown-tool', mayHaveRun: false } },
        });
      }
      expect(server.of('tools/call')).toEqual([]);
      expect(await bin.request('tools/call', params('last'))).toHaveProperty('result');
      // Both pages were read once for all of these names.
      expect(server.of('tools/list').length).toBeLessThanOrEqual(4);
    },
  );

  it.each([
    ['--deny-tool', 'sleep'],
    ['--allow-tool', 'e*'],
  ])('--allow-tool and --deny-tool send nothing while the list is not available: %s', async (...args) => {
    let down = true;
    const { bin, server } = await start([...args, '--retries', '0'], {
      on: {
        'tools/list': (_request, _response, { error, fallback }) =>
          down ? error(-32_050, 'The catalogue is closed') : fallback(),
      },
    });
    expect(await bin.request('tools/call', calling('echo'), 0)).toMatchObject({
      error: {
        code: -31_016,
        message: expect.stringMatching(/The catalogue is closed.*not sent; try again/),
        data: { reason: 'tools-unknown', mayHaveRun: false },
      },
    });
    expect(server.of('tools/call')).toEqual([]);
    down = false;
    expect(await bin.request('tools/call', calling('echo'), '')).toHaveProperty('result');
  });

  it('--allow-tool and --deny-tool can be set by variables, and a glob that matches nothing is logged', async () => {
    const { bin } = await start(['--log-level', 'warn'], {
      env: { MCP_PROXY_DENY_TOOL: 'sleep, slepe', MCP_PROXY_ALLOW_TOOL: '*' },
    });
    expect(names(await bin.request('tools/list'))).not.toContain('sleep');
    await bin.stderrMatching(/tools\.glob-unmatched/);
    expect(
      bin.stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([{ msg: 'tools.glob-unmatched', option: '--deny-tool', glob: 'slepe' }]);
  });

  it('--allow-tool and --deny-tool keep each byte of the tools that they show', async () => {
    const shown =
      '{ "name":"b","inputSchema":{"maximum":12345678901234567890,"x":1.0, "description":"\\u2028"}}';
    const { bin } = await start(['--deny-tool', 'a'], {
      on: {
        'tools/list': (_request, response, { id }) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(
            `{"result":{"tools":[{"name":"a"}, ${shown} ],"_meta":{"n":1e400}},"id":${JSON.stringify(id)},"jsonrpc":"2.0"}`,
          );
        },
      },
    });
    await bin.request('tools/list', undefined, -1);
    expect(bin.lines.at(-1)).toBe(
      `{"result":{"tools":[${shown}],"_meta":{"n":1e400}},"id":-1,"jsonrpc":"2.0"}`,
    );
  });
});

it.each([
  ['v1', startClientV1],
  ['v2', startClientV2],
] as const)('a client of SDK %s sees and calls what it is allowed', async (_version, connect) => {
  const server = await ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });
  const client = await connect(server.url, ['--read-only', '--allow-tool', 'b*']);
  expect(await client.toolNames()).toEqual(['echo', 'big']);
  expect(await client.call('echo', { text: 'hello' })).toBe('{"text":"hello"}');
  await expect(client.call('sleep')).rejects.toThrow('--read-only');
  await expect(client.call('nothing')).rejects.toThrow('lists no tool');
  expect(server.of('tools/call')).toHaveLength(1);
});
