// Two builds of the project side by side: the median of the ratios within a round, and their spread.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './median.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Measures that a change is likely to slow down, in under three minutes. Times and memory: less is better. */
const ROWS = [
  { title: 'Spawn to the answer to `initialize`', of: ['start', 'ms'] },
  { title: 'The same at the first start of all', of: ['start', 'firstMs'] },
  { title: 'First call after `initialize`', of: ['warm-cold', 'first'] },
  { title: 'One call at a time, p50', of: ['one-at-a-time', 'p50'] },
  { title: 'Calls/s after the start, 32 in flight', of: ['throughput', 'cold'], more: true },
  { title: 'Calls/s, 8 in flight', of: ['throughput', 'at8'], more: true },
  { title: 'Calls/s, 32 in flight', of: ['throughput', 'at32'], more: true },
  { title: 'Calls/s, 128 in flight', of: ['throughput', 'at128'], more: true },
  { title: '1 MB result', of: ['results', 'mb1'] },
  { title: '8 MB result', of: ['results', 'mb8'] },
  { title: 'Memory, idle', of: ['memory', 'idle'] },
  { title: 'Memory after calls', of: ['memory', 'loaded'] },
  { title: 'Listener, p50 with 1 in flight', of: ['listener', 'listenerP50At1'] },
  { title: 'Listener, p50 with 32 in flight', of: ['listener', 'listenerP50At32'] },
  { title: 'Listener, p50 with 256 in flight', of: ['listener', 'listenerP50At256'] },
];
export const COMPARED = [...new Set(ROWS.map(({ of }) => of[0]))];
export const COMPARED_ROUNDS = 5;
/** Two runs of the same build differ by as much. */
const NOISE = 0.1;

/**
 * @param {string} base - a folder with a build, or a revision of this repository, which is built beside it.
 * @param {string} workspace - an empty folder.
 * @returns {string} the folder with the build.
 */
export function buildOf(base, workspace) {
  if (existsSync(join(base, 'bin'))) return resolve(base);
  const folder = join(workspace, 'base');
  const run = (command, args, cwd) =>
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  run('git', ['clone', '--quiet', '--no-checkout', ROOT, folder], ROOT);
  run('git', ['checkout', '--quiet', base], folder);
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
  run('node', ['scripts/build.mjs'], folder);
  return folder;
}

/** @param results - of both builds, per scenario and subject. */
export function comparisonTable(results, oursKey, baseKey) {
  const lines = ROWS.map(({ title, of: [scenario, metric], more }) => {
    const now = results[scenario]?.[oursKey]?.rounds ?? [];
    const before = results[scenario]?.[baseKey]?.rounds ?? [];
    const ratios = now.flatMap((round, at) => (before[at] ? [round[metric] / before[at][metric]] : []));
    if (ratios.length === 0) return `${title.padEnd(38)} not measured`;
    const ratio = median(ratios);
    const worse = more ? ratio < 1 - NOISE : ratio > 1 + NOISE;
    const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    return `${title.padEnd(38)} ${ratio.toFixed(2)} x   ${spread.padEnd(14)} ${worse ? 'worse' : ''}`;
  });
  return [`${'this build against the other'.padEnd(38)} median   spread`, ...lines].join('\n');
}
