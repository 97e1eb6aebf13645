// Calls of the session revisions and of 2026-07-28 side by side, through one process: over stdio, and through the listener.
import { ENVELOPE, HttpClient } from '../http-client.mjs';
import { startListener } from '../listener.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const IN_FLIGHT = 32;
const CONNECTIONS = 8;
const WARM_UP_MS = { full: 1_500, quick: 200 };
const MEASURED_MS = { full: 1_000, quick: 300 };

export async function run({ subject, open, size }) {
  const stdio = await open();
  const numbers = await sideBySide('stdio', size, {
    session: (args) => stdio.call('echo', args),
    stateless: (args) => stdio.request('tools/call', { name: 'echo', arguments: args, _meta: ENVELOPE }),
  });
  await stdio.close();
  const ours = await startListener(subject.args, subject.env);
  const session = new HttpClient(ours.url, { connections: CONNECTIONS });
  const stateless = new HttpClient(ours.url, { connections: CONNECTIONS, stateless: true });
  await session.initialize();
  const byHttp = await sideBySide('http', size, {
    session: (args) => session.call('echo', args),
    stateless: (args) => stateless.call('echo', args),
  });
  await Promise.all([session.close(), stateless.close()]);
  ours.stop();
  return { ...numbers, ...byHttp };
}

async function sideBySide(way, size, { session, stateless }) {
  const rates = {};
  // Both before either is measured: the first would be measured while its code is still being compiled.
  for (const call of [session, stateless]) await callFor(call, WARM_UP_MS[size]);
  for (const [era, call] of Object.entries({ session, stateless })) {
    rates[`${way}-${era}`] = await callFor(call, MEASURED_MS[size]);
  }
  return { ...rates, [`${way}-ratio`]: rates[`${way}-stateless`] / rates[`${way}-session`] };
}

async function callFor(call, ms) {
  const started = performance.now();
  let calls = 0;
  const caller = async () => {
    while (performance.now() - started < ms) {
      await call({ text: 'hello' });
      calls++;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  return (calls * 1_000) / (performance.now() - started);
}
