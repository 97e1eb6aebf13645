import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN_PATH } from '../support/bin-driver.ts';
import { type EverythingServer, startEverythingServer } from '../support/everything-server.ts';
import { startListener } from '../support/listening.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const INSPECTOR = join(import.meta.dirname, 'node_modules/.bin/mcp-inspector');

const stdioServer = async (endpoint: string) => ({
  server: { command: process.execPath, args: [BIN_PATH, endpoint, ...signingArgs], env: signingEnv },
  close: async () => undefined,
});

const httpServer = async (endpoint: string) => {
  const { bin, url } = await startListener(endpoint);
  return { server: { type: 'streamable-http', url }, close: () => bin.dispose() };
};

describe.each([
  ['stdio', stdioServer],
  ['the listener', httpServer],
] as const)(
  "the Inspector's command line, through %s, to a server that demands signatures",
  (_front, start) => {
    let server: EverythingServer;
    let verifier: VerifyingProxy;
    let front: Awaited<ReturnType<typeof start>>;
    let folder: string;
    let configFile: string;

    beforeAll(async () => {
      server = await startEverythingServer();
      verifier = await VerifyingProxy.start(server.url, signingVerify);
      front = await start(verifier.url);
      folder = mkdtempSync(join(tmpdir(), 'inspector-'));
      configFile = join(folder, 'mcp.json');
      writeFileSync(configFile, JSON.stringify({ mcpServers: { everything: front.server } }));
    });

    afterAll(async () => {
      await front.close();
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

    it('the Inspector lists the tools', async () => {
      const { tools } = await inspect('--method', 'tools/list');
      expect(tools).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'echo' })]));
    });

    it('the Inspector calls a tool', async () => {
      const args = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=hello'];
      expect(await inspect(...args)).toEqual({ content: [{ type: 'text', text: 'Echo: hello' }] });
    });

    it('the Inspector lists resources and prompts', async () => {
      expect(await inspect('--method', 'resources/list')).toHaveProperty('resources');
      expect(await inspect('--method', 'prompts/list')).toHaveProperty('prompts');
    });

    it('the Inspector has every one of its requests signed', () => {
      expect(verifier.requests.length).toBeGreaterThan(8);
      expect(verifier.refused).toEqual([]);
    });
  },
);
