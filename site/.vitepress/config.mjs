import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitepress';
import { accessible, anchorOf } from '../markdown.mjs';
import { sidebar } from '../sidebar.mjs';

const site = join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(site, '../package.json'), 'utf8'));
const repository = manifest.repository.url.replace(/^git\+|\.git$/g, '');

/** GitHub Pages serves the site of a repository in a folder of its name. */
const base = process.env.DOCS_BASE ?? `/${repository.split('/').at(-1)}/`;

/** The titles of the clients, in the order of their list. */
const clients = [
  ...readFileSync(join(site, 'pages/clients/index.md'), 'utf8').matchAll(/^\| \[(.+?)\]\(\.\/(.+?)\.md\)/gm),
].map(([, title, page]) => [title, `clients/${page}`]);

export default defineConfig({
  title: manifest.name,
  description: manifest.description,
  lang: 'en',
  base,
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: 'node_modules/.cache/vitepress',
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}icon.svg` }]],
  markdown: {
    // Text such as <name> is text, here and on GitHub.
    html: false,
    config: accessible,
    anchor: { slugify: anchorOf },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  // The API reference and the home page are written from code.
  transformPageData: ({ frontmatter }) => {
    if (frontmatter.editUrl === undefined) frontmatter.editLink = false;
  },
  // The pages are copies: their public folder is that of the site.
  vite: { publicDir: join(site, 'public') },
  themeConfig: {
    sidebar: sidebar(clients),
    nav: [
      { text: 'Introduction', link: '/introduction' },
      { text: 'Clients', link: '/clients/' },
      { text: 'Options', link: '/options' },
      { text: 'Errors', link: '/errors' },
      { text: manifest.version, link: '/changelog' },
    ],
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: {
      // Runs in the browser, so it names nothing of this file.
      pattern: ({ frontmatter }) => frontmatter.editUrl,
      text: 'Edit this page',
    },
    externalLinkIcon: true,
  },
});
