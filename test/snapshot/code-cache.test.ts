import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import vm from 'node:vm';
import { describe, expect, it } from 'vitest';
import { CodeCache } from '../../src/snapshot/code-cache.ts';
import { afterThisTest } from '../support/cleanup.ts';

const NAME = 'cli.cjs';
const SOURCE = '(function () { return 42; })';

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-code-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'code');
}

/** One start: the script is compiled from what the cache holds. */
function startOnce(cache: CodeCache, source = SOURCE): vm.Script {
  const cachedData = cache.get(NAME);
  const script = new vm.Script(source, cachedData ? { cachedData } : {});
  cache.loaded(NAME, script);
  expect(script.runInThisContext()()).toBe(42);
  return script;
}

function fill(folder: string): void {
  const cache = new CodeCache(folder, 'build-1');
  startOnce(cache);
  cache.write({ settled: true });
}

describe('the code cache', () => {
  it('the code cache gives the next start the compiled code, in a file and a folder of the user only', () => {
    const folder = makeFolder();
    fill(folder);
    const cache = new CodeCache(folder, 'build-1');
    expect(startOnce(cache).cachedDataRejected).toBe(false);
    expect(cache.outdated).toBe(false);
    expect(readdirSync(folder)).toEqual(['build-1.bin']);
    if (process.platform === 'win32') return;
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'build-1.bin')).mode & 0o777).toBe(0o600);
  });

  it('the code cache of another build is not used', () => {
    const folder = makeFolder();
    fill(folder);
    expect(new CodeCache(folder, 'build-2').get(NAME)).toBeUndefined();
  });

  it('the code cache of a process that ended early is used and does not count as settled', () => {
    const folder = makeFolder();
    const early = new CodeCache(folder, 'build-1');
    startOnce(early);
    early.write({ settled: false });
    const next = new CodeCache(folder, 'build-1');
    expect(startOnce(next).cachedDataRejected).toBe(false);
    expect(next.settled).toBe(false);
    next.write({ settled: true });
    expect(new CodeCache(folder, 'build-1').settled).toBe(true);
  });

  it('a code cache that V8 refuses is written again', () => {
    const folder = makeFolder();
    fill(folder);
    const cache = new CodeCache(folder, 'build-1');
    expect(startOnce(cache, `${SOURCE} // longer`).cachedDataRejected).toBe(true);
    expect(cache.outdated).toBe(true);
    cache.write({ settled: true });
    expect(startOnce(new CodeCache(folder, 'build-1'), `${SOURCE} // longer`).cachedDataRejected).toBe(false);
  });

  it('the code cache keeps the code of scripts that this run did not load', () => {
    const folder = makeFolder();
    fill(folder);
    const cache = new CodeCache(folder, 'build-1');
    cache.loaded('other.cjs', new vm.Script('1'));
    cache.write({ settled: true });
    const later = new CodeCache(folder, 'build-1');
    expect(later.get(NAME)).toBeDefined();
    expect(later.get('other.cjs')).toBeDefined();
  });

  it('the code cache keeps the caches of four builds', () => {
    const folder = makeFolder();
    for (let build = 1; build <= 6; build++) {
      const cache = new CodeCache(folder, `build-${build}`);
      startOnce(cache);
      cache.write({ settled: true });
    }
    expect(readdirSync(folder)).toHaveLength(4);
  });

  it.each([
    ['rubbish', Buffer.from('rubbish')],
    ['nothing', Buffer.alloc(0)],
  ])('a code cache whose file holds %s is empty', (_name, content) => {
    const folder = makeFolder();
    fill(folder);
    writeFileSync(join(folder, 'build-1.bin'), content);
    expect(new CodeCache(folder, 'build-1').get(NAME)).toBeUndefined();
  });

  it.skipIf(process.platform === 'win32')(
    'a code cache that other users could have written is not used',
    () => {
      const folder = makeFolder();
      fill(folder);
      chmodSync(join(folder, 'build-1.bin'), 0o666);
      expect(new CodeCache(folder, 'build-1').get(NAME)).toBeUndefined();
      chmodSync(join(folder, 'build-1.bin'), 0o600);
      chmodSync(folder, 0o777);
      expect(new CodeCache(folder, 'build-1').get(NAME)).toBeUndefined();
    },
  );

  it('the code cache writes nothing, and throws nothing, if its folder cannot be made', () => {
    const folder = makeFolder();
    writeFileSync(folder, 'a file in its place');
    fill(folder);
    expect(new CodeCache(folder, 'build-1').get(NAME)).toBeUndefined();
  });

  it.skipIf(process.platform === 'win32')(
    'the code cache does not write through a link in its folder',
    () => {
      const folder = makeFolder();
      mkdirSync(folder, { mode: 0o700 });
      const target = join(folder, '..', 'target');
      symlinkSync(target, join(folder, `build-1.bin.${process.pid}`));
      fill(folder);
      expect(statSync(target, { throwIfNoEntry: false })).toBeUndefined();
    },
  );
});
