import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BIN_PATH } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';

/** The user of the Dockerfile. */
export const USER = 65_532;

/** Needs root, and a kernel that permits a mount namespace. */
export const canContain = (): boolean =>
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', 'mount', '-o', 'remount,bind,ro', '/']).status === 0;

/**
 * A program that runs the bin as a container does: as a user without a name, with a root directory
 * that is read-only, without capabilities and without HOME. It keeps its process id, for signals.
 */
export function containedBin(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-contained-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  // The checkout may be in a folder that other users cannot enter.
  chmodSync(folder, 0o755);
  const checkout = dirname(dirname(BIN_PATH));
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(checkout, part), join(folder, part), { recursive: true });
  const ids = `--reuid ${USER} --regid ${USER} --clear-groups --bounding-set=-all --no-new-privs`;
  const inside = `mount -o remount,bind,ro / && exec setpriv ${ids} "$@"`;
  const program = join(folder, 'contained');
  writeFileSync(
    program,
    `#!/bin/sh\nunset HOME NODE_COMPILE_CACHE\nexec unshare --mount --propagation private sh -c '${inside}' sh "${process.execPath}" "${join(folder, 'bin/mcp-sigv4-proxy.js')}" "$@"\n`,
    { mode: 0o755 },
  );
  return program;
}
