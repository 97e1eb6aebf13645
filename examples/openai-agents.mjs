// Uses the tools of a server in the OpenAI Agents SDK: pass it to new Agent({ mcpServers: [server] }), or call a tool as here.
// Usage: node openai-agents.mjs <endpoint> <service> <region> <tool> '<arguments as JSON>'
import { MCPServerStreamableHttp } from '@openai/agents';
import { createSigV4Fetch } from 'mcp-sigv4-proxy/fetch';

const [endpoint, service, region, name, args] = process.argv.slice(2);
const fetch = createSigV4Fetch({ endpoint, service, region });
const server = new MCPServerStreamableHttp({ url: endpoint, fetch });
await server.connect();
const tools = await server.listTools();
console.log(tools.map((tool) => tool.name).join(' '));

const content = await server.callTool(name, JSON.parse(args));
console.log(content.map(({ text }) => text).join('\n'));
await server.close();
fetch.close();
