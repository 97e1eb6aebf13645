import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { CodeCache } from './snapshot/code-cache.ts';
import { cacheFolder } from './snapshot/folder.ts';

/**
 * Set by the build: V8 checks a cache by the length of its source alone, which two builds may
 * share.
 */
declare const BUILD_ID: string;

/**
 * By then a client has made its first calls, and V8 has compiled the functions that a start needs.
 */
const CACHE_AFTER_MS = 3_000;

/**
 * Where Node looks for a hook around the compilation of undici's HTTP parser; scripts/build.mjs
 * puts the call there.
 */
const COMPILE_HOOK = Symbol.for('mcp-sigv4-proxy.compile');

const loadNative = createRequire(__filename);
const modules = new Map<string, { exports: unknown }>();

/** Loads the chunks of the bundle, compiled from the cache where that has them. */
function load(name: string, cache: CodeCache | undefined): unknown {
  const known = modules.get(name);
  if (known) return known.exports;
  const path = join(__dirname, name);
  // The build writes ASCII: V8 keeps such a source as it is.
  const source = readFileSync(path, 'latin1');
  const cachedData = cache?.get(name);
  const script = new vm.Script(
    `(function (exports, require, module, __filename, __dirname) {${source}\n})`,
    cachedData ? { filename: path, cachedData } : { filename: path },
  );
  cache?.loaded(name, script);
  const module: { exports: unknown } = { exports: {} };
  modules.set(name, module);
  const require = (id: string): unknown =>
    id.startsWith('./') ? load(id.slice('./'.length), cache) : loadNative(id);
  script.runInThisContext()(module.exports, require, module, path, __dirname);
  return module.exports;
}

function openCache(env: NodeJS.ProcessEnv): CodeCache | undefined {
  // Node's own variables: a person who turns its compile cache off means this one, too. Coverage
  // needs what a cache leaves out.
  if (env.NODE_DISABLE_COMPILE_CACHE || env.NODE_V8_COVERAGE) return undefined;
  const folder = env.NODE_COMPILE_CACHE
    ? join(env.NODE_COMPILE_CACHE, 'mcp-sigv4-proxy')
    : join(cacheFolder(env), 'code');
  // The tag covers V8's version, its flags and the processor.
  return new CodeCache(folder, `${BUILD_ID}-${v8.cachedDataVersionTag().toString(16)}`);
}

/**
 * With its optimizing compiler off, Node 20 needs 120 ms of CPU and 35 MB less at the first call,
 * and is as quick afterwards.
 */
const ONE_COMPILER = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];
const BOTH_COMPILERS = ['--wasm-tier-up', '--wasm-dynamic-tiering'];

function setFlags(flags: readonly string[]): void {
  if (process.version.startsWith('v20.')) for (const flag of flags) v8.setFlagsFromString(flag);
}

/**
 * Undici's HTTP parser is the only WebAssembly in the process. Earlier, the flags would make V8
 * refuse Node's own code cache.
 */
function compileParserOnce(): void {
  const hook = (compile: () => unknown): unknown => {
    setFlags(ONE_COMPILER);
    return compile();
  };
  Object.assign(globalThis, { [COMPILE_HOOK]: hook });
}

/** V8 writes its flags into a cache, and refuses one with others than those of the next start. */
function writeCache(cache: CodeCache): void {
  setFlags(BOTH_COMPILERS);
  cache.write();
  setFlags(ONE_COMPILER);
}

function start(): void {
  const cache = openCache(process.env);
  compileParserOnce();
  load('cli.cjs', cache);
  if (cache?.outdated) setTimeout(writeCache, CACHE_AFTER_MS, cache).unref();
}

start();
