import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';

const EXAMPLE = join(import.meta.dirname, '../../examples/session-pool.mjs');

it('the session pool example serves users over signed sessions of their own, and deletes them on SIGTERM', async () => {
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  const { service, region } = signingVerify;
  const web = spawn(process.execPath, [EXAMPLE, server.url, service, region, '0'], {
    env: { PATH: process.env.PATH, ...signingEnv },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = await once(web.stdout, 'data');
    const call = (user: string) =>
      fetch(`${String(line).trim()}/tools/echo`, {
        method: 'POST',
        headers: { 'x-user': user },
        body: JSON.stringify({ text: user }),
      });
    for (const user of ['ada', 'bob', 'ada']) {
      const response = await call(user);
      expect([response.status, JSON.stringify(await response.json())]).toEqual([
        200,
        expect.stringContaining('content'),
      ]);
    }
    const exited = once(web, 'exit');
    web.kill('SIGTERM');
    await exited;
  } finally {
    web.kill('SIGKILL');
  }
  // One that start opens, and one for each user.
  expect(session.deleted).toHaveLength(3);
  expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
});
