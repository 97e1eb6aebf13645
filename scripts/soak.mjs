// Runs random faults with 16 requests in flight, against a server that records the calls it ran.
//   node scripts/soak.mjs [--seconds 600] [--seed <n>]
//                         [--with sessions,limits,profiles,signals,questions,adaptive] [--listener]
// Exit code 0 where every request was answered exactly once, none ran twice, and nothing grew.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    with: { type: 'string', default: '' },
    listener: { type: 'boolean', default: false },
  },
});
const ways = values.with.split(',').filter(Boolean);
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
if (!(seconds > 0 && seed >= 0)) {
  process.stderr.write('--seconds and --seed take positive numbers\n');
  process.exit(2);
}

/** The support files clean up after a test; this script has none. */
const noTests = {
  name: 'no-tests',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^vitest$/ }, () => ({ path: 'vitest', namespace: 'no-tests' }));
    onLoad({ filter: /.*/, namespace: 'no-tests' }, () => ({
      contents: 'export const onTestFinished = () => { throw new Error("no test is running"); };',
    }));
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'soak-'));
try {
  const outfile = join(folder, 'soak.mjs');
  await build({
    stdin: {
      contents: `export { soak } from './test/support/soak.ts'; export { table } from './test/support/soak-verdict.ts'; export { SOAK_WAYS } from './test/support/soak-ways.ts';`,
      resolveDir: root,
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    plugins: [noTests],
    logLevel: 'warning',
  });
  const { soak, table, SOAK_WAYS } = await import(pathToFileURL(outfile).href);
  const known = Object.keys(SOAK_WAYS);
  if (!ways.every((way) => known.includes(way))) {
    process.stderr.write(`--with takes ${known.join(', ')}, separated by commas\n`);
    process.exitCode = 2;
    throw new Error(`unknown: ${ways}`);
  }
  console.log(
    `${seconds} s of random faults${values.listener ? ' at the listener' : ''}, seed ${seed}${ways.map((way) => `, ${way}`).join('')}`,
  );
  const rows = await soak({
    seconds,
    seed,
    ways,
    listener: values.listener,
    binPath: join(root, 'bin/mcp-sigv4-proxy.js'),
    progress: (text) => console.log(text),
  });
  console.log(table(rows));
  process.exitCode = rows.every(({ good }) => good) ? 0 : 1;
} finally {
  await rm(folder, { recursive: true });
}
