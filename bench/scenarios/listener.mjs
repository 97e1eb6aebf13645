// HTTP clients in front of the listener, of a bare reverse proxy that signs nothing, and of no proxy at all (undici + smithy):
// the time of one call with 1, 32 and 256 under way, each with as many connections; and what 256 idle streams hold.
import { DirectClient } from '../direct-client.mjs';
import { HttpClient } from '../http-client.mjs';
import { startBareProxy, startListener } from '../listener.mjs';
import { percentile } from '../median.mjs';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const IN_FLIGHT = [1, 32, 256];
const MOST = 256;
/** One call in flight makes too few calls for V8 to optimize the code of the three: this comes first. */
const OPTIMIZED_AFTER_MS = 1_500;
const WARM_UP_MS = { full: 300, quick: 200 };
const MEASURED_MS = { full: 1_000, quick: 300 };
const STREAMS = 256;
const FIRST_BYTES = { full: 50, quick: 10 };

export async function run({ subject, url, size, direct }) {
  const ours = await startListener(subject.args, subject.env, ['--max-connections', String(MOST)]);
  const bare = await startBareProxy(url, MOST);
  const clients = {
    listener: new HttpClient(ours.url, { connections: MOST }),
    bare: new HttpClient(bare.url, { connections: MOST }),
    direct: new DirectClient(url, { ...direct, connections: MOST }),
  };
  const numbers = {};
  for (const client of Object.values(clients)) await client.initialize();
  for (const client of Object.values(clients)) await callsFor(client, 32, OPTIMIZED_AFTER_MS);
  for (const inFlight of IN_FLIGHT) {
    for (const [name, client] of Object.entries(clients)) {
      await callsFor(client, inFlight, WARM_UP_MS[size]);
      const { p50, rate } = await callsFor(client, inFlight, MEASURED_MS[size]);
      numbers[`${name}P50At${inFlight}`] = p50;
      numbers[`${name}RateAt${inFlight}`] = rate;
    }
    numbers[`ratioAt${inFlight}`] = numbers[`listenerP50At${inFlight}`] / numbers[`bareP50At${inFlight}`];
  }
  for (const name of ['listener', 'bare']) numbers[`${name}FirstByte`] = await firstByte(clients[name], size);
  Object.assign(numbers, await idleStreams(ours));
  for (const client of Object.values(clients)) await client.close();
  ours.stop();
  bare.stop();
  return numbers;
}

async function callsFor(client, inFlight, ms) {
  const started = performance.now();
  const times = [];
  const caller = async () => {
    while (performance.now() - started < ms) {
      const before = performance.now();
      await client.call('echo', { text: 'hello' });
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return { p50: percentile(times), rate: (times.length * 1_000) / (performance.now() - started) };
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

/** In a client of their own, so that no stream of before counts. */
async function idleStreams({ url, pid }) {
  const client = new HttpClient(url, { connections: STREAMS });
  await client.initialize();
  const before = (await memoryOf(pid)).resident;
  await Promise.all(Array.from({ length: STREAMS }, () => client.stream()));
  const after = (await memoryOf(pid)).resident;
  await client.close();
  return { perStream: ((after - before) * 1_024) / STREAMS };
}
