// Eight calls of 50 ms at once, twenty times: an agent that fans out. The server counts the connections that carried them.
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../median.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['direct', 'floor', 'proxy'];
const BURSTS = { full: 20, quick: 5 };
const PAUSE_MS = 20;

export async function run({ open, size, serverCounts }) {
  const client = await open();
  const times = [];
  for (let burst = 0; burst < BURSTS[size]; burst++) {
    const started = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => client.call('wait', { ms: 50 })));
    times.push(performance.now() - started);
    await sleep(PAUSE_MS);
  }
  const { connections } = await serverCounts();
  await client.close();
  return { p50: median(times), connections };
}
