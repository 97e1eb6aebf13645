// The CPU time of a call in two processes that take turns. Several such pairs are compared.
import { median } from './median.mjs';
import { cpuOf } from './proc.mjs';

/** Writing the code cache costs as much as a thousand calls, and only the process with new chunks writes it. */
const UNCACHED = { NODE_DISABLE_COMPILE_CACHE: '1' };
const IN_FLIGHT = 32;
/** Before, the optimizing compiler is at work, and more code costs it more: up to some 9,000 calls. */
const WARM_UP = { full: 12_000, quick: 2_000 };
const PAIRS = { full: 7, quick: 3 };
const TURNS = { full: 24, quick: 12 };
/** Short, so that both processes see the same machine. */
const CALLS = 250;
/** On a slow machine: fewer pairs, not a longer run. */
const LIMIT_MS = 30_000;

/** @returns the CPU time of a call with these arguments and variables, in units of one without. */
export async function costRatio(extra, open, size) {
  const began = performance.now();
  const ratios = [];
  let longest = 0;
  while (ratios.length < PAIRS[size] && performance.now() - began + longest < LIMIT_MS) {
    const started = performance.now();
    const sums = await pair(extra, open, size, ratios.length);
    ratios.push(sums.with / sums.without);
    longest = Math.max(longest, performance.now() - started);
  }
  return median(ratios);
}

/** @returns the CPU time of each process: all turns together, so that the garbage of each is in it. */
async function pair({ args = [], env }, open, size, number) {
  const names = number % 2 === 0 ? ['with', 'without'] : ['without', 'with'];
  const clients = {};
  for (const name of names)
    clients[name] = await open(name === 'with' ? args : [], {
      env: { ...UNCACHED, ...(name === 'with' ? env : {}) },
    });
  for (const name of names) await costOf(clients[name], WARM_UP[size]);
  const sums = { with: 0, without: 0 };
  for (let turn = 0; turn < TURNS[size]; turn++) {
    // Each is first every other time.
    for (const name of turn % 2 === 0 ? names : names.toReversed()) {
      sums[name] += await costOf(clients[name], CALLS);
    }
  }
  for (const client of Object.values(clients)) await client.close();
  return sums;
}

async function costOf(client, calls) {
  const cpu = await cpuOf(client.pid);
  let left = calls;
  const caller = async () => {
    while (left-- > 0) await client.call('echo', { text: 'hello' });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  return (await cpuOf(client.pid)) - cpu;
}
