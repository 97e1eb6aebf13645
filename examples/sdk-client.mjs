// Lists the tools of a server with the client of the MCP SDK: the transport signs, pools connections and renews sessions.
import { Client } from '@modelcontextprotocol/client';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy';

const [endpoint, service, region] = process.argv.slice(2);
const client = new Client({ name: 'example', version: '1.0.0' });
const transport = new SigV4ClientTransport(endpoint, { service, region });

await client.connect(transport);
const { tools } = await client.listTools();
console.log(tools.map(({ name }) => name).join(' '));

await transport.terminateSession();
await client.close();
