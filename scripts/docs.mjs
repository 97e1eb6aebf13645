// Writes the option tables into docs/options.md, .env.example, the manual page and the options of
// the library, and the examples into the pages that quote them.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = await mkdtemp(join(tmpdir(), 'docs-'));
try {
  const outfile = join(folder, 'option-docs.mjs');
  await build({
    entryPoints: ['src/option-docs.ts'],
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
  const { configSchemaText, envExample, libraryHandlerOptions, libraryOptions, manPage, pageWith } =
    await import(pathToFileURL(outfile).href);
  const examples = {};
  for (const name of await readdir('examples'))
    examples[name] = await readFile(join('examples', name), 'utf8');
  for (const name of await readdir('docs')) {
    const path = join('docs', name);
    const page = await readFile(path, 'utf8');
    const renewed = pageWith(page, examples);
    if (renewed !== page) await writeFile(path, renewed);
  }
  await writeFile('src/library/proxy-options.ts', libraryOptions());
  await writeFile('src/library/handler-options.ts', libraryHandlerOptions());
  await writeFile('.env.example', envExample());
  await mkdir('schema', { recursive: true });
  await writeFile('schema/config.schema.json', configSchemaText());
  await mkdir('man', { recursive: true });
  await writeFile('man/mcp-sigv4-proxy.1', manPage());
} finally {
  await rm(folder, { recursive: true });
}
