// 32 calls at once to a server that has just forgotten the session: all are to be answered, by one new session.
import { setTimeout as sleep } from 'node:timers/promises';

export const rounds = { full: 5, quick: 1 };
export const kinds = ['proxy'];
const CALLS = 32;
const PATIENCE_MS = 3_000;

export async function run({ open, serverCounts, forgetSessions }) {
  const client = await open();
  await burst(client);
  const known = await burst(client);
  const before = await forgetSessions();
  const forgotten = await burst(client);
  const after = await serverCounts();
  await client.close();
  return { known, forgotten, initializes: after.initializes - before.initializes };
}

async function burst(client) {
  const started = performance.now();
  let answered = 0;
  let failure = `no answer within ${PATIENCE_MS / 1_000} s`;
  const one = async () => {
    try {
      await client.call('echo', { text: 'hello' });
      answered++;
    } catch (error) {
      failure = error.message;
    }
  };
  const all = Promise.all(Array.from({ length: CALLS }, one));
  await Promise.race([all, sleep(PATIENCE_MS, undefined, { ref: false })]);
  if (answered < CALLS) throw new Error(`${CALLS - answered} of ${CALLS} calls failed: ${failure}`);
  return performance.now() - started;
}
