// The library's transport for SDK clients against the line interface of the same proxy: CPU per call, in turns, in the
// worker's own process.
import { dirname, join } from 'node:path';
import { median } from '../median.mjs';

export const rounds = { full: 3, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const IN_FLIGHT = 8;
const WARM_UP = 3_000;
const TURNS = { full: 20, quick: 8 };
const CALLS = 500;

const VERSION = '2025-06-18';
const INITIALIZE = {
  protocolVersion: VERSION,
  capabilities: {},
  clientInfo: { name: 'bench', version: '1.0.0' },
};
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };
const ECHO = { name: 'echo', arguments: { text: 'hello' } };

export async function run({ subject, url, size, direct: { scope, credentials } }) {
  const dist = join(dirname(subject.args[0]), '../dist');
  const { createProxy, SigV4ClientTransport } = await import(join(dist, 'index.js'));
  const proxy = await createProxy({ endpoint: url, ...scope, credentials, maxConnections: IN_FLIGHT });
  const line = await openLine(proxy);
  const transport = await openTransport(new SigV4ClientTransport(proxy));
  for (const ask of [line, transport]) await cpuPerCall(ask, WARM_UP);
  const costs = { line: [], transport: [] };
  for (let turn = 0; turn < TURNS[size]; turn++) {
    const order = turn % 2 ? ['line', 'transport'] : ['transport', 'line'];
    for (const name of order) costs[name].push(await cpuPerCall(name === 'line' ? line : transport, CALLS));
  }
  await proxy.close();
  const ratio = median(costs.transport.map((cost, at) => cost / costs.line[at]));
  return { line: median(costs.line), transport: median(costs.transport), ratio };
}

/** @returns a function that sends a request and resolves with its response. */
function asker(send) {
  const waiting = new Map();
  let id = 0;
  const ask = (method, params) =>
    new Promise((resolve) => {
      waiting.set(id, resolve);
      send({ jsonrpc: '2.0', id: id++, method, params });
    });
  const onMessage = (message) => {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  };
  return { ask, onMessage };
}

async function openLine(proxy) {
  const { ask, onMessage } = asker((message) => relay.receive(JSON.stringify(message)));
  const relay = proxy.connect(async (text) => onMessage(JSON.parse(text)));
  await ask('initialize', INITIALIZE);
  relay.receive(JSON.stringify(INITIALIZED));
  return ask;
}

async function openTransport(transport) {
  const { ask, onMessage } = asker((message) => void transport.send(message));
  transport.onmessage = onMessage;
  await transport.start();
  await ask('initialize', INITIALIZE);
  transport.setProtocolVersion?.(VERSION);
  await transport.send(INITIALIZED);
  return ask;
}

/** @returns milliseconds of CPU. */
async function cpuPerCall(ask, calls) {
  const before = process.cpuUsage();
  let left = calls;
  const caller = async () => {
    while (left-- > 0) await ask('tools/call', ECHO);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / calls;
}
