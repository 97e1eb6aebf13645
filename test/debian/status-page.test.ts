import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';
import { startWithStatus } from '../support/status-run.ts';
import { violations } from './axe.ts';
import { installed } from './installed.ts';

const path = installed('chromium', 'chromium');
describe.skipIf(!path)('the status page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: path ?? '', args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  /** A page over a proxy whose server has a slow tool and one with a hostile error. @param more - quick tools. */
  async function openPage(
    options: Parameters<Browser['newPage']>[0] = {},
    { more = [] }: { readonly more?: readonly string[] } = {},
  ) {
    const sessions = new SessionServer({
      tools: ['slow', 'quick', 'broken', ...more].map((name) => ({ name, inputSchema: { type: 'object' } })),
      on: {
        'tools/call': (_request, _response, context) => {
          const { name } = context.params;
          if (name === 'broken')
            return context.error(-32602, '<img src=x onerror="window.hit=1"> pass region');
          setTimeout(() => context.result({ content: [] }), name === 'slow' ? 300 : 0);
        },
      },
    });
    const server = await ScriptedServer.start(sessions.behaviour, { verify: signingVerify });
    const run = await startWithStatus(server.url, { args: ['--max-connections', '1'] });
    await run.proxy.initialize({}, 'init');
    await run.proxy.request('tools/list', {}, 'list');
    let id = 0;
    const call = (name: string) => run.proxy.request('tools/call', { name, arguments: {} }, id++);
    const page = await browser.newPage(options);
    const foreign: string[] = [];
    const faults: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(run.status)) foreign.push(request.url());
    });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => faults.push(message.text()));
    await page.goto(run.status);
    return { ...run, page, call, foreign, faults };
  }

  it('the status page shows the slowest tool, the signer, why calls wait, and errors as text', async () => {
    const { page, call, foreign, faults } = await openPage();
    for (const name of ['slow', 'broken']) await call(name);
    // With one connection, the second waits.
    await Promise.all([call('quick'), call('quick')]);
    await page.getByText('pass region').first().waitFor();
    // The slowest first.
    expect(await page.locator('#tools tbody th').first().textContent()).toBe('slow');
    expect(await page.locator('#waits tbody').textContent()).toContain('connection');
    expect(await page.locator('#profiles').textContent()).toContain('environment');
    await page.getByText('AWS is not reachable').or(page.getByText('unknown')).first().waitFor();
    expect(await page.locator('#errors img').count()).toBe(0);
    expect(await page.evaluate('window.hit')).toBeUndefined();
    // Live: the page shows later calls without being loaded again.
    const calls = page.locator('#tools tbody tr', { hasText: 'quick' }).locator('td').first();
    await Promise.all([call('quick'), call('quick')]);
    await expect.poll(() => calls.textContent()).toBe('4');
    expect({ foreign, faults }).toEqual({ foreign: [], faults: [] });
  });

  it.each([
    ['light', { colorScheme: 'light', viewport: { width: 1_200, height: 900 } }],
    ['dark', { colorScheme: 'dark', viewport: { width: 1_200, height: 900 } }],
    ['narrow', { colorScheme: 'dark', viewport: { width: 360, height: 740 } }],
  ] as const)('the status page passes axe and needs no sideways scrolling, %s', async (_what, options) => {
    const { page, call } = await openPage(options);
    await Promise.all([call('slow'), call('quick'), call('broken')]);
    await page.getByText('pass region').first().waitFor();
    expect(await violations(page)).toEqual([]);
    const width = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBe(options.viewport.width);
  });

  it('the status page is used with the keyboard: skip link, sorting, scrolling', async () => {
    const { page, call } = await openPage();
    await Promise.all([call('slow'), call('quick'), call('quick')]);
    await expect.poll(() => page.locator('#tools tbody tr').count()).toBe(2);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the values');
    await page.locator('#tools th[data-key=calls] button').focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('#tools th[data-key=calls]').getAttribute('aria-sort')).toBe('descending');
    expect(await page.locator('#tools tbody th').first().textContent()).toBe('quick');
    await page.keyboard.press('Enter');
    expect(await page.locator('#tools th[data-key=calls]').getAttribute('aria-sort')).toBe('ascending');
  });

  it('the status page says that it is old when the proxy has ended', async () => {
    const { page, proxy } = await openPage();
    await page.getByText('Live:').waitFor();
    proxy.closeStdin();
    await proxy.exit();
    await page.getByText('The connection to the proxy is lost').waitFor();
  });

  it('the status page lists the users of an identity map on a phone, with their names as text', async () => {
    const viewport = { width: 360, height: 740 };
    const { page } = await openPage({ colorScheme: 'dark', viewport });
    expect(await page.locator('#users-part').isVisible()).toBe(false);
    await page.evaluate(`(async () => {
      const report = await (await fetch('/status.json')).json();
      const own = { rule: 'operators', account: '123456789012', role: 'ops', requests: 1, connections: 2, breaker: 'open' };
      report.users = [{ ...own, name: 'user:' + '<img src=x>'.repeat(20) }, { ...own, name: 'ci', account: undefined }];
      report.userCount = 102;
      window.statusSource.close();
      window.statusSource.onmessage({ data: JSON.stringify(report) });
    })()`);
    await page.getByText('The latest 2 of 102 users.').waitFor();
    expect(await page.locator('#users tbody tr').count()).toBe(2);
    expect(await page.locator('#users img').count()).toBe(0);
    expect(await page.locator('#users tbody').textContent()).toContain('no request yet');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width);
    expect(await violations(page)).toEqual([]);
    if (process.env.PICTURES)
      await page.locator('#users-part').screenshot({ path: `${process.env.PICTURES}/users.png` });
  });

  it('the status page shows the first 200 of 1,000 tools in the order that is chosen, and states their number', async () => {
    const more = Array.from({ length: 998 }, (_, at) => `tool-${at}`);
    const { page, call, faults } = await openPage({}, { more });
    for (const name of ['slow', 'quick', 'quick', ...more]) await call(name);
    await page.getByText('The first 200 of 1000 tools; all are in status.json.').waitFor();
    expect(await page.locator('#tools tbody tr').count()).toBe(200);
    expect(await page.locator('#tools tbody th').first().textContent()).toBe('slow');
    await page.locator('#tools th[data-key=calls] button').click();
    expect(await page.locator('#tools tbody th').first().textContent()).toBe('quick');
    expect(await violations(page)).toEqual([]);
    expect(faults).toEqual([]);
  });

  it('the status page does not grow while it is open for a day', async () => {
    const { page, call } = await openPage();
    await Promise.all([call('slow'), call('broken')]);
    await page.getByText('pass region').first().waitFor();
    const grown = (await page.evaluate(`(async () => {
      const report = await (await fetch('/status.json')).json();
      const point = { at: 0, callsPerSecond: 1, errorsPerSecond: 0, p50: 0.1, p95: 0.2 };
      report.history = Array.from({ length: 179 }, () => point);
      const source = window.statusSource;
      const show = () => source.onmessage({ data: JSON.stringify(report) });
      show();
      const before = document.getElementsByTagName('*').length;
      for (let at = 0; at < 2000; at++) show();
      return document.getElementsByTagName('*').length - before;
    })()`)) as number;
    expect(grown).toBe(0);
  });
});
