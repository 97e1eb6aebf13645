// Feeds generated JSON-RPC lines, HTTP requests, event streams and AWS files to their readers,
// and compares the results with those of other readers.
//   node scripts/fuzz.mjs [--seconds 60] [--seed <n>]
// --seconds is for each fuzzer; the same seed repeats the same cases. Exit code 0 where all readers
// agree.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(seconds > 0) || !Number.isInteger(seed)) {
  process.stderr.write('--seconds takes a positive number, --seed an integer\n');
  process.exit(2);
}
process.stdout.write(`fuzzing for ${seconds} s each, with --seed ${seed}\n`);
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/fuzz'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  env: { ...process.env, FUZZ_SECONDS: String(seconds), FUZZ_SEED: String(seed) },
  stdio: 'inherit',
});
process.exit(status ?? 1);
