// Bundles the command line and the library. Bundled, because npx then fetches one package and start-up is a third shorter;
// split into chunks, because credential providers and the logger load only when first used.
import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const OUT = 'dist';

const { metafile } = await build({
  entryPoints: { cli: 'src/cli.ts', index: 'src/index.ts' },
  outdir: OUT,
  bundle: true,
  splitting: true,
  metafile: true,
  format: 'esm',
  platform: 'node',
  // ES modules where a package has them: CommonJS cannot be shaken, and loses its named exports in a dynamic import.
  mainFields: ['module', 'main'],
  target: 'node20.18',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  // Bundled CommonJS calls require() for Node's own modules; an ES module has none of its own.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});

// What an earlier build left must not be published; what this one wrote is never missing in between.
const written = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
for (const name of await readdir(OUT)) {
  if (name.endsWith('.js') && !written.has(name)) await rm(join(OUT, name), { force: true });
}
