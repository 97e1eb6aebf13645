import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runDemo } from '../../src/commands/demo.ts';
import { BIN_PATH, BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';

async function demo(binPath: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; output: string }> {
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  const code = await runDemo({ write, binPath, env: { PATH: process.env.PATH, ...env } });
  return { code, output };
}

/** A command that behaves as the given program instead of as the proxy. */
function standIn(program: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'mcp-demo-'));
  afterThisTest(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'stand-in.mjs');
  writeFileSync(path, program);
  return path;
}

const answering = (answer: string): string =>
  standIn(`import { createInterface } from 'node:readline';
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id } = JSON.parse(line);
  if (id !== undefined) console.log(${answer});
});`);

describe('demo', () => {
  it('demo sends the same signed calls over one connection and over many, and prints both times', async () => {
    const { code, output } = await demo(BIN_PATH);
    expect(output).not.toContain('failed');
    expect(code).toBe(0);
    const rows = [...output.matchAll(/^ +(\d+) +\d+ ms +(\d+) +(\d+)$/gm)].map((row) =>
      row.slice(1).map(Number),
    );
    expect(rows.map(([allowed]) => allowed)).toEqual([1, 16]);
    expect(rows[0]?.[1]).toBe(1);
    expect(rows[1]?.[1]).toBeGreaterThan(1);
    expect(rows[1]?.[1]).toBeLessThanOrEqual(8);
    // Eight calls, the handshake's two messages and one list, at the least.
    for (const row of rows) expect(row[2]).toBeGreaterThanOrEqual(11);
    expect(output).toContain('claude mcp add');
  });

  it('demo fails with the stderr text of the proxy that it started', async () => {
    const { code, output } = await demo(standIn(`console.error('no such option'); process.exitCode = 2;`));
    expect(code).toBe(1);
    expect(output).toMatch(/The demo failed: it ended with code 2\nno such option\n$/);
  });

  it('demo fails with the error answer of the server', async () => {
    const error = `JSON.stringify({ jsonrpc: '2.0', id, error: { code: -31007, message: 'not today' } })`;
    expect(await demo(answering(error))).toMatchObject({
      code: 1,
      output: expect.stringContaining('not today'),
    });
  });

  it('demo fails if stdout of the proxy contains a line that is not a message', async () => {
    const { code, output } = await demo(answering(`'hello'`));
    expect(code).toBe(1);
    expect(output).toContain('no message: hello');
  });

  it('demo fails if the proxy prints answers that the endpoint did not send', async () => {
    const { code, output } = await demo(answering(`JSON.stringify({ jsonrpc: '2.0', id, result: {} })`));
    expect(code).toBe(1);
    expect(output).toContain('the endpoint saw 0 calls where 8 were made');
  });

  it("demo ignores the user's AWS and proxy settings and uses test credentials", async () => {
    const names = `Object.keys(process.env).filter((name) => /^(AWS|MCP)_/i.test(name)).sort().join()`;
    const bin = answering(`JSON.stringify({ jsonrpc: '2.0', id, error: { code: 0, message: ${names} } })`);
    const { output } = await demo(bin, { AWS_PROFILE: 'mine', AWS_REGION: 'x', MCP_PROXY_TIMEOUT: '0' });
    expect(output).toContain('failed: AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN\n');
  });
});

it('demo reports each unsupported option once', async () => {
  const bin = BinDriver.start({ args: ['demo', '--json', '--timeout', '5', 'https://a.example/mcp'] });
  expect(await bin.exit()).toEqual({ code: 2, signal: null });
  expect(bin.stderr).toBe(
    'mcp-sigv4-proxy: 3 problems with the settings:\n' +
      '  --json is for doctor, tools, call, resources, read, prompts, prompt, ping, status only\n' +
      '  --timeout is not for demo\n' +
      '  demo takes no endpoint: it brings its own\n' +
      'Run mcp-sigv4-proxy demo --help-all for all options.\n',
  );
});
