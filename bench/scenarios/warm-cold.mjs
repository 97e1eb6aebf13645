// The first call right after initialize, in a fresh process with fresh connections, the second, and the 20th.
export const rounds = { full: 7, quick: 1 };
export const kinds = ['direct', 'floor', 'proxy'];
const CALLS = 20;

export async function run({ open }) {
  const client = await open();
  const times = [];
  for (let call = 0; call < CALLS; call++) {
    const started = performance.now();
    await client.call('echo', { text: 'hello' });
    times.push(performance.now() - started);
  }
  await client.close();
  const first = times[0];
  const twentieth = times[CALLS - 1];
  return { first, second: times[1], overSecond: first - times[1], twentieth, ratio: first / twentieth };
}
