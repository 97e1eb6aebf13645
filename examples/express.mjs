// Mounts the MCP endpoint in an Express application: each request is signed and relayed.
// Usage: node express.mjs <endpoint> <service> <region> [port]
import express from 'express';
import { createListener } from 'mcp-sigv4-proxy/listener';

const [endpoint, service, region, port = '3000'] = process.argv.slice(2);
const listener = await createListener({ endpoint, service, region });

const app = express();
// Before express.json(), which would read the bodies.
app.use('/mcp', listener.handler);
app.use(express.json());
app.get('/', (_request, response) => void response.send('MCP is at /mcp'));

const server = app.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/mcp`);
});

process.once('SIGTERM', async () => {
  server.close();
  await listener.close();
  server.closeAllConnections();
});
