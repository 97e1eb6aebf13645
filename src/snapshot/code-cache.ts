import {
  accessSync,
  closeSync,
  constants,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import v8 from 'node:v8';
import type vm from 'node:vm';
import { createFolder } from '../core/system/create-folder.ts';
import { openTrusted } from '../core/system/trusted-file.ts';

/** The entry that is no script; a script has the name of a file. */
const SETTLED = '';
const NOTHING = Buffer.alloc(0);

/** Builds whose caches are kept: a person may have several versions and versions of Node in use. */
const MAX_BUILDS = 4;

/** Compiled code of scripts from an earlier run, in one file per build and version of V8. */
export class CodeCache {
  readonly #folder: string;
  readonly #file: string;
  readonly #known: ReadonlyMap<string, Buffer>;
  #written = false;
  readonly #scripts = new Map<string, vm.Script>();

  /** @param key - identifies the build and V8: code of another build would be wrong. */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#file = join(folder, `${key}.bin`);
    this.#known = read(this.#file);
  }

  get(name: string): Buffer | undefined {
    return this.#known.get(name);
  }

  loaded(name: string, script: vm.Script): void {
    this.#scripts.set(name, script);
  }

  /** True if a process that lived long enough to compile what a client needs wrote the cache. */
  get settled(): boolean {
    return this.#known.has(SETTLED);
  }

  /** True if the cache lacks a loaded script, or V8 rejected its cached code. */
  get outdated(): boolean {
    if (this.#written) return false;
    return [...this.#scripts].some(
      ([name, script]) => !this.#known.has(name) || script.cachedDataRejected === true,
    );
  }

  /**
   * Never throws: a missing cache only makes the start slower.
   * @param how.settled - false for a process that ends soon after its start.
   */
  write({ settled }: { readonly settled: boolean }): void {
    try {
      // First, because the code takes 20 ms to collect, which a read-only home would waste.
      createFolder(this.#folder, 0o700);
      accessSync(this.#folder, constants.W_OK);
      const code = new Map(this.#known);
      for (const [name, script] of this.#scripts) code.set(name, script.createCachedData());
      if (settled) code.set(SETTLED, NOTHING);
      replace(this.#file, v8.serialize(code));
      prune(this.#folder);
      this.#written = true;
    } catch {
      // A full disk, a read-only home, or a folder that other users can write to.
    }
  }
}

/** Readers see the old file or the new one. */
function replace(path: string, content: Buffer): void {
  const draft = `${path}.${process.pid}`;
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  const fd = openTrusted(draft, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    writeFileSync(fd, content);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Code that another user could have written is not run. */
function read(path: string): ReadonlyMap<string, Buffer> {
  try {
    const fd = openTrusted(path, constants.O_RDONLY);
    try {
      const code: unknown = v8.deserialize(readFileSync(fd));
      return code instanceof Map ? new Map([...code].filter(isEntry)) : new Map();
    } finally {
      closeSync(fd);
    }
  } catch {
    return new Map();
  }
}

/** A damaged file costs its entries: a start must not fail because of it. */
const isEntry = ([name, code]: [unknown, unknown]): boolean =>
  typeof name === 'string' && Buffer.isBuffer(code);

function prune(folder: string): void {
  const files = readdirSync(folder).map((name) => join(folder, name));
  const byAge = files.map((path) => ({ path, at: statSync(path).mtimeMs })).sort((a, b) => b.at - a.at);
  for (const { path } of byAge.slice(MAX_BUILDS)) rmSync(path, { force: true });
}
