// Uses the tools of a server in LangChain: pass them to createAgent({ model, tools }), or call one as here.
// Usage: node langchain.mjs <endpoint> <service> <region> <tool> '<arguments as JSON>'
import { createProxy } from 'mcp-sigv4-proxy';
import { langchainTools } from 'mcp-sigv4-proxy/langchain';

const [endpoint, service, region, name, args] = process.argv.slice(2);
const proxy = await createProxy({ endpoint, service, region });
const tools = await langchainTools(proxy);
console.log(tools.map((tool) => tool.name).join(' '));

const tool = tools.find((each) => each.name === name);
console.log(await tool.invoke(JSON.parse(args)));
await proxy.close();
