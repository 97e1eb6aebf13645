// The client that the suite starts: `client.mjs <v1|v2> <direct|stdio|listener> <url>`, the scenario's name in the environment.
import { connect } from './clients.mjs';

const [generation, way, url] = process.argv.slice(2);
const {
  MCP_CONFORMANCE_SCENARIO: scenario,
  MCP_CONFORMANCE_CONTEXT: context,
  MCP_CONFORMANCE_PROTOCOL_VERSION: revision,
} = process.env;

/** Values for every argument that a schema asks for. */
const argumentsFor = ({ properties = {} }) => {
  const values = { string: 'a', integer: 1, number: 1.5, boolean: true, array: [], object: {}, null: null };
  return Object.fromEntries(
    Object.entries(properties).map(([name, { type }]) => [name, values[type] ?? 'a']),
  );
};

const callAll = async (client, tools) => {
  for (const { name, inputSchema } of tools)
    await client.call({ name, arguments: argumentsFor(inputSchema) });
};

/** The actions after connecting, by scenario; the others only list the tools. */
const does = {
  tools_call: (client) => client.call({ name: 'add_numbers', arguments: { a: 5, b: 3 } }),
  'elicitation-sep1034-client-defaults': callAll,
  'sse-retry': callAll,
  'http-invalid-tool-headers': callAll,
  async 'sep-2322-client-request-state'(client) {
    // At the same time, so that what belongs to one call could reach another; a client may refuse the one without a type.
    await Promise.allSettled(
      ['test_mrtr_echo_state', 'test_mrtr_unrelated', 'test_mrtr_no_state', 'test_mrtr_no_result_type'].map(
        (name) => client.call({ name, arguments: {} }),
      ),
    );
  },
  async 'http-standard-headers'(client, tools) {
    await callAll(client, tools);
    const { resources } = await client.listResources();
    for (const { uri } of resources) await client.readResource({ uri });
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) await client.getPrompt({ name });
  },
  async 'http-custom-headers'(client) {
    for (const call of JSON.parse(context).toolCalls) await client.call(call);
  },
  'json-schema-2020-12-preservation': (client, [{ inputSchema }]) =>
    client.call({ name: 'json_schema_echo', arguments: { schema: inputSchema } }),
};

const client = await connect(generation, way, url, revision);
const { tools } = await client.listTools();
await does[scenario]?.(client, tools);
await client.close();
process.exit(0);
