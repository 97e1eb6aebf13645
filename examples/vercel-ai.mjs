// Uses the tools of a server in the Vercel AI SDK: pass them to generateText({ model, tools }), or call one as here.
// Usage: node vercel-ai.mjs <endpoint> <service> <region> <tool> '<arguments as JSON>'
import { createMCPClient } from '@ai-sdk/mcp';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy';

const [endpoint, service, region, name, args] = process.argv.slice(2);
const transport = new SigV4ClientTransport(endpoint, { service, region });
const client = await createMCPClient({ transport });
const tools = await client.tools();
console.log(Object.keys(tools).join(' '));

const { content } = await tools[name].execute(JSON.parse(args), { toolCallId: '0', messages: [] });
console.log(content.map(({ text }) => text).join('\n'));
await transport.terminateSession();
await client.close();
