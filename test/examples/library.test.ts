import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const EXAMPLE = join(EXAMPLES, 'library.mjs');

it('the library example initializes a session with a server that demands signatures, and deletes it', async () => {
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [EXAMPLE, server.url, ...signingArgs],
    {
      env: { PATH: process.env.PATH, ...signingEnv },
    },
  );
  expect(stdout).toMatch(/^\S+ speaks 2025-11-25\n$/);
  expect(stderr).toBe('');
  expect(session.sessions.size).toBe(0);
  expect(session.deleted).toHaveLength(1);
});

it('the signing example sends a request that a server accepts by its signature', async () => {
  const server = await ScriptedServer.start(
    ({ rpc }, response) => sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} }),
    { verify: signingVerify },
  );
  const { service, region } = signingVerify;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [join(EXAMPLES, 'sign-request.mjs'), server.url, service, region],
    { env: { PATH: process.env.PATH, ...signingEnv } },
  );
  expect(stdout).toBe('200 {"jsonrpc":"2.0","id":0,"result":{}}\n');
  expect(stderr).toBe('');
  expect(server.requests.map(({ verification }) => verification?.ok)).toEqual([true]);
});
