import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Page } from 'playwright-core';

const AXE = readFileSync(resolve('node_modules/axe-core/axe.min.js'), 'utf8');

/** Contrast takes most of the time: it needs the style of each piece of text. */
const WITHOUT_CONTRAST = "rules: { 'color-contrast': { enabled: false } },";

/** The faults of accessibility that axe-core finds on a page, with the elements. */
export async function violations(page: Page, { contrast = true } = {}): Promise<readonly string[]> {
  // `evaluate` is not subject to the page's policy, which forbids foreign scripts.
  await page.evaluate(AXE);
  // Only texts leave the browser: the whole report has an entry for each element of the page.
  return page.evaluate(`axe
    .run({ ${contrast ? '' : WITHOUT_CONTRAST} resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(
      ({ id, nodes }) => id + ': ' + nodes.map(({ target }) => target).join(' '),
    ))`);
}
