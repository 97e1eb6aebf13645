// Lists the tools of a runtime or gateway of Amazon Bedrock AgentCore, which its ARN names.
// Usage: node agentcore.mjs arn:aws:bedrock-agentcore:<region>:<account>:runtime/<name> [profile]
import { Client } from '@modelcontextprotocol/client';
import { SigV4ClientTransport } from 'mcp-sigv4-proxy';

const [arn, profile] = process.argv.slice(2);
const client = new Client({ name: 'example', version: '1.0.0' });
// Service and region of the signature come from the ARN. A runtime may start for up to a minute.
const transport = new SigV4ClientTransport(arn, { profile, initializeTimeout: 90 });

await client.connect(transport, { timeout: 90_000 });
const { tools } = await client.listTools();
console.log(tools.map(({ name }) => name).join(' '));

await transport.terminateSession();
await client.close();
