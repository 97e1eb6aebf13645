// An MCP server for what the shared one does not do: event streams. It runs in the worker that asks, so it counts for no proxy.
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Calls that never get an answer. */
const HANG = 'hang';

const event = (message) => `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;

function progress(response, id, { count }, token) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const events = Array.from({ length: count }, (_, at) =>
    event({ method: 'notifications/progress', params: { progressToken: token, progress: at + 1 } }),
  );
  response.end(events.join('') + event({ id, result: { content: [] } }));
}

/** @returns {(bytes: number) => string} a text of so many bytes, made once. */
function textMaker() {
  const texts = new Map();
  return (bytes) => {
    if (!texts.has(bytes)) texts.set(bytes, 'A log line of a service, 200 OK, 12 ms. '.repeat(bytes / 40));
    return texts.get(bytes);
  };
}
const textOf = textMaker();

function big(response, id, { bytes, stream }) {
  const message = { id, result: { content: [{ type: 'text', text: textOf(bytes) }] } };
  response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
  response.end(stream ? event(message) : JSON.stringify({ jsonrpc: '2.0', ...message }));
}

function answer(response, { id, method, params }) {
  if (id === undefined) {
    response.writeHead(202).end();
    return;
  }
  if (params?.name === HANG) return;
  if (params?.name === 'progress') progress(response, id, params.arguments, params._meta.progressToken);
  else if (params?.name === 'big') big(response, id, params.arguments);
  else {
    const opened = method === 'initialize' && {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'bench', version: '0.0.0' },
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: opened || { content: [] } }));
  }
}

/** @returns its URL, and what ends it. */
export async function startEventStreamServer() {
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    answer(response, JSON.parse(Buffer.concat(pieces).toString()));
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, close };
}
