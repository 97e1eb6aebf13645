import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const EXAMPLE = join(import.meta.dirname, '../../examples/load.mjs');

it('the load example has 15 of 30 calls refused at once, and the others run five at a time', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [EXAMPLE], {
    env: { PATH: process.env.PATH },
    timeout: 20_000,
  });
  expect(stdout.split('\n').slice(0, 5)).toEqual([
    'refused at once: 15',
    'done in the first wave: 5',
    'done in the second: 5',
    'done in the third: 5',
    'most running at once: 5',
  ]);
  expect(stdout).toContain('"reason":"queue_full"');
  expect(stderr).toBe('');
});
