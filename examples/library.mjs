// Relays one request without a process of its own: the settings are those of the command line.
import { McpProxy, parseArguments, readSettings } from 'mcp-sigv4-proxy';

const outcome = await readSettings(parseArguments(process.argv.slice(2)), process.env);
if ('problems' in outcome) throw new Error(outcome.problems.join('\n'));

const proxy = new McpProxy(outcome.settings);
const answered = new Promise((resolve) => {
  const connection = proxy.connect(async (line) => resolve(JSON.parse(line)));
  connection.receive(
    JSON.stringify({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'example', version: '1.0.0' },
      },
    }),
  );
});

const { result, error } = await answered;
await proxy.close();
if (error) throw new Error(error.message);
console.log(`${result.serverInfo.name} speaks ${result.protocolVersion}`);
