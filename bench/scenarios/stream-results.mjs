// A result of 64 MB as an event stream against the same as JSON: time, and the memory that it adds at the peak.
import { startEventStreamServer } from '../event-stream-server.mjs';
import { median } from '../median.mjs';
import { memoryOf } from '../proc.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const BYTES = { full: 64_000_000, quick: 8_000_000 };
const SMALL_BYTES = 400_000;
const WARM_UP = 30;
const TURNS = 5;
const MB = 1024 * 1024;

export async function run({ open, size }) {
  const { url, close } = await startEventStreamServer();
  const bytes = BYTES[size];
  try {
    const clients = {
      json: await open(['--max-line', '0'], { endpoint: url }),
      stream: await open(['--max-line', '0'], { endpoint: url }),
    };
    const call = (kind, length) => clients[kind].call('big', { bytes: length, stream: kind === 'stream' });
    for (const kind of ['json', 'stream']) {
      for (let at = 0; at < WARM_UP; at++) await call(kind, SMALL_BYTES);
    }
    const idle = {};
    const peak = {};
    const turns = [];
    for (const kind of ['json', 'stream']) idle[kind] = (await memoryOf(clients[kind].pid)).resident;
    for (let turn = 0; turn < TURNS; turn++) {
      const times = {};
      for (const kind of turn % 2 ? ['stream', 'json'] : ['json', 'stream']) {
        const started = performance.now();
        await call(kind, bytes);
        times[kind] = performance.now() - started;
        // Later results add to the garbage of earlier ones.
        peak[kind] ??= (await memoryOf(clients[kind].pid)).peak;
      }
      turns.push(times);
    }
    await Promise.all(Object.values(clients).map((client) => client.close()));
    return {
      json: median(turns.map(({ json }) => json)),
      stream: median(turns.map(({ stream }) => stream)),
      ratio: median(turns.map(({ json, stream }) => stream / json)),
      jsonPeak: ((peak.json - idle.json) * MB) / bytes,
      streamPeak: ((peak.stream - idle.stream) * MB) / bytes,
    };
  } finally {
    close();
  }
}
