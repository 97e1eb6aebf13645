import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { profileLines } from '../support/accounts.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { send } from '../support/http-client.ts';
import { AUDIENCE, startIssuer } from '../support/issuer.ts';
import { listenerUrl, startListening } from '../support/listening.ts';
import { OAuthServer } from '../support/oauth-server.ts';
import { makeTempHome } from '../support/temp-home.ts';

const BROWSER = fileURLToPath(new URL('../support/follow-login.cjs', import.meta.url));

const readyAt = async (url: string) => {
  const { status, text } = await send(new URL('/readyz', url).href, { method: 'GET' });
  return [status, text] as const;
};

describe('/readyz with --auth oauth', () => {
  function makeUser() {
    const state = mkdtempSync(join(tmpdir(), 'mcp-ready-'));
    afterThisTest(() => rmSync(state, { recursive: true, force: true }));
    return (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      BinDriver.start({
        args: [...args, '--auth', 'oauth'],
        env: { XDG_STATE_HOME: state, BROWSER, ...env },
        anyStdout: args[0] === 'login',
      });
  }
  const listen = ['--listen', '127.0.0.1:0', '--log-level', 'info'];

  it('the listener is not ready before the login, the log has the command, and it is ready after the login', async () => {
    const server = await OAuthServer.start();
    const run = makeUser();
    const bin = run([server.url, ...listen]);
    const url = await listenerUrl(bin);
    expect(await readyAt(url)).toEqual([503, expect.stringMatching(/^no-credentials: /)]);
    await bin.stderrMatching(/npx mcp-sigv4-proxy login .*"listener\.not-ready"/);
    expect(server.mcpRequests).toEqual([]);
    const login = run(['login', server.url]);
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
    // A result is kept for five seconds.
    await expect.poll(() => readyAt(url), { timeout: 30_000 }).toEqual([200, 'ok\n']);
  });

  it('client credentials are obtained by the check itself', async () => {
    const server = await OAuthServer.start();
    server.behaviour.clients = { ci: 'secret-of-ci' };
    const flow = ['--oauth-flow', 'client-credentials', '--oauth-client-id', 'ci'];
    const secret = ['--oauth-client-secret-env', 'SECRET', '--oauth-issuer', server.origin];
    const bin = makeUser()([server.url, ...listen, ...flow, ...secret], { SECRET: 'secret-of-ci' });
    expect(await readyAt(await listenerUrl(bin))).toEqual([200, 'ok\n']);
    expect(server.grants).toEqual(['client_credentials']);
  });
});

describe('/readyz with --identity-map', () => {
  const web = {
    name: 'web',
    match: { subject: '*' },
    webIdentity: { arn: 'arn:aws:iam::123456789012:role/web' },
  };
  const rule = (profile: string) => ({ name: profile, match: { group: profile }, profile });

  it.each([
    ['users bring their tokens, and the proxy has no credentials', [web], [200, 'ok\n']],
    ['the profile of one rule has credentials', [rule('none'), rule('dev')], [200, 'ok\n']],
    [
      'no profile of a rule has credentials',
      [rule('none'), rule('nobody')],
      [503, expect.stringMatching(/^no-credentials: /)],
    ],
  ])('the listener is judged by what all users need: %s', async (_case, identities, expected) => {
    const issuer = await startIssuer();
    const { write } = await makeTempHome();
    const map = await write('map.json', JSON.stringify({ identities }));
    const { url } = await startListening({
      args: ['--listen-issuer', issuer.url, '--listen-audience', AUDIENCE, '--identity-map', map],
      env: {
        ...{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      files: { '.aws/config': profileLines('dev') },
      verify: false,
    });
    expect(await readyAt(url)).toEqual(expected);
  });
});
