import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

async function serve(on: SessionServerOptions['on'] = {}) {
  const mcp = new SessionServer({ on });
  return ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
}

async function run(args: readonly string[]) {
  const bin = BinDriver.start({ args: [...args, ...signingArgs], env: signingEnv, anyStdout: true });
  const { code } = await bin.exit();
  return { code, lines: bin.lines, stderr: bin.stderr };
}

const RESOURCES = [
  { uri: 'file:///a', name: 'a', mimeType: 'text/plain', description: 'The file a' },
  { uri: 'file:///b', name: 'b' },
];
const TEMPLATES = [{ uriTemplate: 'file:///{path}', name: 'any', title: 'Any file' }];

const on: Readonly<Record<string, Handler>> = {
  'resources/list': (_request, _response, { params, result }) =>
    params.cursor === undefined
      ? result({ resources: [RESOURCES[0]], nextCursor: '' })
      : result({ resources: [RESOURCES[1]] }),
  'resources/templates/list': (_request, _response, { result }) => result({ resourceTemplates: TEMPLATES }),
  'resources/read': (_request, _response, { params, result, error }) => {
    if (params.uri === 'file:///a') return result({ contents: [{ uri: params.uri, text: 'the text' }] });
    if (params.uri === 'file:///b')
      return result({ contents: [{ uri: params.uri, blob: Buffer.from('bytes').toString('base64') }] });
    return error(-32002, 'Resource not found');
  },
  'prompts/list': (_request, _response, { result }) =>
    result({
      prompts: [
        {
          name: 'review',
          description: 'Reviews code',
          arguments: [{ name: 'language', required: true }, { name: 'style' }],
        },
      ],
    }),
  'prompts/get': (_request, _response, { params, result, error }) =>
    params.name === 'review'
      ? result({
          messages: [
            { role: 'user', content: { type: 'text', text: JSON.stringify(params.arguments) } },
            { role: 'assistant', content: { type: 'image', mimeType: 'image/png', data: 'AAAA' } },
          ],
        })
      : error(-32602, 'Unknown prompt'),
};

describe('resources and read', () => {
  it('resources lists all pages and the templates, as a table and as JSON', async () => {
    const server = await serve(on);
    expect(await run(['resources', server.url])).toEqual({
      code: 0,
      stderr: '',
      lines: [
        'URI             TYPE        DESCRIPTION',
        'file:///a       text/plain  The file a',
        'file:///b       -           b',
        'file:///{path}  -           Any file',
      ],
    });
    const { lines } = await run(['resources', server.url, '--json']);
    expect(JSON.parse(lines.join(''))).toEqual({ resources: RESOURCES, resourceTemplates: TEMPLATES });
  });

  it('resources accepts a server without templates, and reports one without resources', async () => {
    const only: Handler = (_request, _response, { result }) => result({ resources: [] });
    expect(await run(['resources', (await serve({ 'resources/list': only })).url])).toEqual({
      code: 0,
      lines: [],
      stderr: 'The server offers no resources.\n',
    });
    expect(await run(['resources', (await serve()).url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('error -32601'),
    });
  });

  it('read prints the text of a resource whose URI looks like an endpoint', async () => {
    const server = await serve(on);
    expect(await run(['read', 'file:///a', server.url])).toEqual({
      code: 0,
      lines: ['the text'],
      stderr: '',
    });
    expect(await run(['read', 'file:///b', server.url])).toMatchObject({
      code: 0,
      lines: ['[resource, 8 characters of base64, file:///b: --output <file> writes it]'],
    });
    expect(await run(['read', 'file:///c', server.url])).toMatchObject({
      code: 1,
      stderr: 'mcp-sigv4-proxy: The server answered with error -32002: Resource not found\n',
    });
    const terminal = await Terminal.start({
      args: ['read', 'file:///b', server.url, '--output', 'b.bin', ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(readFileSync(join(terminal.home, 'b.bin'), 'utf8')).toBe('bytes');
  });
});

describe('prompts and prompt', () => {
  it('prompts lists the prompts with their arguments', async () => {
    const server = await serve(on);
    expect((await run(['prompts', server.url])).lines).toEqual([
      'NAME    ARGUMENTS         DESCRIPTION',
      'review  language [style]  Reviews code',
    ]);
  });

  it('prompt prints the messages, and sends every argument as text', async () => {
    const server = await serve(on);
    expect(await run(['prompt', 'review', 'language=7', server.url])).toEqual({
      code: 0,
      stderr: '',
      lines: [
        'user:',
        '{"language":"7"}',
        '',
        'assistant:',
        '[image, image/png, 4 characters of base64: --output <file> writes it]',
      ],
    });
    expect(await run(['prompt', 'reveiw', server.url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Unknown prompt. Did you mean review?'),
    });
  });
});

describe('ping', () => {
  it('ping prints the server and the times of the session and of the ping', async () => {
    const server = await serve();
    const { code, lines } = await run(['ping', server.url]);
    expect(code).toBe(0);
    expect(lines[0]).toMatch(
      /^scripted 0\.0\.0 answered in \d+ ms \(session opened in \d+ ms, MCP 2025-11-25\)$/,
    );
    expect(server.of('ping')).toHaveLength(1);
    const json = await run(['ping', server.url, '--json']);
    expect(JSON.parse(json.lines.join(''))).toMatchObject({ name: 'scripted', pingMs: expect.any(Number) });
  });
});

describe('tools <name>', () => {
  it('tools with a name describes one tool, prints it as JSON, and suggests a name', async () => {
    const server = await serve();
    expect((await run(['tools', 'sleep', server.url])).lines).toEqual([
      'sleep',
      '',
      'The sleep tool',
      '',
      'Arguments:',
      '  ms  (number)',
      '',
      'Hints: none',
      '',
      'Example:',
      '  mcp-sigv4-proxy call sleep',
    ]);
    const json = await run(['tools', 'sleep', server.url, '--json']);
    expect(JSON.parse(json.lines.join(''))).toMatchObject({ name: 'sleep' });
    expect(await run(['tools', 'slep', server.url])).toMatchObject({
      code: 1,
      stderr: 'mcp-sigv4-proxy: The server lists no tool "slep". Did you mean sleep?\n',
    });
  });
});
