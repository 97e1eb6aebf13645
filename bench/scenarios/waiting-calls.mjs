// What 4,000 calls that wait hold of the proxy's memory, in bytes for each call: behind 8 connections, at the server on a connection each, and with an argument
// of 10 kB. A bare undici client with one request is the least that a call at the server can hold.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const CALLS = { full: 4_000, quick: 1_000 };
const WARM_UP = 2_000;
const BATCH = 100;
const BATCH_PAUSE_MS = 20;
const SETTLED_MS = 500;
/** Longer than the scenario. */
const RUNS_MS = 120_000;
const ARGUMENT = 'x'.repeat(10_000);
const BARE = fileURLToPath(new URL('../bare-requests.mjs', import.meta.url));

export async function run({ open, size, serverCounts, url }) {
  const calls = CALLS[size];
  const bytesOf = async (connections, text) => {
    const client = await open(['--max-connections', String(connections)], { collectable: true });
    await warmUp(client);
    const before = await client.liveHeap();
    const { calls: earlier } = await serverCounts();
    for (let at = 0; at < calls; at++) {
      client.callInVain('wait', { ms: RUNS_MS, text });
      if (at % BATCH === 0) await sleep(BATCH_PAUSE_MS);
    }
    const expected = Math.min(calls, connections);
    while ((await serverCounts()).calls - earlier < expected) await sleep(BATCH_PAUSE_MS);
    await sleep(SETTLED_MS);
    const after = await client.liveHeap();
    await client.close();
    return ((after - before) * 1024 * 1024) / calls;
  };
  const queued = await bytesOf(8, '');
  const sent = await bytesOf(calls, '');
  const bare = await bareBytes(url, calls);
  return {
    queued,
    sent,
    bare,
    sentOverBare: sent - bare,
    // The argument is 10,000 bytes: once is 1.0.
    queuedArguments: ((await bytesOf(8, ARGUMENT)) - queued) / ARGUMENT.length,
    sentArguments: ((await bytesOf(calls, ARGUMENT)) - sent) / ARGUMENT.length,
  };
}

async function warmUp(client) {
  for (let at = 0; at < WARM_UP / 8; at++) {
    await Promise.all(Array.from({ length: 8 }, () => client.call('echo', { text: 'hello' })));
  }
  await sleep(SETTLED_MS);
}

/** The memory of one undici client with one request at the server, in a process without the proxy. */
async function bareBytes(url, calls) {
  const child = fork(BARE, [url, String(calls), String(RUNS_MS)], { execArgv: ['--expose-gc'] });
  const [bytes] = await once(child, 'message');
  child.kill();
  return bytes;
}
