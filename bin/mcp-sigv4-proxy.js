#!/usr/bin/env node
// An older Node ends at the first import, and shows pages of the bundle instead of the reason. Desktop clients start
// the Node that was installed first.
const [major, minor, patch] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && (minor < 18 || (minor === 18 && patch < 1)))) {
  // No exit: on Windows, what is written to a pipe leaves later.
  process.exitCode = 1;
  process.stderr.write(
    `mcp-sigv4-proxy: needs Node 20.18.1 or newer, and was started by ${process.version} (${process.execPath})\n`,
  );
} else require('../dist/start.cjs');
