import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const SCRIPT = join(import.meta.dirname, '../../scripts/soak.mjs');

it('8 s of random faults at 16 in flight: all answered once, none run twice, nothing left behind', async () => {
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [SCRIPT, '--seconds', '8', '--seed', '3'],
    // Without a failing exit code the rows would be hidden behind "command failed".
    { env: { PATH: process.env.PATH }, timeout: 60_000 },
  ).catch((error: { stdout: string; stderr: string }) => error);
  expect(stdout).not.toContain('BAD');
  expect(stdout).toMatch(/^8 s of random faults, seed 3\nok {3}requests answered or cancelled +\d+\n/);
  expect(stderr).toBe('');
});
