import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN_PATH } from '../support/bin-driver.ts';
import { startEverythingServer } from '../support/everything-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const INSPECTOR = join(import.meta.dirname, 'node_modules/.bin/mcp-inspector');

describe("the Inspector's command line, through the proxy, to a server that demands signatures", () => {
  let server: Awaited<ReturnType<typeof startEverythingServer>>;
  let verifier: VerifyingProxy;
  let folder: string;
  let configFile: string;

  beforeAll(async () => {
    server = await startEverythingServer();
    verifier = await VerifyingProxy.start(server.url, signingVerify);
    folder = mkdtempSync(join(tmpdir(), 'inspector-'));
    configFile = join(folder, 'mcp.json');
    const command = {
      command: process.execPath,
      args: [BIN_PATH, verifier.url, ...signingArgs],
      env: signingEnv,
    };
    writeFileSync(configFile, JSON.stringify({ mcpServers: { everything: command } }));
  });

  afterAll(async () => {
    await verifier.close();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  const inspect = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [INSPECTOR, '--cli', '--config', configFile, '--server', 'everything', ...args],
      { env: { PATH: process.env.PATH, HOME: folder } },
    );
    return JSON.parse(stdout.slice(stdout.indexOf('{')));
  };

  it('lists the tools', async () => {
    const { tools } = await inspect('--method', 'tools/list');
    expect(tools).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'echo' })]));
  });

  it('calls a tool', async () => {
    const args = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hello'];
    expect(await inspect(...args)).toEqual({ content: [{ type: 'text', text: 'Echo: hello' }] });
  });

  it('lists resources and prompts', async () => {
    expect(await inspect('--method', 'resources/list')).toHaveProperty('resources');
    expect(await inspect('--method', 'prompts/list')).toHaveProperty('prompts');
  });

  it('had every one of its requests signed', () => {
    expect(verifier.requests.length).toBeGreaterThan(8);
    expect(verifier.refused).toEqual([]);
  });
});
