// Shows an overload as a client sees it: 30 calls of one second at once, through a proxy that runs five
// and queues ten. Checks itself: exit code 1 if the numbers differ.
//   node examples/load.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CALLS = 30;
const PLACES = 5;
const QUEUE = 10;
const CALL_MS = 1_000;

/** The least that an MCP server has to say, and a tool that takes a second. */
let running = 0;
let mostRunning = 0;
let started = 0;
const server = createServer(async (request, response) => {
  if (request.method !== 'POST') return response.writeHead(405).end();
  const { id, method, params } = JSON.parse(await text(request));
  if (id === undefined) return response.writeHead(202).end();
  let result = {
    protocolVersion: params.protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'slow', version: '1' },
  };
  if (method === 'tools/call') {
    const wave = Math.ceil(++started / PLACES);
    mostRunning = Math.max(mostRunning, ++running);
    await new Promise((resolve) => setTimeout(resolve, CALL_MS));
    running--;
    result = { content: [{ type: 'text', text: `wave ${wave}` }] };
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
});

async function text(request) {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece;
  return body || '{}';
}

server.listen(0, '127.0.0.1');
await once(server, 'listening');
const proxy = spawn(process.execPath, [
  fileURLToPath(new URL('../bin/mcp-sigv4-proxy.js', import.meta.url)),
  `http://127.0.0.1:${server.address().port}/mcp`,
  ...['--skip-auth', '--service', 'execute-api', '--region', 'eu-west-1'],
  ...[
    '--max-concurrent',
    PLACES,
    '--queue-size',
    QUEUE,
    '--queue-timeout',
    '10',
    '--max-connections',
    PLACES,
  ].map(String),
]);
proxy.stderr.pipe(process.stderr);

const waiting = new Map();
createInterface(proxy.stdout).on('line', (line) => {
  const message = JSON.parse(line);
  waiting.get(message.id)?.(message);
});

function send(message) {
  proxy.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

function ask(id, method, params) {
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  send({ id, method, params });
  return answer;
}

const clientInfo = { name: 'load', version: '1.0.0' };
await ask('initialize', 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
send({ method: 'notifications/initialized' });

let anyDone = false;
const seen = await Promise.all(
  Array.from({ length: CALLS }, async (_, id) => {
    const { result, error } = await ask(id, 'tools/call', { name: 'slow', arguments: {} });
    const atOnce = !anyDone;
    anyDone ||= result !== undefined;
    return { error, atOnce, text: result?.content[0].text };
  }),
);
proxy.stdin.end();
const [exitCode] = await once(proxy, 'exit');
server.close();

const done = (wave) => seen.filter((call) => call.text === `wave ${wave}`).length;
const refused = seen.filter(({ error }) => error);
const report = {
  'refused at once': refused.filter(({ atOnce }) => atOnce).length,
  'done in the first wave': done(1),
  'done in the second': done(2),
  'done in the third': done(3),
  'most running at once': mostRunning,
};
for (const [what, count] of Object.entries(report)) console.log(`${what}: ${count}`);
console.log(`a refusal: ${JSON.stringify(refused[0]?.error)}`);

/** Refused is what found neither a place nor room to wait, and the client is told the numbers. */
const refusal = {
  code: -32001,
  message: 'SERVER_OVERLOADED',
  data: {
    reason: 'queue_full',
    active: PLACES,
    queued: QUEUE,
    max_concurrent: PLACES,
    queue_size: QUEUE,
    queue_timeout_ms: 10_000,
    retry_after_ms: 1_000,
  },
};
const good =
  Object.values(report).join() === [CALLS - PLACES - QUEUE, PLACES, PLACES, PLACES, PLACES].join() &&
  refused.every(({ error }) => JSON.stringify(error) === JSON.stringify(refusal)) &&
  exitCode === 0;
process.exitCode = good ? 0 : 1;
