// HTTP clients in front of the listener, of a bare reverse proxy that signs nothing, and of no proxy at all (undici + smithy):
// the time of one call with 1, 32, 256 and 1,024 under way, each with as many connections; and the memory of a stream.
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectClient } from '../direct-client.mjs';
import { HttpClient } from '../http-client.mjs';
import { startBareProxy, startListener } from '../listener.mjs';
import { percentile } from '../median.mjs';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
/** The comparison of two builds must end within three minutes. */
const IN_FLIGHT = { full: [1, 32, 256, 1_024], quick: [1, 32, 256] };
const MOST = 1_024;
/** One call in flight makes too few calls for V8 to optimize the code of the three: this comes first. */
const OPTIMIZED_AFTER_MS = { full: 1_500, quick: 800 };
const WARM_UP_MS = { full: 300, quick: 200 };
const MEASURED_MS = { full: 1_000, quick: 300 };
const TURNS = 4;
/** Fewer would mostly measure the growth of V8's young generation, and this number takes 40 s: a quick run has none. */
const STREAMS = 1_000;
/** Calls before the streams, so that all code is loaded. */
const CALLS_BEFORE = 300;
const SETTLED_AFTER_MS = 1_000;
/** V8 gives the memory of its young generation back some 10 to 20 s after the last work. */
const IDLE_AFTER_MS = 30_000;
const FIRST_BYTES = { full: 50, quick: 10 };

export async function run({ subject, url, size, direct }) {
  const ours = await listenerOf(subject);
  const bare = await startBareProxy(url, MOST);
  const clients = {
    listener: new HttpClient(ours.url, { connections: MOST }),
    bare: new HttpClient(bare.url, { connections: MOST }),
    direct: new DirectClient(url, { ...direct, connections: MOST }),
  };
  const numbers = {};
  for (const client of Object.values(clients)) await client.initialize();
  for (const client of Object.values(clients)) await callsFor(client, 32, OPTIMIZED_AFTER_MS[size]);
  for (const inFlight of IN_FLIGHT[size]) {
    const measured = await takeTurns(clients, inFlight, size);
    for (const [name, { times, ms }] of Object.entries(measured)) {
      numbers[`${name}P50At${inFlight}`] = percentile(times);
      numbers[`${name}RateAt${inFlight}`] = (times.length * 1_000) / ms;
    }
    numbers[`ratioAt${inFlight}`] = numbers[`listenerP50At${inFlight}`] / numbers[`bareP50At${inFlight}`];
  }
  for (const name of ['listener', 'bare']) numbers[`${name}FirstByte`] = await firstByte(clients[name], size);
  for (const client of Object.values(clients)) await client.close();
  ours.stop();
  bare.stop();
  if (size === 'quick') return numbers;
  // At once, because both wait for long.
  const [streams, bareStreams] = await Promise.all([
    kilobytesPerStream(await listenerOf(subject)),
    kilobytesPerStream(await startBareProxy(url, MOST)),
  ]);
  numbers.perStream = streams.opened;
  numbers.barePerStream = bareStreams.opened;
  numbers.perIdleStream = streams.idle;
  numbers.barePerIdleStream = bareStreams.idle;
  return numbers;
}

const listenerOf = ({ args, env }) =>
  startListener(
    args,
    env,
    ['--max-connections', MOST, '--max-clients', 2 * MOST, '--max-streams', 2 * MOST].map(String),
  );

/** In turns, so that a change of the machine's speed meets all of them alike. */
async function takeTurns(clients, inFlight, size) {
  const measured = Object.fromEntries(Object.keys(clients).map((name) => [name, { times: [], ms: 0 }]));
  for (const client of Object.values(clients)) await callsFor(client, inFlight, WARM_UP_MS[size]);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [name, client] of Object.entries(clients)) {
      const { times, ms } = await callsFor(client, inFlight, MEASURED_MS[size] / TURNS);
      measured[name].times = measured[name].times.concat(times);
      measured[name].ms += ms;
    }
  }
  return measured;
}

async function callsFor(client, inFlight, atLeastMs) {
  const started = performance.now();
  const times = [];
  const caller = async () => {
    while (performance.now() - started < atLeastMs) {
      const before = performance.now();
      await client.call('echo', { text: 'hello' });
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return { times, ms: performance.now() - started };
}

/** From asking for a stream to its first bytes, which the server sends at once and then nothing more. */
async function firstByte(client, size) {
  const times = [];
  for (let at = 0; at < FIRST_BYTES[size]; at++) {
    const started = performance.now();
    await client.stream();
    times.push(performance.now() - started);
  }
  return percentile(times);
}

/** In a new process: after the calls of before, its heap would have room for the streams. */
async function kilobytesPerStream({ url, pid, stop }) {
  const client = new HttpClient(url, { connections: STREAMS });
  await client.initialize();
  for (let at = 0; at < CALLS_BEFORE; at++) await client.call('echo', { text: 'hello' });
  await sleep(SETTLED_AFTER_MS);
  const before = (await memoryOf(pid)).resident;
  const costPerStream = async () => (((await memoryOf(pid)).resident - before) * 1_024) / STREAMS;
  for (let at = 0; at < STREAMS; at++) await client.stream();
  await sleep(SETTLED_AFTER_MS);
  const opened = await costPerStream();
  await sleep(IDLE_AFTER_MS);
  const idle = await costPerStream();
  await client.close();
  stop();
  return { opened, idle };
}
