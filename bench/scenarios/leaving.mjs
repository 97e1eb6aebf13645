// From the end of stdin to the end of the process, and whether the server was told to delete the session.
import { setTimeout as sleep } from 'node:timers/promises';

export const rounds = { full: 5, quick: 1 };
export const kinds = ['proxy'];
const PATIENCE_MS = 5_000;

export async function run({ open, serverCounts }) {
  const client = await open();
  await client.call('echo', { text: 'hello' });
  await sleep(100);
  const started = performance.now();
  client.endStdin();
  const left = await Promise.race([
    client.exited.then(() => true),
    sleep(PATIENCE_MS, false, { ref: false }),
  ]);
  const ms = performance.now() - started;
  const { deleted } = await serverCounts();
  if (!left) await client.close();
  if (!left) throw new Error(`it still runs ${PATIENCE_MS / 1_000} s after its stdin has closed`);
  return { ms, deleted };
}
