// 10,000 calls wait behind one that runs, and all are cancelled at once: how long nobody else is served, and what stays behind.
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const QUEUED = 10_000;
const RUNS_MS = 12_000;
const SETTLED_MS = 500;
const AFTER_MS = 2_000;

export async function run({ open, serverCounts }) {
  const client = await open(['--max-concurrent', '1', '--queue-size', String(QUEUED)]);
  await sleep(SETTLED_MS);
  const { resident: before } = await memoryOf(client.pid);
  client.callInVain('wait', { ms: RUNS_MS });
  const cancels = Array.from({ length: QUEUED }, () => client.callInVain('echo', { text: 'hello' }));
  // Its answer says that every line before it was read.
  await client.request('ping');
  const started = performance.now();
  for (const cancel of cancels) cancel();
  await client.request('ping');
  const ms = performance.now() - started;
  await sleep(AFTER_MS);
  const { resident: after, peak } = await memoryOf(client.pid);
  const { calls } = await serverCounts();
  await client.close();
  if (client.strays > 0) throw new Error(`${client.strays} of the calls were answered, not queued`);
  if (calls !== 1) throw new Error(`${calls} calls reached the server, not the one that ran`);
  return { ms, before, peak, after };
}
