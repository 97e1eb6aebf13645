// A Lambda function that calls a tool. Connections and session are kept while the environment lives.
// Variables: MCP_ENDPOINT, and MCP_SERVICE and MCP_REGION where the host does not contain them.
import { Client } from '@modelcontextprotocol/client';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy/transport';

const { MCP_ENDPOINT: endpoint, MCP_SERVICE: service, MCP_REGION: region } = process.env;
let connecting;

async function connect() {
  const client = new Client({ name: 'example', version: '1.0.0' });
  // One call at a time runs in an environment.
  await client.connect(new SigV4ClientTransport(endpoint, { service, region, maxConnections: 1 }));
  return client;
}

/** The event is `{ "tool": "...", "arguments": { ... } }`. */
export async function handler({ tool: name, arguments: args = {} }) {
  connecting ??= connect().catch((error) => {
    // The next invocation tries again.
    connecting = undefined;
    throw error;
  });
  const client = await connecting;
  const { content, isError = false } = await client.callTool({ name, arguments: args });
  return { isError, text: content.map(({ text }) => text).join('\n') };
}
