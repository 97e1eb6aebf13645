// Removes e-mail addresses from the results of tools: a layer of the program edits what the server answers.
// Usage: node redact-result.mjs <endpoint> <service> <region> <tool> '<arguments as JSON>'
import { Client } from '@modelcontextprotocol/client';
import { createProxy, SigV4ClientTransport, withReadableAnswer, withResult } from 'mcp-sigv4-proxy';

const redactEmail = (text) => text.replace(/[\w.+-]+@[\w-]+(\.[\w-]+)+/g, '[e-mail]');

/** A layer gets the next handler and returns its own. */
const redactResults = (next) => async (call) => {
  if (call.message.method !== 'tools/call') return next(call);
  const reply = await next(withReadableAnswer(call));
  if (reply.kind !== 'answer' || reply.message.outcome === 'error') return reply;
  const { result } = reply.message.json;
  const redacted = JSON.parse(JSON.stringify(result), (_key, value) =>
    typeof value === 'string' ? redactEmail(value) : value,
  );
  return { ...reply, message: withResult(reply.message, redacted) };
};

const [endpoint, service, region, name, args] = process.argv.slice(2);
const proxy = await createProxy({ endpoint, service, region, layers: { after: [redactResults] } });
const client = new Client({ name: 'example', version: '1.0.0' });
const transport = new SigV4ClientTransport(proxy);
await client.connect(transport);
const { content } = await client.callTool({ name, arguments: JSON.parse(args) });
console.log(content.map(({ text }) => text).join('\n'));
await transport.terminateSession();
await client.close();
await proxy.close();
