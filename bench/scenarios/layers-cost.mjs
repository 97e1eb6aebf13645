// The cost of the layers for a call without faults: every limit on and never reached, against none. Two processes take turns,
// and several such pairs are compared: two processes that run the same code differ by up to a twentieth, each for its whole life.
import { median } from '../median.mjs';
import { cpuOf } from '../proc.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const WITH = [
  ...['--max-concurrent', '1000', '--queue-size', '1000'],
  ...['--rate-limit', '1000000', '--rate-burst', '1000000', '--retries', '2'],
];
const WITHOUT = ['--retries', '0'];
const IN_FLIGHT = 32;
const WARM_UP = 2_000;
const PAIRS = { full: 7, quick: 3 };
const TURNS = { full: 24, quick: 12 };
/** Short, so that both processes see the same machine. */
const CALLS = 250;
/** On a slow machine: fewer pairs, not a longer run. */
const LIMIT_MS = 20_000;

export async function run({ open, size }) {
  const began = performance.now();
  const pairs = [];
  let longest = 0;
  while (pairs.length < PAIRS[size] && performance.now() - began + longest < LIMIT_MS) {
    const started = performance.now();
    pairs.push(await pair(open, size, pairs.length));
    longest = Math.max(longest, performance.now() - started);
  }
  const ratios = pairs.map((one) => one.with.cpu / one.without.cpu);
  return {
    with: median(pairs.map((one) => one.with.cpu)),
    without: median(pairs.map((one) => one.without.cpu)),
    cpu: median(ratios),
    least: Math.min(...ratios),
    most: Math.max(...ratios),
    time: median(pairs.map((one) => one.with.time / one.without.time)),
  };
}

/** @returns per call and process, in milliseconds: all turns together, so that the garbage of each is in it. */
async function pair(open, size, number) {
  const flags = { with: WITH, without: WITHOUT };
  const names = number % 2 === 0 ? ['with', 'without'] : ['without', 'with'];
  const clients = {};
  for (const name of names) clients[name] = await open(flags[name]);
  for (const name of names) await costOf(clients[name], WARM_UP);
  const sums = { with: { cpu: 0, time: 0 }, without: { cpu: 0, time: 0 } };
  for (let turn = 0; turn < TURNS[size]; turn++) {
    // Each is first every other time.
    for (const name of turn % 2 === 0 ? names : names.toReversed()) {
      const { cpu, time } = await costOf(clients[name], CALLS);
      sums[name].cpu += cpu / (TURNS[size] * CALLS);
      sums[name].time += time / (TURNS[size] * CALLS);
    }
  }
  for (const client of Object.values(clients)) await client.close();
  return sums;
}

/** @returns for all the calls, in milliseconds. */
async function costOf(client, calls) {
  const cpu = await cpuOf(client.pid);
  const started = performance.now();
  let left = calls;
  const caller = async () => {
    while (left-- > 0) await client.call('echo', { text: 'hello' });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const time = performance.now() - started;
  return { cpu: (await cpuOf(client.pid)) - cpu, time };
}
