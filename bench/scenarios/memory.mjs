// Resident memory of the proxy's process: one second after the handshake, after 5,000 small calls, after five 8 MB results more.
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['floor', 'proxy'];
const CALLS = { full: 5_000, quick: 1_000 };
const IN_FLIGHT = 32;
const LARGE_RESULTS = 5;

export async function run({ open, size }) {
  const client = await open();
  await sleep(1_000);
  const { resident: idle } = await memoryOf(client.pid);
  let left = CALLS[size];
  const caller = async () => {
    while (left-- > 0) await client.call('echo', { text: 'hello' });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const { resident: loaded } = await memoryOf(client.pid);
  for (let call = 0; call < LARGE_RESULTS; call++) await client.call('big', { bytes: 8_000_000 });
  const { resident: large } = await memoryOf(client.pid);
  await client.close();
  return { idle, loaded, large };
}
