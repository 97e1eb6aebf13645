// The library's SessionPool in the worker's own process: a borrow of an open session against one that opens, and the growth with the
// number of sessions.
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { median } from '../median.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const BORROWS = { full: 50_000, quick: 10_000 };
const COLD = { full: 15, quick: 5 };
const CALLS = 8;
const MANY = 1_000;

export async function run({ subject, url, size, direct: { scope, credentials } }) {
  const { SessionPool } = await import(join(dirname(subject.args[0]), '../dist/pool.js'));
  const open = (more) =>
    new SessionPool({
      endpoint: url,
      proxy: { ...scope, credentials },
      clientFactory: () => new Client({ name: 'bench', version: '1.0.0' }),
      minSessions: 0,
      healthInterval: 0,
      ...more,
    });
  const warm = await warmBorrow(open, size);
  const cold = await coldBorrow(open, size);
  const bursts = await eightCalls(open, size);
  // Twice, so that both run compiled code.
  await lightBorrow(open, 1, size);
  const [few, many] = [await lightBorrow(open, 1, size), await lightBorrow(open, MANY, size)];
  return {
    warm,
    cold,
    warmShare: warm / cold,
    pooled: bursts.pooled,
    unpooled: bursts.cold,
    pooledShare: bursts.pooled / bursts.cold,
    few,
    many,
    growth: many / few,
  };
}

/** @returns milliseconds per borrow and return. */
async function timeBorrows(pool, times) {
  const batches = [];
  for (let batch = 0; batch < 10; batch++) {
    const started = performance.now();
    for (let at = 0; at < times / 10; at++) (await pool.session()).release();
    batches.push((performance.now() - started) / (times / 10));
  }
  return median(batches);
}

async function warmBorrow(open, size) {
  const pool = open({ minSessions: 1 });
  await pool.start();
  const time = await timeBorrows(pool, BORROWS[size]);
  await pool.shutdown();
  return time;
}

async function coldBorrow(open, size) {
  const pool = open();
  await pool.start();
  const times = [];
  for (let at = 0; at < COLD[size]; at++) {
    const started = performance.now();
    const lease = await pool.session();
    times.push(performance.now() - started);
    lease.release({ discard: true });
  }
  await pool.shutdown();
  return median(times);
}

/** Eight calls at once on open sessions, against eight calls that open a session each. */
async function eightCalls(open, size) {
  const pool = open({ minSessions: CALLS, maxSessions: CALLS });
  await pool.start();
  const [pooled, cold] = [[], []];
  const calls = () =>
    Promise.all(Array.from({ length: CALLS }, () => pool.callTool('echo', { text: 'hello' })));
  for (let at = 0; at < COLD[size]; at++) {
    let started = performance.now();
    await calls();
    pooled.push(performance.now() - started);
    const other = open({ maxSessions: CALLS });
    await other.start();
    started = performance.now();
    await Promise.all(Array.from({ length: CALLS }, () => other.callTool('echo', { text: 'hello' })));
    cold.push(performance.now() - started);
    await other.shutdown();
  }
  await pool.shutdown();
  return { pooled: median(pooled), cold: median(cold) };
}

/** With sessions that send nothing, because a thousand real ones would measure the server. */
async function lightBorrow(open, sessions, size) {
  const nothing = async () => undefined;
  const pool = open({
    proxy: undefined,
    transportFactory: () => ({ start: nothing, send: nothing, close: nothing }),
    clientFactory: () => ({ connect: nothing, close: nothing, callTool: nothing, listTools: nothing }),
    minSessions: sessions,
    maxSessions: sessions,
    maxTotalSessions: sessions,
  });
  await pool.start();
  const time = await timeBorrows(pool, BORROWS[size]);
  await pool.shutdown();
  return time;
}
