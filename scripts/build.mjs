// Bundles the command line and the library. Bundled, because npx then fetches one package and start-up is a third shorter;
// split into chunks, because credential providers and the logger load only when first used.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const OUT = 'dist';

/** undici loads Node's HTTP/2 for connections that nobody here asks for: 3 ms of every start. */
const withoutHttp2 = {
  name: 'without-http2',
  setup({ onLoad }) {
    const contents = "module.exports = () => { throw new TypeError('HTTP/2 is not built in'); };";
    onLoad({ filter: /[\\/]undici[\\/]lib[\\/]dispatcher[\\/]client-h2\.js$/ }, () => ({ contents }));
  },
};

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
  plugins: [withoutHttp2],
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

// Bundled code keeps its authors' terms: every package that went in, with its licence.
const packages = new Map();
for (const input of Object.keys(metafile.inputs)) {
  const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
  if (!folder || packages.has(folder)) continue;
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  packages.set(folder, `${name} ${version} (${license})\n\n${texts.join('\n').trim()}\n`);
}
await writeFile(
  join(OUT, 'THIRD-PARTY-LICENSES.txt'),
  [...packages.values()].sort().join(`\n${'-'.repeat(80)}\n\n`),
);
