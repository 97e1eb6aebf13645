// Sends the parent what a waiting request costs where nothing but undici holds it: bytes for each client with one request.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(new URL('../package.json', import.meta.url));
const { Client } = require('undici');
const [, , url, countText, msText] = process.argv;
const count = Number(countText);
const { origin, pathname } = new URL(url);

const headersOf = (at) => ({
  accept: 'application/json, text/event-stream',
  'content-type': 'application/json',
  'x-amz-date': '20260101T000000Z',
  'x-amz-content-sha256': String(at).padStart(64, 'a'),
  authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=${String(at).padStart(64, 'b')}`,
});
let sent = 0;
const handler = {
  onRequestStart: () => {
    sent++;
  },
  onResponseStart: () => undefined,
  onResponseData: () => undefined,
  onResponseEnd: () => undefined,
  onResponseError: () => undefined,
};
const clients = [];
function send(at) {
  const params = { name: 'wait', arguments: { ms: Number(msText) } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: at, method: 'tools/call', params });
  const client = new Client(origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  client.dispatch({ method: 'POST', path: pathname, headers: headersOf(at), body }, handler);
  clients.push(client);
}
async function liveBytes() {
  await sleep(500);
  global.gc();
  global.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

send(0);
while (sent < 1) await sleep(10);
const before = await liveBytes();
for (let at = 1; at <= count; at++) {
  send(at);
  if (at % 100 === 0) await sleep(20);
}
while (sent <= count) await sleep(10);
process.send(((await liveBytes()) - before) / count);
