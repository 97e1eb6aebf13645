// A fleet of replicas behind Debian's HAProxy, with Debian's redis-server.
//   npm run fleet -- --chaos 600 [--seed <n>]   faults under load; exit code 0 where every rule of the verdict holds
//   npm run fleet -- --replicas 1,2,4           calls per second, p99 and CPU per call, against HAProxy alone
//   npm run fleet -- --workers 1,2              the same for --workers of one listener, against one process
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    chaos: { type: 'string' },
    seed: { type: 'string' },
    replicas: { type: 'string' },
    workers: { type: 'string' },
  },
});
const chaos = values.chaos === undefined ? undefined : Number(values.chaos);
const counts = [values.replicas, values.workers].map((list) => list?.split(',').map(Number));
const isPositive = (value) => Number.isFinite(value) && value > 0;
const areCounts = (list) =>
  list === undefined || list.every((count) => Number.isInteger(count) && isPositive(count));
if (
  [chaos, ...counts].filter((given) => given !== undefined).length !== 1 ||
  (chaos !== undefined && !isPositive(chaos)) ||
  !counts.every(areCounts)
) {
  process.stderr.write('one of: --chaos <seconds> [--seed <n>], --replicas <n,n,...>, --workers <n,n,...>\n');
  process.exit(2);
}
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 32));
const root = fileURLToPath(new URL('..', import.meta.url));
const test = chaos === undefined ? 'throughput' : 'chaos';
const env =
  chaos === undefined
    ? { FLEET_REPLICAS: values.replicas ?? '', FLEET_WORKERS: values.workers ?? '' }
    : { CHAOS_SECONDS: String(chaos), CHAOS_SEED: seed };
if (chaos !== undefined) process.stdout.write(`${chaos} s of faults, seed ${seed}\n`);
const { status } = spawnSync(
  'npx',
  [
    'vitest',
    'run',
    '--config',
    'test/debian/vitest.config.ts',
    '--retry',
    '0',
    `test/debian/${test}.test.ts`,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } },
);
process.exitCode = status ?? 1;
