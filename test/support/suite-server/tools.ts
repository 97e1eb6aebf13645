import { fromJsonSchema, type JsonSchemaType, type McpServer } from '@modelcontextprotocol/server';

/** One red pixel, and a WAVE file without a sample. */
export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/q842iQAAAABJRU5ErkJggg==';
const SILENCE = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

const image = { type: 'image' as const, data: PIXEL, mimeType: 'image/png' };
const audio = { type: 'audio' as const, data: SILENCE, mimeType: 'audio/wav' };
const text = (said: string) => ({ type: 'text' as const, text: said });
const resource = (uri: string, mimeType: string, content: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: content },
});

/** The schema that the suite looks for, keyword by keyword, in what comes back. */
const SCHEMA_2020_12: JsonSchemaType = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const REGION = { type: 'string' as const, 'x-mcp-header': 'Region' };
const MIRRORED = fromJsonSchema<{ region?: string }>({ type: 'object', properties: { region: REGION } });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * The tools that answer by themselves. Names and answers are those that the suite's scenarios ask
 * for.
 */
export function addTools(server: McpServer): void {
  const says = (name: string, ...content: Parameters<typeof contentOf>[0][]): void => {
    server.registerTool(name, { description: `Answers with ${content.length} kinds of content` }, () => ({
      content: content.map(contentOf),
    }));
  };
  says('test_simple_text', text('Nothing but text.'));
  says('test_image_content', image);
  says('test_audio_content', audio);
  says('test_embedded_resource', resource('test://embedded-resource', 'text/plain', 'Embedded.'));
  says(
    'test_multiple_content_types',
    text('Text, an image and a resource:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  );
  server.registerTool('test_error_handling', { description: 'Fails' }, () => {
    throw new Error('This tool always fails');
  });
  server.registerTool('test_tool_with_logging', { description: 'Logs three times' }, async ({ mcpReq }) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      await pause(10);
    }
    return { content: [text('logged')] };
  });
  server.registerTool('test_logging_tool', { description: 'Logs where asked to' }, async ({ mcpReq }) => {
    await mcpReq.log('info', 'only for those who set a level');
    return { content: [text('logged')] };
  });
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports progress' },
    async ({ mcpReq: { _meta, notify } }) => {
      const progressToken = _meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        await notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
        await pause(10);
      }
      return { content: [text('done')] };
    },
  );
  server.registerTool('test_reconnection', { description: 'Lets the client reconnect' }, async ({ http }) => {
    http?.closeSSE?.();
    await pause(100);
    return { content: [text('answered on another stream')] };
  });
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Has a schema of many keywords', inputSchema: fromJsonSchema(SCHEMA_2020_12) },
    () => ({ content: [text('ok')] }),
  );
  server.registerTool(
    'test_mirrored_argument',
    { description: 'Has an argument that travels in a header too', inputSchema: MIRRORED },
    ({ region }) => ({ content: [text(region ?? 'nowhere')] }),
  );
}

/** A copy, so that no two answers share an object. */
const contentOf = (
  content: ReturnType<typeof text> | typeof image | typeof audio | ReturnType<typeof resource>,
) => ({ ...content });
