// The least that a stdio proxy on Node can do: each line becomes a POST by undici, each body becomes a line.
// It does not sign, check, retry, or read an answer. The rest of a time above "direct" is the price of a second process.
// With --parse it passes on only what JSON.parse accepts: the least that a proxy can do which checks its answers.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../package.json', import.meta.url));
const { Pool } = require('undici');

const url = new URL(process.argv[2]);
const pool = new Pool(url.origin, { connections: Number(process.argv[3]), pipelining: 1 });
const parses = process.argv.includes('--parse');
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

/** Requests wait for the session id, as the specification demands. */
let session = Promise.resolve();

function send(line) {
  if (line.includes('"method":"initialize"')) session = new Promise((opened) => post(line, opened));
  else if (headers['mcp-session-id']) post(line);
  else session.then(() => post(line));
}

function post(line, opened) {
  const chunks = [];
  const handler = {
    onRequestStart() {},
    onResponseStart(_controller, _status, { 'mcp-session-id': id }) {
      if (id) headers['mcp-session-id'] = id;
    },
    onResponseData(_controller, chunk) {
      chunks.push(chunk);
    },
    onResponseEnd() {
      opened?.();
      if (chunks.length === 0) return;
      if (parses) JSON.parse(Buffer.concat(chunks).toString());
      chunks.push(NEWLINE);
      process.stdout.cork();
      for (const chunk of chunks) process.stdout.write(chunk);
      process.stdout.uncork();
    },
    onResponseError: (_controller, error) => process.exit(error.message.length),
  };
  pool.dispatch({ path: url.pathname, method: 'POST', headers, body: line }, handler);
}

const NEWLINE = Buffer.from('\n');
let pieces = [];
process.stdin.on('data', (chunk) => {
  let start = 0;
  for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
    pieces.push(chunk.subarray(start, end));
    send(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
    pieces = [];
    start = end + 1;
  }
  if (start < chunk.length) pieces.push(chunk.subarray(start));
});
process.stdin.on('end', () => process.exit());
