// A call that names another profile, against one that does not: what it costs to find the argument, to take it out and to go by a
// session of its own. One process, the two kinds taking turns.
import { median } from '../median.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const WARM_UP = 300;
const CALLS = { full: 200, quick: 50 };
const TURNS = { full: 8, quick: 2 };
const ARGUMENTS = { first: { text: 'hello' }, second: { text: 'hello', aws_profile: 'two' } };

export async function run({ open, size }) {
  const client = await open(['--profile', 'one', 'two']);
  await client.request('tools/list');
  for (const name of ['first', 'second']) await p50(client, name, WARM_UP);
  const turns = [];
  while (turns.length < TURNS[size]) {
    // Each is first every other time.
    const order = turns.length % 2 === 0 ? ['first', 'second'] : ['second', 'first'];
    const turn = {};
    for (const name of order) turn[name] = await p50(client, name, CALLS[size]);
    turns.push(turn);
  }
  await client.close();
  return {
    first: median(turns.map(({ first }) => first)),
    second: median(turns.map(({ second }) => second)),
    ratio: median(turns.map(({ first, second }) => second / first)),
  };
}

async function p50(client, name, calls) {
  const times = [];
  for (let call = 0; call < calls; call++) {
    const started = performance.now();
    await client.call('echo', ARGUMENTS[name]);
    times.push(performance.now() - started);
  }
  return median(times);
}
