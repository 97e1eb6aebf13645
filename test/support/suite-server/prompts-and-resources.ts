import {
  fromJsonSchema,
  inputRequired,
  type McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import { PIXEL } from './tools.ts';

const user = <Content>(content: Content) => ({ role: 'user' as const, content });
const text = (said: string) => ({ type: 'text' as const, text: said });

const twoArguments = fromJsonSchema<{ arg1: string; arg2: string }>({
  type: 'object',
  properties: { arg1: { type: 'string' }, arg2: { type: 'string' } },
  required: ['arg1', 'arg2'],
});
const oneUri = fromJsonSchema<{ resourceUri: string }>({
  type: 'object',
  properties: { resourceUri: { type: 'string' } },
  required: ['resourceUri'],
});

/** The prompts that the suite's scenarios ask for. */
export function addPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'No arguments' }, () => ({
    messages: [user(text('A simple prompt.'))],
  }));
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'Two arguments', argsSchema: twoArguments },
    ({ arg1, arg2 }) => ({ messages: [user(text(`arg1='${arg1}', arg2='${arg2}'`))] }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'Embeds a resource', argsSchema: oneUri },
    ({ resourceUri }) => ({
      messages: [
        user({
          type: 'resource' as const,
          resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded.' },
        }),
        user(text('Read the above.')),
      ],
    }),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'Shows an image' }, () => ({
    messages: [
      user({ type: 'image' as const, data: PIXEL, mimeType: 'image/png' }),
      user(text('Look at the above.')),
    ],
  }));
  server.registerPrompt(
    'test_input_required_result_prompt',
    { description: 'Asks before it answers' },
    ({ mcpReq }) =>
      mcpReq.inputResponses?.user_context === undefined
        ? inputRequired({
            inputRequests: {
              user_context: inputRequired.elicit({
                message: 'Which context?',
                requestedSchema: {
                  type: 'object',
                  properties: { context: { type: 'string' } },
                  required: ['context'],
                },
              }),
            },
          })
        : { messages: [user(text('A prompt with context.'))] },
  );
  server.server.setRequestHandler('completion/complete', () => ({
    completion: { values: ['test one', 'test two'], total: 2, hasMore: false },
  }));
}

/** The resources that the suite's scenarios ask for. */
export function addResources(server: McpServer): void {
  const fixed = (name: string, mimeType: string, content: { text: string } | { blob: string }): void => {
    const uri = `test://${name}`;
    server.registerResource(name, uri, { mimeType }, () => ({ contents: [{ uri, mimeType, ...content }] }));
  };
  fixed('static-text', 'text/plain', { text: 'Some text.' });
  fixed('static-binary', 'image/png', { blob: PIXEL });
  fixed('watched-resource', 'text/plain', { text: 'Watched.' });
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id }) }],
    }),
  );
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
}
