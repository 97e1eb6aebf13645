import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { startProtectedServer } from '../support/oidc-provider.ts';

/** Fills in the forms of the login as a user does. */
const BROWSER = fileURLToPath(new URL('../support/fill-login.cjs', import.meta.url));

it('--auth oauth logs in at oidc-provider, calls, renews, and logs out', async () => {
  const state = mkdtempSync(join(tmpdir(), 'mcp-oidc-'));
  afterThisTest(() => rmSync(state, { recursive: true, force: true }));
  const server = await startProtectedServer();
  const run = (...args: string[]) =>
    BinDriver.start({
      args: [...args, '--auth', 'oauth'],
      env: { XDG_STATE_HOME: state, BROWSER },
      anyStdout: args.length > 1,
    });
  const login = run('login', server.url);
  expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
  expect(login.lines.join('')).toMatch(/ by http:\S+, scope .*tools.*, renewed automatically/);

  const client = run(server.url);
  await client.initialize({}, 0);
  const echo = { name: 'echo', arguments: { text: 'hello' } };
  expect((await client.request('tools/call', echo, '')).result).toBeDefined();
  server.expireTokens();
  expect((await client.request('tools/call', echo, -1)).result).toBeDefined();
  expect(server.grants).toEqual(['authorization_code', 'refresh_token']);

  const logout = run('logout', server.url);
  expect(await logout.exit(), logout.stderr).toEqual({ code: 0, signal: null });
  expect(logout.lines.join('')).toContain('the tokens are revoked');
});
