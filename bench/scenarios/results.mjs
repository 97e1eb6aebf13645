// Large results, one at a time: logs, query results, files.
import { median } from '../median.mjs';

export const rounds = { full: 5, quick: 1 };
export const kinds = ['direct', 'floor', 'proxy'];
const MEGABYTE = 1_000_000;
const TIMES = { full: [25, 8], quick: [5, 2] };
const WARM_UP = 2;

export async function run({ subject, open, size }) {
  const client = await open();
  const [few, fewer] = TIMES[size];
  const mb1 = await fetchOften(client, MEGABYTE, few);
  const mb8 = await fetchOften(client, 8 * MEGABYTE, fewer);
  await client.close();
  if (subject.kind !== 'floor') return { mb1, mb8 };
  const parsing = await open(['--parse']);
  const parsed8 = await fetchOften(parsing, 8 * MEGABYTE, fewer);
  await parsing.close();
  return { mb1, mb8, parsed8 };
}

async function fetchOften(client, bytes, often) {
  const times = [];
  for (let call = -WARM_UP; call < often; call++) {
    const started = performance.now();
    const result = await client.call('big', { bytes });
    if (call >= 0) times.push(performance.now() - started);
    if (!(result?.content?.[0]?.text.length > bytes / 2))
      throw new Error('the result is not the one asked for');
  }
  return median(times);
}
