import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import {
  errorOf,
  type Handler,
  SessionServer,
  type SessionServerOptions,
} from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';
import { HOSTILE_TEXT, unsafeIn } from '../support/unsafe-characters.ts';

const hostile = HOSTILE_TEXT;

/** Runs a command in a terminal against a hostile server. @returns what the screen was sent, without the program's own sequences. */
async function screenOf(args: readonly string[], options: SessionServerOptions): Promise<string> {
  const mcp = new SessionServer(options);
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  const [command = '', ...more] = args;
  const terminal = await Terminal.start({
    args: [command, ...more.slice(0, 1), server.url, ...more.slice(1), ...signingArgs, '--retries', '0'],
    env: signingEnv,
    columns: 400,
  });
  await terminal.exit();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of doctor and the line of progress
  return terminal.output.replace(/\r?\u001b\[K|\u001b\[\d+m/g, '');
}

const result =
  (value: unknown): Handler =>
  (_request, response, { id }) =>
    sendJson(response, 200, { jsonrpc: '2.0', id, result: value });
const refusal = (
  method: 'initialize' | 'tools/list' | 'tools/call',
  status = 200,
): Readonly<Record<string, Handler>> => ({
  [method]: (_request, response, { id }) => sendJson(response, status, errorOf(id, -32050, hostile)),
});
const page: Handler = (_request, response) =>
  void response
    .writeHead(403, { 'content-type': 'text/html' })
    .end(`<html><title>${hostile}</title><body>${hostile}</body></html>`);
const errorType: Handler = (_request, response) =>
  void response.writeHead(500, { 'content-type': 'text/plain' }).end(hostile);
const tool = {
  name: hostile,
  title: hostile,
  description: hostile,
  inputSchema: { type: 'object', properties: { [hostile]: { description: hostile } } },
};
const content = [
  { type: 'text', text: hostile },
  { type: 'resource_link', uri: hostile, name: hostile },
  { type: 'resource', resource: { uri: hostile, text: hostile } },
  { type: 'resource', resource: { uri: hostile, blob: 'AA' } },
  { type: 'image', mimeType: hostile, data: 'AAAA' },
  { type: hostile },
];
const asking: Handler = async (_request, _response, { events, ask, id }) => {
  const stream = events();
  await ask(stream, 'elicitation/create', { message: hostile });
  await ask(stream, `x/${hostile}`);
  const progress = { progressToken: 'call', progress: 1, message: hostile };
  stream.send({ jsonrpc: '2.0', method: 'notifications/progress', params: progress });
  stream.send({ jsonrpc: '2.0', id, result: { content: [] } });
  stream.end();
};

describe('text of a server cannot control the terminal', () => {
  it.each<[field: string, args: readonly string[], options: SessionServerOptions]>([
    ['names, titles and descriptions in the table of tools', ['tools'], { tools: [tool] }],
    ['tools --json', ['tools', '--json'], { tools: [tool] }],
    ['the error of tools/list', ['tools'], { on: refusal('tools/list') }],
    ['the error of initialize', ['tools'], { on: refusal('initialize', 400) }],
    ['the title of an HTML page', ['tools'], { on: { initialize: page } }],
    ['a body of text', ['call', 'any'], { on: { 'tools/call': errorType } }],
    ['every kind of content', ['call', 'any'], { on: { 'tools/call': result({ content }) } }],
    ['an error result', ['call', 'any'], { on: { 'tools/call': result({ isError: true, content }) } }],
    [
      'structured content',
      ['call', 'any'],
      { on: { 'tools/call': result({ structuredContent: { [hostile]: hostile } }) } },
    ],
    ['call --json', ['call', 'any', '--json'], { on: { 'tools/call': result({ content }) } }],
    ['the error of a call', ['call', 'any'], { on: refusal('tools/call') }],
    ['questions, method names and progress', ['call', 'any'], { on: { 'tools/call': asking } }],
    ['what doctor shows of the error', ['doctor'], { on: refusal('initialize', 400) }],
    ['what doctor --json shows of an HTML page', ['doctor', '--json'], { on: { initialize: page } }],
    [
      'a pretty log',
      ['call', 'any', '--log-level', 'trace', '--log-format', 'pretty'],
      { on: refusal('tools/call') },
    ],
    ['a log of JSON lines', ['call', 'any', '--log-level', 'trace'], { on: refusal('tools/call') }],
  ])('the text of a server cannot control the terminal in %s', async (_field, args, options) => {
    const screen = await screenOf(args, options);
    expect(unsafeIn(screen)).toEqual([]);
    expect(screen).toMatch(/begin/);
  });

  it('the text of a server in a pipe is unchanged on stdout, and stderr has no control characters', async () => {
    const mcp = new SessionServer({
      on: { 'tools/call': result({ content: [{ type: 'text', text: hostile }] }) },
    });
    const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
    const bin = BinDriver.start({
      args: ['call', 'any', server.url, ...signingArgs],
      env: signingEnv,
      anyStdout: true,
    });
    await bin.exit();
    expect(bin.lines.join('\n')).toBe(hostile);
    const refused = new SessionServer({ on: refusal('tools/call') });
    const other = await ScriptedServer.start(refused.behaviour, { verify: signingVerify });
    const failing = BinDriver.start({ args: ['call', 'any', other.url, ...signingArgs], env: signingEnv });
    await failing.exit();
    expect(failing.stderr).toMatch(/begin\s+end/);
    expect(unsafeIn(failing.stderr)).toEqual([]);
  });
});
