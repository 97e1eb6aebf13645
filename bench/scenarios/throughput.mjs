// Small calls per second, with 8, 32 and 128 of them always under way, over 8 connections: of a process that has just
// started, and of one whose code V8 has optimized, which takes about 20,000 calls.
export const rounds = { full: 5, quick: 1 };
export const kinds = ['direct', 'floor', 'proxy'];
const IN_FLIGHT = [8, 32, 128];
const COLD = { inFlight: 32, ms: 300 };
const OPTIMIZED_AFTER_MS = 1_500;
const WARM_UP_MS = { full: 500, quick: 200 };
const MEASURED_MS = { full: 1_000, quick: 300 };

export async function run({ open, size }) {
  const client = await open();
  const rates = { cold: await callFor(client, COLD.inFlight, COLD.ms) };
  await callFor(client, COLD.inFlight, OPTIMIZED_AFTER_MS);
  for (const inFlight of IN_FLIGHT) {
    await callFor(client, inFlight, WARM_UP_MS[size]);
    rates[`at${inFlight}`] = await callFor(client, inFlight, MEASURED_MS[size]);
  }
  await client.close();
  return rates;
}

async function callFor(client, inFlight, ms) {
  const started = performance.now();
  let calls = 0;
  const caller = async () => {
    while (performance.now() - started < ms) {
      await client.call('echo', { text: 'hello' });
      calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return (calls * 1_000) / (performance.now() - started);
}
