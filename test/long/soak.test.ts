import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const SCRIPT = join(import.meta.dirname, '../../scripts/soak.mjs');

it.each([
  { what: 'the plain settings', seconds: 6, ways: '', more: [] },
  { what: 'everything at once', seconds: 5, ways: 'sessions,limits,profiles,signals,questions', more: [] },
  { what: 'clients of the listener', seconds: 5, ways: 'limits,signals,questions', more: ['--listener'] },
])(
  'soak: $seconds s of random faults with $what: all calls are answered once, none run twice, nothing is left',
  async ({ seconds, ways, more }) => {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [SCRIPT, '--seconds', String(seconds), '--seed', '3', '--with', ways, ...more],
      // Without a failing exit code, "command failed" would replace the rows.
      { env: { PATH: process.env.PATH }, timeout: 60_000 },
    ).catch((error: { stdout: string; stderr: string }) => error);
    expect(stdout).not.toContain('BAD');
    expect(stdout).toMatch(
      /^\d s of random faults(?: at the listener)?, seed 3.*\nok {3}requests answered or cancelled +\d+\n/,
    );
    expect(stderr).toBe('');
  },
);
