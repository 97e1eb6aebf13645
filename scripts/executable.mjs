// Builds the single executable: Node, the bundle of the command line, and nothing else. It is for
// the system and the processor of this Node.
// https://nodejs.org/api/single-executable-applications.html
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { runInThisContext } from 'node:vm';
import { build } from 'esbuild';
import { inject } from 'postject';

const DIST = 'dist';
const OUT = process.argv[2] ?? 'executable';
/** The fuse in Node's binary that the injection flips. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** The chunks that the command line loads, at once or later. */
function chunksOf(entry) {
  const chunks = new Set();
  const open = [entry];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (chunks.has(name)) continue;
    chunks.add(name);
    const source = readFileSync(join(DIST, name), 'latin1');
    open.push(...[...source.matchAll(/require\(\s*"\.\/([^"]+)"\s*\)/g)].map(([, to]) => to));
  }
  return chunks;
}

function run(program, args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (error || status !== 0) throw error ?? new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`);
}

const START_CHUNKS = 'start-chunks.cjs';
/** The chunks in this one file are never read from files of their own. */
const inStart = new Set(Object.keys(runInThisContext(readFileSync(join(DIST, START_CHUNKS), 'latin1'))));

const digest = createHash('sha256');
const chunks = [...chunksOf('cli.cjs')].filter((name) => !inStart.has(name));
const files = [START_CHUNKS, ...readdirSync(DIST).filter((name) => name.endsWith('.wasm'))];
const assets = [...chunks, ...files].sort();
// V8 compares only the length of the source with its code cache, so the name of the cache must
// identify all code.
for (const name of assets)
  digest
    .update(`${name}\0`)
    .update(readFileSync(join(DIST, name)))
    .update('\0');

mkdirSync(OUT, { recursive: true });
const main = join(OUT, 'main.cjs');
await build({
  entryPoints: ['src/start.ts'],
  outfile: main,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.18',
  minifySyntax: true,
  minifyWhitespace: true,
  define: {
    BUILD_ID: JSON.stringify(`executable-${digest.digest('hex').slice(0, 16)}`),
    IS_EXECUTABLE: 'true',
  },
  logLevel: 'warning',
});

const blob = join(OUT, 'blob');
const config = join(OUT, 'sea.json');
writeFileSync(
  config,
  JSON.stringify({
    main,
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    assets: Object.fromEntries(assets.map((name) => [name, join(DIST, name)])),
  }),
);
run(process.execPath, ['--experimental-sea-config', config]);

const windows = process.platform === 'win32';
const mac = process.platform === 'darwin';
const executable = resolve(OUT, windows ? 'mcp-sigv4-proxy.exe' : 'mcp-sigv4-proxy');
rmSync(executable, { force: true });
copyFileSync(process.execPath, executable);
chmodSync(executable, 0o755);
// The signature of Node does not cover the bundle.
if (mac) run('codesign', ['--remove-signature', executable]);
// The symbols of Node are an eighth of it. A machine without binutils keeps them.
if (process.platform === 'linux') spawnSync('strip', [executable]);
await inject(executable, 'NODE_SEA_BLOB', readFileSync(blob), {
  sentinelFuse: FUSE,
  ...(mac ? { machoSegmentName: 'NODE_SEA' } : {}),
});
// macOS on Apple silicon runs only signed programs; this signature is ad hoc.
if (mac) run('codesign', ['--sign', '-', executable]);
for (const file of [main, blob, config]) rmSync(file);

// Licences require their text with the code.
copyFileSync('LICENSE', join(OUT, 'LICENSE'));
copyFileSync(join(DIST, 'THIRD-PARTY-LICENSES.txt'), join(OUT, 'THIRD-PARTY-LICENSES.txt'));
console.log(
  `${executable}: ${(readFileSync(executable).length / 2 ** 20).toFixed(0)} MiB, Node ${process.version}`,
);
