// The proxy's CPU for a progress event, and for a cancellation, while 4,000 other calls wait, against none: nothing that is done for a
// message may depend on how many calls wait.
import { setTimeout as sleep } from 'node:timers/promises';
import { startEventStreamServer } from '../event-stream-server.mjs';
import { median } from '../median.mjs';
import { cpuOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const WAITING = { full: 4_000, quick: 1_000 };
const EVENTS = 500;
const TURNS = { full: 20, quick: 6 };
const CANCELLATIONS = 100;
const BATCH = 100;
const BATCH_PAUSE_MS = 20;
const SETTLED_MS = 1_000;

export async function run({ open, size }) {
  const { url, close } = await startEventStreamServer();
  try {
    const flags = ['--max-connections', String(WAITING.full + 100)];
    const alone = await open(flags, { endpoint: url });
    const crowded = await open(flags, { endpoint: url });
    for (let at = 0; at < WAITING[size]; at++) {
      crowded.callInVain('hang', {});
      if (at % BATCH === 0) await sleep(BATCH_PAUSE_MS);
    }
    for (const client of [alone, crowded]) await warmUp(client);
    await sleep(SETTLED_MS);
    const [progress, cancellation] = [[], []];
    for (let turn = 0; turn < TURNS[size]; turn++) {
      progress.push(await inTurns(turn, { alone, crowded }, progressCost));
      cancellation.push(await inTurns(turn, { alone, crowded }, cancellationCost));
    }
    await Promise.all([alone.close(), crowded.close()]);
    return {
      alone: median(progress.map((costs) => costs.alone)),
      crowded: median(progress.map((costs) => costs.crowded)),
      ratio: median(progress.map((costs) => costs.crowded / costs.alone)),
      cancelAlone: median(cancellation.map((costs) => costs.alone)),
      cancelCrowded: median(cancellation.map((costs) => costs.crowded)),
      cancelRatio: median(cancellation.map((costs) => costs.crowded / costs.alone)),
    };
  } finally {
    close();
  }
}

async function warmUp(client) {
  for (let at = 0; at < 20; at++) await progressCost(client);
  for (let at = 0; at < 5; at++) await cancellationCost(client);
}

/** Each is first every other time. */
async function inTurns(turn, clients, cost) {
  const names = turn % 2 === 0 ? ['alone', 'crowded'] : ['crowded', 'alone'];
  const costs = {};
  for (const name of names) costs[name] = await cost(clients[name]);
  return costs;
}

/** @returns milliseconds of the proxy's CPU for an event. */
async function progressCost(client) {
  const before = await cpuOf(client.pid);
  const params = { name: 'progress', arguments: { count: EVENTS }, _meta: { progressToken: 'measured' } };
  await client.request('tools/call', params);
  return ((await cpuOf(client.pid)) - before) / EVENTS;
}

/** @returns milliseconds of the proxy's CPU for a call that is sent and cancelled. */
async function cancellationCost(client) {
  const before = await cpuOf(client.pid);
  const cancels = Array.from({ length: CANCELLATIONS }, () => client.callInVain('hang', {}));
  await client.request('ping');
  for (const cancel of cancels) cancel();
  await client.request('ping');
  return ((await cpuOf(client.pid)) - before) / CANCELLATIONS;
}
