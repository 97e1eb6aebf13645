// Writes what comes from the option tables into the documents; with the examples that the README quotes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = await mkdtemp(join(tmpdir(), 'docs-'));
try {
  const outfile = join(folder, 'manual.mjs');
  await build({
    entryPoints: ['src/help.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'],
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  const { envExample, readmeWith } = await import(pathToFileURL(outfile).href);
  const example = await readFile('examples/library.mjs', 'utf8');
  await writeFile('README.md', readmeWith(await readFile('README.md', 'utf8'), example));
  await writeFile('.env.example', envExample());
} finally {
  await rm(folder, { recursive: true });
}
