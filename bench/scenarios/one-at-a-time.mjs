// One small call after the other: what the proxy adds to each call of an agent that waits for every answer.
import { median, percentile } from '../median.mjs';

export const rounds = { full: 5, quick: 1 };
export const kinds = ['direct', 'floor', 'proxy'];
const CALLS = { full: 1_000, quick: 200 };
const WARM_UP = 500;

export async function run({ open, size }) {
  const client = await open();
  for (let call = 0; call < WARM_UP; call++) await client.call('echo', { text: 'warm' });
  const times = [];
  for (let call = 0; call < CALLS[size]; call++) {
    const started = performance.now();
    await client.call('echo', { text: 'hello' });
    times.push(performance.now() - started);
  }
  await client.close();
  return { p50: median(times), p99: percentile(times, 0.99) };
}
