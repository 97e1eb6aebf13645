/**
 * The blocks of `config`, in the clients' own parsers. Two packages are too large to install for each
 * run: that of Cline (180 MB) and that of Codex (420 MB), which is tested where it is installed.
 * Claude Desktop, Cursor, Kiro, Windsurf, Zed, Amazon Q, JetBrains, Goose and LM Studio have none.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv/dist/ajv.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { startListener } from '../support/listening.ts';
import { signingVerify } from '../support/signing.ts';
import { type SuiteServer, startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';
import { Desk, programOf } from './agent.ts';

const MODULES = join(import.meta.dirname, 'node_modules');

/** What `config` prints for a client. */
async function blockFor(client: string, ...args: string[]): Promise<string> {
  const bin = BinDriver.start({ args: ['config', client, ...args], anyStdout: true });
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  return `${bin.lines.join('\n')}\n`;
}

const onPath = (program: string): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find(existsSync);

interface Agent {
  readonly client: string;
  readonly program: string | undefined;
  readonly args: readonly string[];
  readonly file: string;
  readonly connected: RegExp;
  /** Files without which the agent does not trust the project. */
  readonly trust?: Readonly<Record<string, string>>;
}

const AGENTS: readonly Agent[] = [
  {
    client: 'claude-code',
    program: programOf('@anthropic-ai', /^claude-code-/, 'claude'),
    args: ['mcp', 'list'],
    file: 'project/.mcp.json',
    connected: /^aws: .*Connected/m,
    trust: { '.claude/settings.json': JSON.stringify({ enabledMcpjsonServers: ['aws'] }) },
  },
  {
    client: 'opencode',
    program: programOf('.', /^opencode-linux-x64-baseline$/, 'bin/opencode'),
    args: ['mcp', 'list'],
    file: 'project/opencode.json',
    connected: /aws\s+connected/,
  },
  {
    client: 'gemini-cli',
    program: process.execPath,
    args: [join(MODULES, '@google/gemini-cli/bundle/gemini.js'), 'mcp', 'list'],
    file: '.gemini/settings.json',
    connected: /aws: .*Connected/,
  },
];

let server: SuiteServer;
let gate: VerifyingProxy;

beforeAll(async () => {
  server = await startSuiteServer('both');
  gate = await VerifyingProxy.start(server.url, signingVerify);
});

afterAll(async () => {
  await gate.close();
  await server.close();
});

describe.each(AGENTS)(
  'the block of config for $client',
  ({ client, program, args, file, connected, trust = {} }) => {
    async function listedWith(block: string): Promise<string> {
      const desk = await Desk.set(program ?? '', gate.url);
      try {
        await desk.write(file, block);
        for (const [path, text] of Object.entries(trust)) await desk.write(path, text);
        return await desk.run(...args);
      } finally {
        await desk.clear();
      }
    }

    it.skipIf(program === undefined)(
      `the client ${client} starts the proxy with the block that config prints`,
      async () => {
        const before = gate.requests.length;
        expect(await listedWith(await blockFor(client, '--lazy', '--profile', 'dev'))).toMatch(connected);
        expect(gate.requests.slice(before).map(({ verification }) => verification.ok)).toContain(true);
      },
    );

    it.skipIf(program === undefined)(
      `the client ${client} connects to a listener with the block that config --listen prints`,
      async () => {
        const { url } = await startListener(gate.url);
        expect(await listedWith(await blockFor(client, '--listen', new URL(url).host))).toMatch(connected);
      },
    );
  },
);

const codex = onPath('codex');

describe.skipIf(codex === undefined)('the block of config for codex', () => {
  it.each([
    [['--profile', 'dev', '--header', 'x-api-key: secret'], { type: 'stdio', command: 'npx' }],
    [['--listen', '127.0.0.1:8080'], { type: 'streamable_http', url: 'http://127.0.0.1:8080/mcp' }],
  ])('Codex reads the block that config prints with %j', async (args, transport) => {
    const desk = await Desk.set(codex ?? '', gate.url);
    try {
      await desk.write('.codex/config.toml', await blockFor('codex', ...args));
      const printed = await desk.run('mcp', 'get', 'aws', '--json');
      const shown = JSON.parse(printed.slice(printed.indexOf('{'), printed.lastIndexOf('}') + 1));
      expect(shown).toMatchObject({ name: 'aws', enabled: true, transport, tool_timeout_sec: 305 });
    } finally {
      await desk.clear();
    }
  });
});

describe('the block of config for vscode', () => {
  const SOURCE =
    '@codingame/monaco-vscode-api/vscode/src/vs/workbench/contrib/mcp/common/mcpConfiguration.js';

  /** The schema by which VS Code checks mcp.json, from its own source. */
  async function problemsIn(document: unknown): Promise<readonly unknown[]> {
    const { mcpServerSchema } = await import(pathToFileURL(join(MODULES, SOURCE)).href);
    const { id, ...schema } = mcpServerSchema;
    expect(id).toBe('vscode://schemas/mcp');
    const ajv = new Ajv({ strict: false, allErrors: true, formats: { uri: (text) => URL.canParse(text) } });
    return ajv.validate(schema, document) ? [] : (ajv.errors ?? []);
  }

  it.each([
    ['a profile', ['--lazy', '--profile', 'dev']],
    ['a secret, which VS Code requests', ['--profile', 'dev', '--header', 'x-api-key: secret']],
    ['a listener', ['--listen', '127.0.0.1:8080']],
  ])("VS Code's schema accepts the block for %s", async (_what, args) => {
    expect(await problemsIn(JSON.parse(await blockFor('vscode', ...args)))).toEqual([]);
  });

  it("VS Code's schema refuses a block with a member that it does not know", async () => {
    const document = JSON.parse(await blockFor('vscode', '--profile', 'dev'));
    document.mcpServers = document.servers;
    expect(await problemsIn(document)).toHaveLength(1);
    document.servers.aws.comand = 'npx';
    expect((await problemsIn(document)).length).toBeGreaterThan(1);
  });
});
