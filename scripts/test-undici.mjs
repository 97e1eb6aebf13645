// Tests the connections with the newest undici of the major version in use, in a temporary copy of
// the project. It is necessary because src/upstream/http/undici.ts imports private files of undici,
// which a minor release may move. An argument selects another version: node scripts/test-undici.mjs
// 7.28.0
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const COPIED = ['bin', 'scripts', 'src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const TESTS = ['test/upstream/http', 'test/upstream/transport', 'test/e2e/connections.test.ts'];

const shell = process.platform === 'win32';
const npm = (args, cwd = ROOT) => execFileSync('npm', args, { cwd, encoding: 'utf8', shell });

const installed = JSON.parse(readFileSync(join(ROOT, 'node_modules/undici/package.json'), 'utf8')).version;
const [, , wanted = newestOfMajor(installed.split('.')[0])] = process.argv;

function newestOfMajor(major) {
  const found = JSON.parse(npm(['view', `undici@${major}`, 'version', '--json']));
  return [found].flat().at(-1);
}

function run(folder, command, args) {
  const { status } = spawnSync(command, args, { cwd: folder, stdio: 'inherit', env: process.env });
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} failed with undici ${wanted}`);
}

/** All packages are links to those of the project, except undici. */
function linkPackages(folder) {
  const modules = join(ROOT, 'node_modules');
  const target = join(folder, 'node_modules');
  mkdirSync(target);
  const type = shell ? 'junction' : 'dir';
  for (const name of readdirSync(modules)) {
    if (name !== 'undici' && !name.startsWith('.'))
      symlinkSync(join(modules, name), join(target, name), type);
  }
  const [{ filename }] = JSON.parse(
    npm(['pack', `undici@${wanted}`, '--json', '--pack-destination', folder]),
  );
  mkdirSync(join(target, 'undici'));
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', join(target, 'undici'), '--strip-components=1']);
}

if (wanted === installed) {
  console.log(`undici ${installed} is the newest of its major version: npm test has tested with it`);
} else {
  console.log(`testing with undici ${wanted} in place of ${installed}`);
  const folder = mkdtempSync(join(resolve(tmpdir()), 'mcp-sigv4-proxy-undici-'));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    linkPackages(folder);
    run(folder, process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.']);
    run(folder, process.execPath, ['scripts/build.mjs']);
    run(folder, process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...TESTS]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
