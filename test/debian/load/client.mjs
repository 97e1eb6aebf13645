// Calls a tool on LOAD_CONNECTIONS connections for LOAD_MS, each connection without a pause. Sends the parent process the counts.
import { Pool } from 'undici';

const { LOAD_URL = '', LOAD_MS = '', LOAD_CONNECTIONS = '' } = process.env;
const url = new URL(LOAD_URL);
const pool = new Pool(url.origin, { connections: Number(LOAD_CONNECTIONS), pipelining: 1 });
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const until = performance.now() + Number(LOAD_MS);
const times = [];
let failed = 0;
let next = 0;
await Promise.all(
  Array.from({ length: Number(LOAD_CONNECTIONS) }, async () => {
    while (performance.now() < until) {
      const id = next++;
      const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"any","arguments":{}}}`;
      const since = performance.now();
      try {
        const answer = await pool.request({ path: url.pathname, method: 'POST', headers, body });
        const { id: answered } = await answer.body.json();
        if (answer.statusCode !== 200 || answered !== id) failed++;
      } catch {
        failed++;
      }
      times.push(performance.now() - since);
    }
  }),
);
times.sort((one, other) => one - other);
process.send({ calls: times.length, failed, p99: times[Math.floor(times.length * 0.99)] ?? 0 });
await pool.destroy();
