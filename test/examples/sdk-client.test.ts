import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';

const EXAMPLE = join(import.meta.dirname, '../../examples/sdk-client.mjs');

it('the SDK client example lists the tools of a server that demands signatures, and deletes its session', async () => {
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  const { service, region } = signingVerify;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [EXAMPLE, server.url, service, region],
    { env: { PATH: process.env.PATH, ...signingEnv }, timeout: 20_000 },
  );
  expect(stdout).toMatch(/\becho\b/);
  expect(stderr).toBe('');
  expect(session.deleted).toHaveLength(1);
  expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
});
