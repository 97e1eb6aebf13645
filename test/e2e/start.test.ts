import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BIN_PATH } from '../support/bin-driver.ts';
import { CACHE_WATCHER } from '../support/cache-watcher.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { startRelayed } from '../support/relayed.ts';

/** The tag changes with the flags of V8. */
const TAG = "require('node:v8').cachedDataVersionTag()";
/** Prints the tag on SIGUSR2. */
const TAG_PRINTER = `process.on('SIGUSR2', () => process.stderr.write('tag ' + ${TAG} + '\\n'))`;

const [MAJOR] = process.versions.node.split('.');
const FLAGS_OF_VERSION: Readonly<Record<string, readonly string[]>> = {
  20: ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering', '--interrupt-budget=14000'],
  22: ['--invocation-count-for-turbofan=600', '--minimum-invocations-after-ic-update=200'],
};

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-start-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('the code cache of the command', () => {
  it('the code cache is written while the first client is served, and used by the next start', async () => {
    const folder = makeFolder();
    const watcher = join(folder, 'watcher.cjs');
    writeFileSync(watcher, CACHE_WATCHER);
    const env = { NODE_COMPILE_CACHE: folder, NODE_OPTIONS: `--require ${watcher}` };
    const first = await startRelayed({ env });
    await first.bin.initialize({}, 0);
    expect(first.bin.stderr).toMatch(/^(compiled\n)+$/);
    const code = join(folder, 'mcp-sigv4-proxy');
    await expect
      .poll(() => existsSync(code) && readdirSync(code).some((name) => name.endsWith('.bin')))
      .toBe(true);
    const second = await startRelayed({ env });
    await second.bin.initialize({}, '');
    expect(second.bin.stderr).toMatch(/^(cached\n)+$/);
  });

  it('a command that ends at once writes the code cache, and the next one starts from it', () => {
    const folder = makeFolder();
    const watcher = join(folder, 'watcher.cjs');
    writeFileSync(watcher, CACHE_WATCHER);
    const env = { PATH: process.env.PATH, HOME: folder, NODE_OPTIONS: `--require ${watcher}` };
    const help = () => spawnSync(process.execPath, [BIN_PATH, '--help'], { env, encoding: 'utf8' });
    expect(help()).toMatchObject({ status: 0, stderr: expect.stringMatching(/^(compiled\n)+$/) });
    expect(help()).toMatchObject({ status: 0, stderr: expect.stringMatching(/^(cached\n)+$/) });
  });

  it.each([
    ['is turned off', { NODE_DISABLE_COMPILE_CACHE: '1' }],
    ['has a folder that cannot be made', { NODE_COMPILE_CACHE: '/dev/null/nowhere' }],
    ['has no home', { NODE_COMPILE_CACHE: '', HOME: '/dev/null' }],
  ])('the command works without a code cache if the cache %s', async (_name, env) => {
    const { bin } = await startRelayed({ env });
    expect(await bin.initialize({}, -1)).toMatchObject({ id: -1, result: {} });
    expect(bin.stderr).toBe('');
  });
});

describe('the flags of V8', () => {
  it('a process that serves calls creates objects in the young generation and optimizes early', async () => {
    const printer = join(makeFolder(), 'printer.cjs');
    writeFileSync(printer, TAG_PRINTER);
    const { bin } = await startRelayed({ env: { NODE_OPTIONS: `--require ${printer}` } });
    await bin.initialize({}, 0);
    bin.child.kill('SIGUSR2');
    await expect.poll(() => bin.stderr).toMatch(/^tag \d+$/m);
    const flags = ['--no-allocation-site-pretenuring', ...(FLAGS_OF_VERSION[MAJOR ?? ''] ?? [])];
    const { stdout } = spawnSync(process.execPath, [...flags, '-p', TAG], { encoding: 'utf8' });
    expect(bin.stderr).toContain(`tag ${stdout.trim()}\n`);
  });
});
