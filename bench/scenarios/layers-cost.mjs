// What the layers cost a call when nothing goes wrong: every limit on and never reached, against none. Two processes that take
// turns. CPU time comes in ticks of 10 ms, too coarse for one turn: it is summed over all of them.
import { median } from '../median.mjs';
import { cpuOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const WITH = [
  ...['--max-concurrent', '1000', '--queue-size', '1000'],
  ...['--rate-limit', '1000000', '--rate-burst', '1000000', '--retries', '2'],
];
const WITHOUT = ['--retries', '0'];
const IN_FLIGHT = 32;
const WARM_UP = { full: 2_000, quick: 500 };
const CALLS = { full: 1_000, quick: 500 };
const TURNS = { full: 6, quick: 2 };
/** On a slow machine: fewer turns, not a longer run. */
const LIMIT_MS = 5_000;

export async function run({ open, size }) {
  const clients = { with: await open(WITH), without: await open(WITHOUT) };
  for (const client of Object.values(clients)) await costOf(client, WARM_UP[size]);
  const began = performance.now();
  const turns = [];
  while (turns.length < TURNS[size] && (turns.length === 0 || performance.now() - began < LIMIT_MS)) {
    // Each is first every other time.
    const order = turns.length % 2 === 0 ? ['with', 'without'] : ['without', 'with'];
    const turn = {};
    for (const name of order) turn[name] = await costOf(clients[name], CALLS[size]);
    turns.push(turn);
  }
  for (const client of Object.values(clients)) await client.close();
  const cpuPerCall = (name) => turns.reduce((sum, turn) => sum + turn[name].cpu, 0) / turns.length;
  return {
    with: cpuPerCall('with'),
    without: cpuPerCall('without'),
    cpu: cpuPerCall('with') / cpuPerCall('without'),
    time: median(turns.map((turn) => turn.with.time / turn.without.time)),
  };
}

/** @returns per call, in milliseconds. */
async function costOf(client, calls) {
  const cpu = await cpuOf(client.pid);
  const started = performance.now();
  let left = calls;
  const caller = async () => {
    while (left-- > 0) await client.call('echo', { text: 'hello' });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const time = (performance.now() - started) / calls;
  return { cpu: ((await cpuOf(client.pid)) - cpu) / calls, time };
}
