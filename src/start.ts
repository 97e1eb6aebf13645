import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { passwdHome } from './core/system/home-folder.ts';
import { CodeCache } from './snapshot/code-cache.ts';
import { cacheFolder } from './snapshot/folder.ts';

/** Set by the build. V8 checks only the source length of a cache, and two builds may share it. */
declare const BUILD_ID: string;

/** Set by the build: true in the single executable, whose chunks are assets and no files. */
declare const IS_EXECUTABLE: boolean;

/** After the first calls, when V8 has compiled the functions that a start needs. */
const CACHE_AFTER_MS = 3_000;

/** The global that reads a file of the bundle in the single executable; see scripts/build.mjs. */
const FILE_HOOK = Symbol.for('mcp-sigv4-proxy.file');

/** The global that holds the hook around undici's parser compilation; see scripts/build.mjs. */
const COMPILE_HOOK = Symbol.for('mcp-sigv4-proxy.compile');

/** The file with the chunks of the start. */
const START_CHUNKS = 'start-chunks.cjs';

type Chunk = (
  exports: unknown,
  require: (id: string) => unknown,
  module: { exports: unknown },
  filename: string,
  dirname: string,
) => void;

const loadNative = createRequire(__filename);
const modules = new Map<string, { exports: unknown }>();
let startChunks: Readonly<Record<string, Chunk>> | undefined;

/** A file of the bundle, from the single executable. */
function assetOf(name: string): Buffer {
  const { getRawAsset } = loadNative('node:sea') as typeof import('node:sea');
  return Buffer.from(getRawAsset(name) as ArrayBuffer);
}

/** The build writes ASCII, which V8 keeps without conversion. */
const sourceOf = (name: string, path: string): string =>
  IS_EXECUTABLE ? assetOf(name).toString('latin1') : readFileSync(path, 'latin1');

/** Evaluates a file of the bundle, from the code cache if possible. */
function evaluate(
  name: string,
  cache: CodeCache | undefined,
  wrap = (source: string): string => source,
): unknown {
  const path = join(__dirname, name);
  const cachedData = cache?.get(name);
  const options = cachedData ? { filename: path, cachedData } : { filename: path };
  const script = new vm.Script(wrap(sourceOf(name, path)), options);
  cache?.loaded(name, script);
  return script.runInThisContext();
}

const asChunk = (source: string): string =>
  `(function (exports, require, module, __filename, __dirname) {${source}\n})`;

/** Loads a chunk of the bundle. */
function load(name: string, cache: CodeCache | undefined): unknown {
  const known = modules.get(name);
  if (known) return known.exports;
  startChunks ??= evaluate(START_CHUNKS, cache) as Readonly<Record<string, Chunk>>;
  const chunk = startChunks[name] ?? (evaluate(name, cache, asChunk) as Chunk);
  const module: { exports: unknown } = { exports: {} };
  modules.set(name, module);
  const require = (id: string): unknown =>
    id.startsWith('./') ? load(id.slice('./'.length), cache) : loadNative(id);
  chunk(module.exports, require, module, join(__dirname, name), __dirname);
  return module.exports;
}

function openCache(env: NodeJS.ProcessEnv): CodeCache | undefined {
  // Node's variable for its compile cache also turns off ours. Coverage needs uncached code.
  if (env.NODE_DISABLE_COMPILE_CACHE || env.NODE_V8_COVERAGE) return undefined;
  const folder = env.NODE_COMPILE_CACHE
    ? join(env.NODE_COMPILE_CACHE, 'mcp-sigv4-proxy')
    : join(cacheFolder(env), 'code');
  // The tag covers V8's version, its flags and the processor.
  return new CodeCache(folder, `${BUILD_ID}-${v8.cachedDataVersionTag().toString(16)}`);
}

/**
 * V8 allocates objects of a kind that often survived directly in the old generation. Those of a
 * finished call then keep the rest of it until a full collection: 2 KB per call at the listener.
 */
