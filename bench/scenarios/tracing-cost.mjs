// The cost of tracing for a call, with every call recorded and with one in a hundred, against none. Two processes take turns, and
// several such pairs are compared, as in layers-cost.

import { once } from 'node:events';
import http from 'node:http';
import { median } from '../median.mjs';
import { cpuOf } from '../proc.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
/** Writing the code cache costs as much as a thousand calls, and only the process with new chunks writes it. */
const UNCACHED = { NODE_DISABLE_COMPILE_CACHE: '1' };
const IN_FLIGHT = 32;
const WARM_UP = 2_000;
const PAIRS = { full: 5, quick: 3 };
const TURNS = { full: 24, quick: 12 };
/** Short, so that both processes see the same machine. */
const CALLS = 250;
/** On a slow machine: fewer pairs, not a longer run. */
const LIMIT_MS = 20_000;

export async function run({ open, size }) {
  const collector = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end());
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const collected = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`,
    OTEL_METRICS_EXPORTER: 'none',
  };
  try {
    const all = await ratioOf(collected, open, size);
    const sampled = {
      ...collected,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    };
    return { all, hundredth: await ratioOf(sampled, open, size) };
  } finally {
    collector.closeAllConnections();
    collector.close();
  }
}

/** @returns the CPU time of a call with tracing, in units of one without. */
async function ratioOf(env, open, size) {
  const began = performance.now();
  const ratios = [];
  let longest = 0;
  while (ratios.length < PAIRS[size] && performance.now() - began + longest < LIMIT_MS) {
    const started = performance.now();
    const sums = await pair(env, open, size, ratios.length);
    ratios.push(sums.with / sums.without);
    longest = Math.max(longest, performance.now() - started);
  }
  return median(ratios);
}

/** @returns the CPU time of each process: all turns together, so that the garbage of each is in it. */
async function pair(env, open, size, number) {
  const names = number % 2 === 0 ? ['with', 'without'] : ['without', 'with'];
  const clients = {};
  for (const name of names)
    clients[name] = await open([], { env: { ...UNCACHED, ...(name === 'with' ? env : {}) } });
  for (const name of names) await costOf(clients[name], WARM_UP);
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
