// The pages of the site, from the Markdown files of the repository. These stay where README.md, npm
// and GitHub show them.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { errorPage, optionPage } from './sections.mjs';

/** The page of each file of the repository. */
export function pagesIn(root) {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.md'));
  return new Map([
    ['README.md', 'introduction.md'],
    ['SECURITY.md', 'security.md'],
    ['CONTRIBUTING.md', 'contributing.md'],
    ['CHANGELOG.md', 'changelog.md'],
    ...docs.map((name) => [`docs/${name}`, name]),
  ]);
}

/** A page without its fenced blocks is changed; the blocks are kept. */
const outsideFences = (text, change) =>
  text
    .split(/^(```[\s\S]*?^```$)/gm)
    .map((part, at) => (at % 2 === 0 ? change(part) : part))
    .join('');

/**
 * The text of a page. Links between pages stay links between pages; a link to another file of the
 * repository leads to the repository.
 */
export function pageText(root, file, { pages, repository }) {
  const source = readFileSync(join(root, file), 'utf8');
  const page = pages.get(file);
  const linked = outsideFences(source, (text) =>
    text.replaceAll(/<!--[\s\S]*?-->\n*/g, '').replace(/(\]\()([^)\s]+)(\))/g, (whole, open, link, close) => {
      if (/^(https?:|mailto:|#)/.test(link)) return whole;
      const [path, anchor] = link.split('#');
      const target = posix.join(posix.dirname(file), path);
      const suffix = anchor === undefined ? '' : `#${anchor}`;
      const targetPage = pages.get(target);
      if (targetPage !== undefined) {
        const relative = posix.relative(posix.dirname(page), targetPage);
        return `${open}${relative.startsWith('.') ? relative : `./${relative}`}${suffix}${close}`;
      }
      // A file that does not exist stays a dead link, which fails the build.
      if (!existsSync(join(root, target))) return whole;
      const kind = statSync(join(root, target)).isDirectory() ? 'tree' : 'blob';
      return `${open}${repository}/${kind}/main/${target}${suffix}${close}`;
    }),
  );
  const text = REFERENCES[file]?.(linked) ?? linked;
  // The guides are written from a table, which an editor of the page would not find.
  const editable = !file.startsWith('docs/clients/');
  const front = editable ? `editUrl: ${repository}/edit/main/${file}` : 'editLink: false';
  return `---\n${front}\n---\n\n${text}`;
}

/** The references, whose tables become sections. */
const REFERENCES = { 'docs/errors.md': errorPage, 'docs/options.md': optionPage };