const YOUNG_OBJECTS = {
  serving: '--no-allocation-site-pretenuring',
  normal: '--allocation-site-pretenuring',
};
/**
 * Without V8's optimizing WebAssembly compiler, Node 20 saves 120 ms of CPU and 35 MB at the first
 * call.
 */
const ONE_COMPILER = [
  { serving: '--no-wasm-tier-up', normal: '--wasm-tier-up' },
  { serving: '--no-wasm-dynamic-tiering', normal: '--wasm-dynamic-tiering' },
];
/**
 * Optimizes the code of a call after some 500 calls instead of 3,000, which most sessions never
 * reach. Node 24 has a faster compiler before that one, and gains nothing in the first second.
 */
const EARLY_OPTIMIZATION_20 = [{ serving: '--interrupt-budget=14000', normal: '--interrupt-budget=67584' }];
const EARLY_OPTIMIZATION_22 = [
  { serving: '--invocation-count-for-turbofan=600', normal: '--invocation-count-for-turbofan=3000' },
  {
    serving: '--minimum-invocations-after-ic-update=200',
    normal: '--minimum-invocations-after-ic-update=500',
  },
];

/** By major version: V8 reports a flag that it does not know, and the normal value differs. */
const FLAGS_OF_VERSION: Readonly<Record<string, readonly (typeof YOUNG_OBJECTS)[]>> = {
  20: [...ONE_COMPILER, ...EARLY_OPTIMIZATION_20],
  22: EARLY_OPTIMIZATION_22,
};

const IS_NODE = !('bun' in process.versions || 'deno' in process.versions);
const [MAJOR = ''] = process.versions.node.split('.');
const FLAGS = IS_NODE ? [YOUNG_OBJECTS, ...(FLAGS_OF_VERSION[MAJOR] ?? [])] : [];
const SERVING_FLAGS = FLAGS.map(({ serving }) => serving);
const NORMAL_FLAGS = FLAGS.map(({ normal }) => normal);

function setFlags(flags: readonly string[]): void {
  for (const flag of flags) v8.setFlagsFromString(flag);
}

/**
 * undici's parser is the only WebAssembly here, and the first call compiles it. Flags set earlier
 * would invalidate Node's own code cache.
 */
function setFlagsOnce(): void {
  const hook = (compile: () => unknown): unknown => {
    setFlags(SERVING_FLAGS);
    return compile();
  };
  Object.assign(globalThis, { [COMPILE_HOOK]: hook });
}

/** V8 records its flags in a cache and rejects the cache if the flags of the next start differ. */
function writeCache(cache: CodeCache, how: { readonly settled: boolean }): void {
  setFlags(NORMAL_FLAGS);
  cache.write(how);
  setFlags(SERVING_FLAGS);
}

/**
 * The program starts itself as Node starts a script: with the path of the script as first argument.
 * That path is the executable itself.
 */
function omitScript(argv: string[]): void {
  argv[1] = process.execPath;
  if (argv[2] === process.execPath) argv.splice(2, 1);
}

function start(): void {
  const { env } = process;
  if (IS_EXECUTABLE) {
    omitScript(process.argv);
    Object.assign(globalThis, { [FILE_HOOK]: assetOf });
  }
  // The SDK asks the system for a home folder, which fails for a user without an entry in passwd.
  if (!env.HOME && !env.USERPROFILE) env.HOME = passwdHome();
  const cache = openCache(env);
  setFlagsOnce();
  load('cli.cjs', cache);
  if (!cache || (cache.settled && !cache.outdated)) return;
  setTimeout(writeCache, CACHE_AFTER_MS, cache, { settled: true }).unref();
  // Short commands end before; they gain most from a cache. A failed start may lack half the code.
  process.once('exit', (status) => {
    if (status === 0 && cache.outdated) writeCache(cache, { settled: false });
  });
}

start();
