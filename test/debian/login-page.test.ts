import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { OAuthServer } from '../support/oauth-server.ts';
import { startProtectedServer } from '../support/oidc-provider.ts';
import { makeGate } from '../support/relayed.ts';
import { installed } from './installed.ts';

const path = installed('chromium', 'chromium');
const AXE = readFileSync(resolve('node_modules/axe-core/axe.min.js'), 'utf8');

/** A phone in the dark, as a user may have it. */
const PHONE = { viewport: { width: 360, height: 640 }, colorScheme: 'dark' } as const;

describe.skipIf(!path)('the login in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: path ?? '', args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  async function openPage(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.newPage(options);
    afterThisTest(() => page.close());
    return page;
  }

  function makeUser() {
    const home = mkdtempSync(join(tmpdir(), 'mcp-login-page-'));
    afterThisTest(() => rmSync(home, { recursive: true, force: true }));
    return (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      BinDriver.start({
        args: [...args, '--auth', 'oauth'],
        env: { XDG_STATE_HOME: home, ...env },
        anyStdout: args[0] === 'login',
      });
  }

  /** The page that `login` prints where there is no browser, and the address that it returns to. */
  async function printed(login: BinDriver): Promise<{ readonly url: string; readonly callback: URL }> {
    await login.stderrMatching(/Open this URL in a browser of this machine: \S+\n/);
    const url = /machine: (\S+)/.exec(login.stderr)?.[1] ?? '';
    return { url, callback: new URL(new URL(url).searchParams.get('redirect_uri') ?? '') };
  }

  /** Fills in the forms of oidc-provider. */
  async function signIn(page: Page, url: string): Promise<void> {
    await page.goto(url);
    await page.locator('input[name=login]').fill('alice');
    await page.locator('input[name=password]').fill('a password');
    await page.getByRole('button', { name: 'Sign-in' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
  }

  const violations = async (page: Page): Promise<readonly unknown[]> => {
    await page.evaluate(AXE);
    return ((await page.evaluate('axe.run()')) as { violations: readonly { id: string }[] }).violations;
  };

  it('the user signs in and consents, the page fits a dark phone, the tokens are stored, and the next call succeeds', async () => {
    const server = await startProtectedServer();
    const run = makeUser();
    const login = run(['login', server.url]);
    const { url, callback } = await printed(login);
    const page = await openPage(PHONE);
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));

    // A page that knows the port, but not the state, ends no login; nor does a request for an icon.
    const forged = await page.goto(`${callback.href}?code=forged&state=guessed`);
    expect([forged?.status(), await page.getByRole('heading').textContent()]).toEqual([404, 'Not expected']);
    expect((await fetch(new URL('/favicon.ico', callback))).status).toBe(404);

    await signIn(page, url);
    await page.getByRole('heading', { name: 'Logged in' }).waitFor();
    expect(new URL(page.url()).origin).toBe(callback.origin);
    const [background, overflow] = (await page.evaluate(
      '[getComputedStyle(document.documentElement).colorScheme, document.documentElement.scrollWidth > innerWidth]',
    )) as [string, boolean];
    expect([background, overflow]).toEqual(['light dark', false]);
    expect(await violations(page)).toEqual([]);
    expect(faults).toEqual([]);
    if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, 'logged-in.png') });
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
    expect(login.lines.join('\n')).toMatch(
      /^Logged in to \S+ by http:\S+, scope .*renewed automatically\. The tokens are in \//,
    );
    // The port is closed: the page cannot be loaded again.
    await expect(page.reload()).rejects.toThrow(/ERR_CONNECTION_REFUSED/);

    const client = run([server.url]);
    await client.initialize({}, 0);
    const answer = await client.request('tools/call', { name: 'echo', arguments: { text: 'hello' } }, '');
    expect(answer.result).toBeDefined();
  });

  it('a second response is refused while the first is being exchanged, and a failed login is shown', async () => {
    const server = await OAuthServer.start();
    const run = makeUser();
    const gate = makeGate();
    server.behaviour.token = async (_request, response) => {
      await gate.opened;
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    };
    const login = run(['login', server.url]);
    const { url, callback } = await printed(login);
    const page = await openPage(PHONE);
    const requested = page.waitForRequest((request) => request.url().startsWith(callback.origin));
    const first = page.goto(url);
    const response = await requested;
    await server.http.until((all) => all.some((each) => each.url === '/token'));
    const other = await openPage();
    const second = await other.goto(response.url());
    expect([second?.status(), await other.getByRole('heading').textContent()]).toEqual([410, 'Not expected']);
    gate.open();
    await first;
    expect(await page.getByRole('heading').textContent()).toBe('Login failed');
    expect(await violations(page)).toEqual([]);
    if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, 'failed.png') });
    expect((await login.exit()).code).toBe(1);
    expect(login.stderr).toContain('invalid_grant');
  });

  it('the browser returns to the IPv6 loopback address', async () => {
    const server = await startProtectedServer();
    const login = makeUser()(['login', server.url, '--oauth-redirect-uri', 'http://[::1]/callback']);
    const { url, callback } = await printed(login);
    expect(callback.hostname).toBe('[::1]');
    const page = await openPage();
    await signIn(page, url);
    await page.getByRole('heading', { name: 'Logged in' }).waitFor();
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
  });

  it('the browser of the variable BROWSER is started with the page, and the login completes', async () => {
    const server = await OAuthServer.start();
    const folder = mkdtempSync(join(tmpdir(), 'mcp-browser-'));
    afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
    const script = join(folder, 'browser');
    const flags = `--headless --no-sandbox --disable-gpu --user-data-dir='${folder}/profile' --dump-dom`;
    writeFileSync(script, `#!/bin/sh\nexec '${path}' ${flags} "$1" >'${folder}/page.html' 2>/dev/null\n`);
    chmodSync(script, 0o755);
    const login = makeUser()(['login', server.url], { BROWSER: script });
    await expect.poll(() => readFileSync(join(folder, 'page.html'), 'utf8')).toContain('<h1>Logged in</h1>');
    expect(await login.exit(), login.stderr).toEqual({ code: 0, signal: null });
    expect(login.stderr).toContain('Log in in the browser that has opened.');
  });
});
