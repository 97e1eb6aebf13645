// Builds the documentation site into site/dist, offline once its own packages are installed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pagesIn, pageText } from './pages.mjs';
import { unlisted } from './sidebar.mjs';

const site = import.meta.dirname;
const root = join(site, '..');
const out = join(site, 'pages');

function run(program, args) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const bin = (name) => join(site, 'node_modules', name);

if (!existsSync(bin('vitepress')))
  run(process.platform === 'win32' ? 'npm.cmd' : 'npm', [
    'ci',
    '--prefix',
    site,
    '--ignore-scripts',
    '--engine-strict=false',
  ]);

await rm(out, { recursive: true, force: true });
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
const repository = manifest.repository.url.replace(/^git\+|\.git$/g, '');
const pages = pagesIn(root);
for (const [file, page] of pages) {
  await mkdir(dirname(join(out, page)), { recursive: true });
  await writeFile(join(out, page), pageText(root, file, { pages, repository }));
}
await cp(join(site, 'index.md'), join(out, 'index.md'));

const missing = unlisted([...pages.values()]);
if (missing.length > 0) {
  process.stderr.write(`site/sidebar.mjs does not list ${missing.join(', ')}\n`);
  process.exit(1);
}

run(process.execPath, [
  bin('typedoc/bin/typedoc'),
  ...['--options', 'typedoc.json', '--out', join(out, 'reference')],
  ...['--plugin', bin('typedoc-plugin-markdown/dist/index.js')],
  ...['--readme', 'none', '--entryFileName', 'modules', '--hidePageHeader', '--hideBreadcrumbs'],
  // A type without documentation fails a test of its own, not the site.
  ...['--treatValidationWarningsAsErrors', 'false'],
  ...['--useCodeBlocks', '--router', 'member'],
]);
run(process.execPath, [bin('vitepress/bin/vitepress.js'), 'build', site]);
