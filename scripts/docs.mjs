// Writes the option tables into docs/options.md, .env.example, the manual page and the options of
// the library, the examples into the pages that quote them, and the guides for clients.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = await mkdtemp(join(tmpdir(), 'docs-'));
try {
  await build({
    entryPoints: ['src/option-docs.ts', 'src/commands/config/guide.ts'],
    entryNames: '[name]',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
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
    await import(pathToFileURL(join(folder, 'option-docs.mjs')).href);
  const examples = {};
  for (const name of await readdir('examples'))
    examples[name] = await readFile(join('examples', name), 'utf8');
  const { clientGuides } = await import(pathToFileURL(join(folder, 'guide.mjs')).href);
  await mkdir('docs/clients', { recursive: true });
  for (const [name, guide] of Object.entries(await clientGuides()))
    await writeFile(join('docs/clients', name), guide);
  for (const name of await readdir('docs')) {
    if (!name.endsWith('.md')) continue;
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
