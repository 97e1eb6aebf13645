import { availableParallelism } from 'node:os';
import { posix } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/core/errors/errors.ts';
import { violations } from './axe.ts';
import { installed } from './installed.ts';
import { buildSite, serveSite, sitePage, sitePages } from './site-server.ts';

/** The build takes half a minute of CPU; a machine that does other work takes longer. */
const BUILD_MS = 600_000;
const BASE = '/mcp-sigv4-proxy/';
const path = installed('chromium', 'chromium');

beforeAll(buildSite, BUILD_MS);

/** The values of an attribute on a page, decoded. */
const attributes = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.replaceAll('&amp;', '&'),
  );

describe('the files of the documentation site', () => {
  it('each link of the site leads to a page that exists, and each anchor to a heading on it', () => {
    const pages = new Map(sitePages().map((page) => [page, sitePage(page)]));
    expect(pages.size).toBeGreaterThan(150);
    const dead: string[] = [];
    let checked = 0;
    for (const [page, html] of pages) {
      for (const href of attributes(html.replace(/<head>[\s\S]*?<\/head>/, ''), 'href')) {
        if (/^(https?|mailto):/.test(href)) continue;
        const [target = '', anchor] = decodeURIComponent(href).split('#');
        const absolute = target === '' ? `/${page}` : posix.resolve(posix.dirname(`${BASE}${page}`), target);
        const file = absolute.replace(BASE, '').replace(/^\//, '');
        const found =
          target.endsWith('/') || file === BASE.slice(1, -1)
            ? posix.join(file === BASE.slice(1, -1) ? '' : file, 'index.html')
            : file;
        const text = pages.get(found);
        checked++;
        if (text === undefined || (anchor && !attributes(text, 'id').includes(anchor)))
          dead.push(`${page}: ${href}`);
      }
    }
    expect(checked).toBeGreaterThan(1_000);
    expect(dead).toEqual([]);
  });

  it('the site has a guide for each client, a section for each error, and the reference of the library', () => {
    const pages = sitePages();
    expect(pages).toEqual(
      expect.arrayContaining(['clients/codex.html', 'reference/index/classes/SessionPool.html']),
    );
    const ids = attributes(sitePage('errors.html'), 'id');
    expect(ids).toEqual(expect.arrayContaining(Object.keys(ERROR_CODES)));
    expect(attributes(sitePage('options.html'), 'id')).toEqual(
      expect.arrayContaining(['max-connections', 'endpoint', 'tool-timeout']),
    );
  });
});

describe.skipIf(!path)('the documentation site in Chromium', () => {
  let browser: Browser;
  let site: Awaited<ReturnType<typeof serveSite>>;

  beforeAll(async () => {
    site = await serveSite();
    browser = await chromium.launch({ executablePath: path ?? '', args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser.close();
    site.close();
  });

  async function openPage(options: Parameters<Browser['newPage']>[0] = {}) {
    const page: Page = await browser.newPage(options);
    const foreign: string[] = [];
    const faults: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(site.url)) foreign.push(request.url());
    });
    page.on('response', (response) => {
      if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
    });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => faults.push(message.text()));
    return { page, foreign, faults };
  }

  it('the search of the site finds session-lost, and its result leads to the section of the error', async () => {
    const { page, foreign, faults } = await openPage();
    await page.goto(site.url);
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('searchbox').fill('session-lost');
    const result = page.locator('.VPLocalSearchBox .result').filter({ hasText: 'Error reference' }).first();
    await result.click();
    await page.waitForURL(/errors\.html#session-lost$/);
    await page.locator('#session-lost').waitFor();
    expect({ foreign, faults }).toEqual({ foreign: [], faults: [] });
  });

  const DESKTOP = { width: 1_280, height: 900 };
  const PHONE = { width: 360, height: 740 };
  /** The pages of the API are alike, and so are the guides: one of each stands for all. */
  const every = () =>
    sitePages().filter(
      (page) =>
        !/^(404|reference\/(?!modules|index\/classes\/SessionPool\.)|clients\/(?!codex|index))/.test(page),
    );
  /** One page of each kind. */
  const some = ['index.html', 'errors.html', 'clients/codex.html', 'limits.html'];

  /** Opens pages side by side, and returns the faults that `look` and the browser find. */
  async function faultsOn(
    pages: readonly string[],
    options: Parameters<Browser['newPage']>[0],
    look: (page: Page, name: string) => Promise<readonly string[]>,
  ): Promise<readonly string[]> {
    const left = [...pages];
    const work = async (): Promise<readonly string[]> => {
      const { page, foreign, faults } = await openPage(options);
      const found: string[] = [];
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        await page.goto(site.url + name);
        found.push(...(await look(page, name)).map((fault) => `${name} ${fault}`));
      }
      await page.close();
      return [...found, ...foreign, ...faults];
    };
    return (await Promise.all(Array.from({ length: availableParallelism() }, work))).flat();
  }

  it(
    'axe finds no fault in the structure of any page of the site, and none needs sideways scrolling on a phone',
    async () => {
      const pages = every();
      expect(pages.length).toBeGreaterThan(30);
      const found = await faultsOn(pages, { viewport: DESKTOP }, async (page) => {
        const faults = await violations(page, { contrast: false });
        await page.setViewportSize(PHONE);
        const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
        await page.setViewportSize(DESKTOP);
        return width > PHONE.width ? [...faults, `is ${width} wide`] : faults;
      });
      expect(found).toEqual([]);
    },
    BUILD_MS,
  );

  it.each([
    ['light', { colorScheme: 'light', viewport: DESKTOP }],
    ['dark', { colorScheme: 'dark', viewport: DESKTOP }],
    ['phone', { colorScheme: 'light', viewport: PHONE }],
  ] as const)(
    'axe finds no fault on the pages of the site, %s',
    async (_what, options) => {
      expect(await faultsOn(some, options, (page) => violations(page))).toEqual([]);
    },
    BUILD_MS,
  );

  it('a page of the site that is too wide for a phone is found', async () => {
    const { page } = await openPage({ viewport: DESKTOP });
    await page.goto(`${site.url}errors.html`);
    await page.evaluate(
      "document.body.insertAdjacentHTML('beforeend', '<div style=\"width: 500px\">wide</div>')",
    );
    await page.setViewportSize(PHONE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeGreaterThan(PHONE.width);
  });

  it('the site is used with the keyboard: the first Tab reaches the link to the content', async () => {
    const { page } = await openPage();
    await page.goto(`${site.url}errors.html`);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
  });
});
