// 10,000 calls wait behind one that runs, and all are cancelled at once; five times over. How long nobody else is served, and what
// stays behind: of live objects, which is what a leak would add to, and of memory that the system has given, which Node keeps for
// the next burst until it collects garbage, and nothing makes it do that in a process that rests.
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../median.mjs';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const QUEUED = 10_000;
const TIMES = { full: 5, quick: 2 };
/** Longer than all of them. */
const RUNS_MS = 60_000;
const SETTLED_MS = 500;
const AFTER_MS = 2_000;
/** On a slow machine: fewer of them, not a longer run. */
const LIMIT_MS = 20_000;

export async function run({ open, size, serverCounts }) {
  const client = await open(['--max-concurrent', '1', '--queue-size', String(QUEUED)], { collectable: true });
  await sleep(SETTLED_MS);
  const { resident: before } = await memoryOf(client.pid);
  const liveBefore = await client.liveHeap();
  const end = client.callInVain('wait', { ms: RUNS_MS });
  const began = performance.now();
  const bursts = [];
  while (bursts.length < TIMES[size] && (bursts.length === 0 || performance.now() - began < LIMIT_MS)) {
    bursts.push(await burst(client));
  }
  const { peak } = await memoryOf(client.pid);
  const liveAfter = await client.liveHeap();
  const { calls } = await serverCounts();
  end();
  await client.close();
  if (client.strays > 0) throw new Error(`${client.strays} of the calls were answered, not queued`);
  if (calls !== 1) throw new Error(`${calls} calls reached the server, not the one that ran`);
  return {
    ms: median(bursts.map(({ ms }) => ms)),
    liveBefore,
    liveAfter,
    grown: liveAfter - liveBefore,
    before,
    first: bursts[0].resident,
    last: bursts.at(-1).resident,
    peak,
  };
}

async function burst(client) {
  const cancels = Array.from({ length: QUEUED }, () => client.callInVain('echo', { text: 'hello' }));
  // Its answer says that every line before it was read.
  await client.request('ping');
  const started = performance.now();
  for (const cancel of cancels) cancel();
  await client.request('ping');
  const ms = performance.now() - started;
  await sleep(AFTER_MS);
  const { resident } = await memoryOf(client.pid);
  return { ms, resident };
}
