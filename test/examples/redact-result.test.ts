import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';

const EXAMPLE = join(import.meta.dirname, '../../examples/redact-result.mjs');

it('the layer of the redaction example removes an e-mail address from the result of a tool', async () => {
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  const { service, region } = signingVerify;
  const args = JSON.stringify({ text: 'write to ada@example.com\ntoday' });
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [EXAMPLE, server.url, service, region, 'echo', args],
    { env: { PATH: process.env.PATH, ...signingEnv }, timeout: 20_000 },
  );
  expect(stdout).toBe('{"text":"write to [e-mail]\\ntoday"}\n');
  expect(stderr).toBe('');
  expect(server.requests.at(-1)?.method).toBe('DELETE');
  expect(session.deleted).toHaveLength(1);
});
