// A web service that calls tools for its users: all requests share the sessions of one pool, and no two users share a session.
// Usage: node session-pool.mjs <endpoint> <service> <region> [port]; POST /tools/<name> with the arguments as JSON.
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { SessionPool, SessionPoolError } from 'mcp-sigv4-proxy/pool';

const [endpoint, service, region, port = '3000'] = process.argv.slice(2);
const pool = new SessionPool({ endpoint, proxy: { service, region }, minSessions: 1, maxSessions: 4 });
await pool.start();

const server = createServer(async (request, response) => {
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  try {
    const tool = decodeURIComponent(request.url.replace('/tools/', ''));
    // Your own authentication names the user.
    const options = { identity: request.headers['x-user'], signal: abort.signal };
    const result = await pool.callTool(tool, await json(request), options);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(result));
  } catch (error) {
    const isBusy = error instanceof SessionPoolError;
    response.writeHead(isBusy ? 503 : 502).end(isBusy ? error.reason : error.message);
  }
});
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

process.once('SIGTERM', async () => {
  server.close();
  await pool.shutdown();
});
