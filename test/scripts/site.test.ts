import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

/** The modules of the site are plain JavaScript, without types. */
const moduleOf = (name: string) => import(new URL(`../../site/${name}`, import.meta.url).href);
const { anchorOf } = await moduleOf('markdown.mjs');
const { pagesIn, pageText } = await moduleOf('pages.mjs');
const { errorPage, optionPage } = await moduleOf('sections.mjs');

const repository = 'https://example.com/project';

/** A repository with these files. */
function repositoryWith(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'site-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries({ 'docs/errors.md': '', ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

describe('the pages of the documentation site', () => {
  it.each([
    ['[a](docs/tools.md)', '[a](./tools.md)'],
    ['[a](docs/clients/codex.md#check)', '[a](./clients/codex.md#check)'],
    ['[a](#here) [b](https://example.com/x.md)', '[a](#here) [b](https://example.com/x.md)'],
    ['[a](examples/a.mjs)', '[a](https://example.com/project/blob/main/examples/a.mjs)'],
    ['[a](examples)', '[a](https://example.com/project/tree/main/examples)'],
    ['[a](docs/none.md)', '[a](docs/none.md)'],
    ['```md\n[a](docs/tools.md)\n```', '```md\n[a](docs/tools.md)\n```'],
    ['<!-- written by a program -->\n\ntext', 'text'],
  ])('the text %j of the README becomes %j on the site', (text, expected) => {
    const root = repositoryWith({
      'README.md': text,
      'docs/tools.md': '',
      'docs/clients/codex.md': '',
      'examples/a.mjs': '',
    });
    const written = pageText(root, 'README.md', { pages: pagesIn(root), repository });
    expect(written).toBe(`---\neditUrl: ${repository}/edit/main/README.md\n---\n\n${expected}`);
  });

  it('a link from a guide leads up to the page of another folder, and the guide has no link to edit it', () => {
    const root = repositoryWith({ 'docs/clients/codex.md': '[a](../tools.md)', 'docs/tools.md': '' });
    const written = pageText(root, 'docs/clients/codex.md', { pages: pagesIn(root), repository });
    expect(written).toBe('---\neditLink: false\n---\n\n[a](../tools.md)');
  });

  it('a row of the table of errors becomes a section with an anchor of its own', () => {
    const page =
      '| reason | code | status | what happened | what to do |\n|---|---|---|---|---|\n| `a-b` | -31001 | 502 | it broke | try `x\\|y` |\n\nEnd.\n';
    expect(errorPage(page)).toBe(
      '## `a-b` {#a-b}\n\nIt broke.\n\n**Remedy:** try `x|y`.\n\nCode `-31001`; HTTP status of the listener: 502.\n\nEnd.\n',
    );
  });

  it('a row of the table of options becomes a section below that of its group', () => {
    const page =
      '| option | default | takes | what it does |\n|---|---|---|---|\n| **Network** | | | |\n| `--proxy <url>` |  | a URL | the proxy |\n| `--retries <n>` | 2 | an integer | attempts |\n<!-- /options -->\n\nEnd.\n';
    expect(optionPage(page)).toBe(
      '## Network\n\n### `--proxy <url>` {#proxy}\n\nThe proxy.\n\nTakes: a URL.\n\n### `--retries <n>` {#retries}\n\nAttempts.\n\nTakes: an integer. Default: 2.\n\n<!-- /options -->\n\nEnd.\n',
    );
  });

  it('a reference whose table has another head is an error, not a page without its table', () => {
    expect(() => errorPage('| reason | number |\n|---|---|\n')).toThrow('no table with the head');
  });

  it.each([
    ['`--lazy` is an option', '--lazy-is-an-option'],
    ['Servers of HTTP+SSE (2024-11-05)', 'servers-of-httpsse-2024-11-05'],
    ['Über uns', 'über-uns'],
  ])('the heading "%s" has the anchor %s, as on GitHub', (heading, anchor) => {
    expect(anchorOf(heading)).toBe(anchor);
  });
});
