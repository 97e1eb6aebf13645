import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blocksIn } from '../support/doc-pages.ts';
import { startListener } from '../support/listening.ts';
import { signingVerify } from '../support/signing.ts';
import { type SuiteServer, startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';
import { Desk, programOf } from './agent.ts';

const [claudeBlock = '', opencodeBlock = ''] = blocksIn('README.md', 'json');
/** The line of a page that adds the proxy to Claude Code in this way. */
const lineWith = (words: string, page: string): string =>
  blocksIn(page, 'sh')
    .flatMap((block) => block.split('\n'))
    .find((line) => line.startsWith('claude mcp add ') && line.includes(words)) ?? '';

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

/** Runs an agent's command where nothing is set up but what `prepare` writes. */
async function at(
  program: string,
  prepare: (desk: Desk) => Promise<unknown>,
  ...args: string[]
): Promise<string> {
  const desk = await Desk.set(program, gate.url);
  try {
    await prepare(desk);
    const before = gate.requests.length;
    const printed = await desk.run(...args);
    expect(gate.requests.slice(before).map(({ verification }) => verification.ok)).toContain(true);
    expect(gate.refused).toEqual([]);
    return printed;
  } finally {
    await desk.clear();
  }
}

const claude = programOf('@anthropic-ai', /^claude-code-/, 'claude') ?? 'not installed';
// Only its program for Linux on x64 is among the dependencies: the registry's set of the others is not always whole.
const opencode = programOf('.', /^opencode-linux-x64-baseline$/, 'bin/opencode');

describe('Claude Code', () => {
  const approved = JSON.stringify({ enabledMcpjsonServers: ['aws'] });

  it.each(['npx', 'mcp-sigv4-proxy'])(
    'Claude Code connects to the server that the README adds with %s',
    async (command) => {
      const add = lineWith(` -- ${command} `, 'README.md').split(' ').slice(1);
      expect(await at(claude, (desk) => desk.run(...add), 'mcp', 'list')).toMatch(/^aws: .*Connected/m);
    },
  );

  it('Claude Code connects to the server of the block in the README', async () => {
    const prepare = async (desk: Desk) => {
      await desk.write('project/.mcp.json', claudeBlock);
      await desk.write('.claude/settings.json', approved);
    };
    expect(await at(claude, prepare, 'mcp', 'list')).toMatch(/^aws: .*Connected/m);
  });

  it('Claude Code connects to a listener by the command in docs/listener.md', async () => {
    const { url } = await startListener(gate.url);
    const add = lineWith('--transport http', 'docs/listener.md')
      .replace(/http:.*/, url)
      .split(' ')
      .slice(1);
    expect(await at(claude, (desk) => desk.run(...add), 'mcp', 'list')).toMatch(/^aws: .*Connected/m);
  });
});

describe.skipIf(opencode === undefined)('opencode', () => {
  it('opencode connects to the server of the block in the README', async () => {
    const prepare = (desk: Desk) => desk.write('project/opencode.json', opencodeBlock);
    expect(await at(opencode ?? '', prepare, 'mcp', 'list')).toMatch(/aws\s+connected/);
  });
});
