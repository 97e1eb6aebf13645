// The MCP server that everybody is measured against: the least that Streamable HTTP with sessions asks for, JSON answers, in a
// process of its own. It verifies no signature, so that it is not the bottleneck.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const LOG_LINE = '2026-01-01T00:00:00.000Z INFO {"path":"/orders/1029","status":200,"ms":12}\n';

/** The answers of a tool that returns `bytes` bytes, kept so that making them is not measured. */
const bigTexts = new Map();
function bigText(bytes) {
  const known = bigTexts.get(bytes);
  if (known) return known;
  const line = JSON.stringify(LOG_LINE).slice(1, -1);
  const text = line.repeat(Math.ceil(bytes / line.length));
  const made = Buffer.from(`{"content":[{"type":"text","text":"${text}"}]}`);
  bigTexts.set(bytes, made);
  return made;
}

const textResult = (text) => ({ content: [{ type: 'text', text }] });
const schema = (properties) => ({ type: 'object', properties });
const TOOLS = [
  { name: 'echo', inputSchema: schema({ text: { type: 'string' } }) },
  { name: 'wait', inputSchema: schema({ ms: { type: 'number' } }) },
  { name: 'big', inputSchema: schema({ bytes: { type: 'number' } }) },
];

const sessions = new Set();
/** Sessions of clients that are measured by their streams; all others are refused one, so that none differs by what it does with it. */
const streaming = new Set();
/** Connections that carried a tools/call since the last reset: what --max-connections is about. */
let callSockets = new Set();
let deleted = 0;
let initializes = 0;
let calls = 0;

function answer(response, id, result) {
  const body = JSON.stringify({ jsonrpc: '2.0', id, result });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function answerBig(response, id, bytes) {
  const head = Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`);
  const result = bigText(bytes);
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': head.length + result.length + 1,
  });
  response.write(head);
  response.write(result);
  response.end('}');
}

function callTool(request, response, { id, params }) {
  callSockets.add(request.socket);
  calls++;
  const given = params.arguments ?? {};
  switch (params.name) {
    case 'echo':
      return answer(response, id, textResult(given.text));
    case 'wait':
      return setTimeout(() => answer(response, id, textResult('waited')), given.ms);
    case 'big':
      return answerBig(response, id, given.bytes);
    default:
      return answer(response, id, { isError: true, ...textResult('no such tool') });
  }
}

const NO_SESSION = '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}';

function handle(request, response, message) {
  const named = request.headers['mcp-session-id'];
  if (named !== undefined && !sessions.has(named)) {
    response.writeHead(404, { 'content-type': 'application/json' }).end(NO_SESSION);
    return;
  }
  if (message.id === undefined) {
    response.writeHead(202).end();
    return;
  }
  switch (message.method) {
    case 'tools/call':
      callTool(request, response, message);
      return;
    case 'initialize': {
      const session = randomUUID();
      sessions.add(session);
      if (message.params.clientInfo.name === 'bench-streams') streaming.add(session);
      initializes++;
      response.setHeader('mcp-session-id', session);
      answer(response, message.id, {
        protocolVersion: message.params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'bench', version: '0.0.0' },
      });
      return;
    }
    case 'tools/list':
      answer(response, message.id, { tools: TOOLS });
      return;
    default:
      answer(response, message.id, {});
  }
}

const server = createServer((request, response) => {
  if (request.method === 'DELETE') {
    if (sessions.delete(request.headers['mcp-session-id'])) deleted++;
    response.writeHead(200).end();
    return;
  }
  if (request.method === 'GET' && streaming.has(request.headers['mcp-session-id'])) {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':open\n\n');
    return;
  }
  if (request.method !== 'POST') {
    response.writeHead(405, { allow: 'POST, DELETE' }).end();
    return;
  }
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => handle(request, response, JSON.parse(Buffer.concat(pieces).toString())));
});
// Nobody's connections are closed under them: how long they stay open is the client's choice here.
server.keepAliveTimeout = 0;

process.on('message', (ask) => {
  if (ask === 'reset') {
    callSockets = new Set();
    deleted = 0;
    initializes = 0;
    calls = 0;
  }
  // As a server that was started again: whoever has a session is told so by a 404.
  if (ask === 'forget') sessions.clear();
  process.send({ connections: callSockets.size, deleted, initializes, calls });
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}/mcp` }));
