// Uses the tools of a server in Strands Agents: pass the client to new Agent({ tools: [client] }), or call a tool as here.
// Usage: node strands.mjs <endpoint> <service> <region> <tool> '<arguments as JSON>'
import { McpClient } from '@strands-agents/sdk';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy';

const [endpoint, service, region, name, args] = process.argv.slice(2);
const transport = new SigV4ClientTransport(endpoint, { service, region });
const client = new McpClient({ applicationName: 'example', transport });
const tools = await client.listTools();
console.log(tools.map((tool) => tool.name).join(' '));

const tool = tools.find((each) => each.name === name);
const { content } = await client.callTool(tool, JSON.parse(args));
console.log(content.map(({ text }) => text).join('\n'));
await transport.terminateSession();
await client.disconnect();
