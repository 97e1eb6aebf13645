import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { OAuthServer } from '../support/oauth-server.ts';
import { installed } from './installed.ts';

const BROWSER = fileURLToPath(new URL('../support/follow-login.cjs', import.meta.url));
const isInstalled = [
  installed('gnome-keyring-daemon', 'gnome-keyring'),
  installed('dbus-run-session', 'dbus-daemon'),
].every((path) => path !== undefined);

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-keychain-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a Secret Service on a bus of its own. @returns the variables that lead to it. */
async function startSecretService(unlock: boolean): Promise<Record<string, string>> {
  const folder = makeFolder();
  const daemon = 'gnome-keyring-daemon --components=secrets';
  const start = unlock ? `printf password | ${daemon} --unlock` : `${daemon} --start`;
  // Lives until its stdin ends.
  const script = `${start} >/dev/null 2>&1; echo "bus=$DBUS_SESSION_BUS_ADDRESS"; cat`;
  const session = spawn('dbus-run-session', ['--', 'sh', '-c', script], {
    env: { PATH: process.env.PATH, HOME: folder, XDG_RUNTIME_DIR: folder },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const closed = new Promise<void>((resolve) => session.once('close', () => resolve()));
  afterThisTest(() => {
    session.stdin.end();
    return closed;
  });
  let output = '';
  for await (const chunk of session.stdout.iterator({ destroyOnReturn: false })) {
    output += chunk;
    const address = /bus=(.+)\n/.exec(output)?.[1];
    if (address !== undefined) return { DBUS_SESSION_BUS_ADDRESS: address };
  }
  throw new Error('no Secret Service was started');
}

describe.skipIf(!isInstalled)('the tokens of a login in the Secret Service of GNOME', () => {
  async function makeUser(bus: Readonly<Record<string, string>>) {
    const server = await OAuthServer.start();
    const state = makeFolder();
    const run = (first: readonly string[], store: string) =>
      BinDriver.start({
        args: [...first, '--auth', 'oauth', '--retries', '0', '--oauth-store', store],
        env: { XDG_STATE_HOME: state, BROWSER, ...bus },
        anyStdout: first.length > 1,
      });
    /** The names of the files, and their text. */
    const files = (): readonly (readonly [path: string, text: string])[] => {
      const folder = join(state, 'mcp-sigv4-proxy/oauth');
      return readdirSync(folder).map((name) => [
        join(folder, name),
        readFileSync(join(folder, name), 'utf8'),
      ]);
    };
    return { server, run, files };
  }
  const echo = { name: 'echo', arguments: { n: 1 } };

  it('a login is kept in the keychain only, renewed there by two processes, and removed from it by logout', async () => {
    const { server, run, files } = await makeUser(await startSecretService(true));
    // Longer than what Windows and some services accept: this one has no limit.
    server.behaviour.padding = 'x'.repeat(20_000);
    const login = run(['login', server.url], 'auto');
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
    expect(login.lines.join('')).toContain('The tokens are in the keychain.');
    const texts = () =>
      files()
        .map(([, text]) => text)
        .join('');
    expect(texts()).not.toMatch(/access-|refresh-/);

    const clients = [run([server.url], 'keychain'), run([server.url], 'auto')];
    for (const client of clients) expect((await client.initialize()).result).toBeDefined();
    server.expireTokens();
    const answers = await Promise.all(clients.map((client) => client.request('tools/call', echo)));
    expect(answers.every(({ result }) => result !== undefined)).toBe(true);
    expect(server.grants).toEqual(['authorization_code', 'refresh_token']);
    expect(server.reused).toEqual([]);
    expect(texts()).not.toMatch(/access-|refresh-/);

    const doctor = run(['doctor', server.url], 'auto');
    expect((await doctor.exit()).code, doctor.lines.join('\n')).toBe(0);
    expect(doctor.lines.join('\n')).toContain('stored in the keychain');
    const logout = run(['logout', server.url], 'auto');
    expect((await logout.exit()).code, logout.stderr).toBe(0);
    const after = run([server.url], 'keychain');
    expect((await after.initialize()).error).toMatchObject({ data: { reason: 'login-required' } });
  });

  it.each([
    ['locked', async () => startSecretService(false)],
    ['absent', async () => ({})],
  ])(
    'a keychain that is %s is replaced by a file of the user, unless only the keychain is allowed',
    async (_state, bus) => {
      const { server, run, files } = await makeUser(await bus());
      const strict = run(['login', server.url], 'keychain');
      expect((await strict.exit()).code).toBe(1);
      expect(strict.stderr).toContain('the keychain cannot be used: ');
      // Before the user logs in for nothing.
      expect(server.tokenRequests).toEqual([]);
      const login = run(['login', server.url], 'auto');
      expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
      const [[path = '', text = ''] = []] = files();
      expect([statSync(path).mode & 0o777, text.includes('access-')]).toEqual([0o600, true]);
    },
  );
});
